// What the compiler knows about a structure from its definition alone.
import { expectAssignable, expectError, expectNotAssignable, expectType } from 'tsd'
import {
  Cell,
  type CellReader,
  type CellReaderOptions,
  type CellValue,
  type CellWriter,
  type CellWriterOptions,
  FrameWriter,
  RecordQueue,
  SharedMemory,
  SpscQueue,
  type QueueConsumer,
  type QueueOptions,
  type QueueProducer,
  type RecordConsumer,
  type RecordProducer,
  type RecordProducerOptions,
  type RecordQueueOptions,
  type Schema,
  type ValueSchema,
} from 'millrace'
import {
  array,
  bool,
  bytes,
  char,
  f32,
  f64,
  i64,
  struct,
  u32,
  u64,
  u8,
  type ArrayView,
  type Struct,
  type StructArray,
  type ValueOf,
  type ViewOf,
} from 'millrace/struct'

const Point = struct({ x: f32, y: f32 }, { name: 'Point' })
const Trade = struct({
  price: f64,
  size: u32,
  id: u64,
  live: bool,
  symbol: char(8),
  raw: bytes(4),
  levels: array(f64, 10),
  ids: array(i64, 2),
  names: array(char(4), 2),
  grid: array(array(u8, 3), 4),
  at: Point,
  path: array(Point, 5),
})

// Views
const trade = Trade.view(new Uint8Array(1000), 8)
expectType<ViewOf<typeof Trade>>(trade)
expectType<number>(trade.price)
expectType<bigint>(trade.id)
expectType<boolean>(trade.live)
expectType<string>(trade.symbol)
expectType<Uint8Array>(trade.raw)
expectType<number>(trade.levels.at(0))
expectType<Float64Array | undefined>(trade.levels.typed)
expectType<bigint>(trade.ids.at(0))
expectType<BigInt64Array | undefined>(trade.ids.typed)
expectType<undefined>(trade.names.typed)
expectType<string>(trade.names.at(1))
expectType<number>(trade.grid.at(1).at(2))
expectType<Uint8Array | undefined>(trade.grid.at(1).typed)
expectType<number>(trade.at.x)
expectType<number>(trade.path.at(3).y)
expectType<number>(trade.path.field('y').at(0))
expectAssignable<ArrayView<number, number, number, Float64Array>>(trade.levels)
trade.price = 1
trade.id = 1n
trade.symbol = 'ABC'
trade.raw = new Uint8Array(4)
trade.at.x = 1
trade.levels.set(0, 1)
expectType<void>(trade.levels.assign([1, 2] as const))
expectType<void>(trade.levels.assign(new Float32Array(10)))
expectType<number[]>(trade.levels.toArray())
expectError(trade.nothing)
expectError((trade.price = 1n))
expectError((trade.price = '1'))
expectError((trade.id = 1))
expectError((trade.live = 1))
expectError((trade.symbol = 7))
expectError((trade.at = { x: 1, y: 2 }))
expectError((trade.levels = [1]))
expectError(trade.levels.set(0, 1n))
expectError(trade.names.assign([1, 2]))
expectError(trade.at.z)
expectError((trade.path.at(0).x = '1'))
expectError(trade.path.field('z'))
expectError(trade.levels.field('x'))

// Whole objects
type Value = ValueOf<typeof Trade>
expectType<Value>(Trade.read(trade))
expectType<Value>(Trade.read(new ArrayBuffer(1000), 8))
declare const value: Value
expectType<string[]>(value.names)
expectType<number[][]>(value.grid)
expectType<{ x: number; y: number }>(value.at)
expectType<void>(Trade.write(new DataView(new ArrayBuffer(1000)), value))
expectType<void>(Trade.write(new SharedArrayBuffer(1000), trade, 8))
expectType<Uint8Array>(Trade.encode(value))
expectType<void>(Trade.set(trade, { price: 1, at: { x: 1, y: 2 }, ids: [1n, 2n] }))
expectError(Trade.set(trade, { cost: 1 }))
expectError(Trade.set(trade, { at: { x: 1 } }))
expectError(Point.write(new Uint8Array(8), { x: 1 }))
expectError(Point.write(new Uint8Array(8), { x: 1, y: 2, z: 3 }))
expectError(Point.write([1, 2], { x: 1, y: 2 }))
expectError(Point.move(trade, new Uint8Array(8)))
expectType<typeof trade>(Trade.move(trade, new Uint8Array(1000)))

// One after another
const points = Point.array(new Uint8Array(80), { offset: 8, length: 3 })
expectType<StructArray<{ readonly x: typeof f32; readonly y: typeof f32 }>>(points)
expectType<Float32Array | undefined>(points.field('x').typed)
for (const point of points) expectType<number>(point.x)
expectError(points.field('z'))
expectError(points.set(0, { x: 1 }))

// Definitions
expectAssignable<Struct<{ readonly x: typeof f64 }>>(struct({ x: f64 }))
expectNotAssignable<Struct<{ readonly x: typeof f64 }>>(struct({ x: u64 }))
expectType<'little' | 'big'>(Trade.endian)
expectType<bigint>(Trade.fingerprint)
expectType<string>(Trade.toCHeader())
expectError((Trade.size = 1))
expectError(struct({ x: 'f64' }))
expectError(struct({ x: Number }))
expectError(struct({ x: f64 }, { endian: 'middle' }))
expectError(struct({ x: f64 }, { align: 4 }))
expectError(char('8'))
expectError(array(8, f64))

// As the schema of a channel
expectAssignable<Schema>(Trade)
FrameWriter.create('name', { slotBytes: 1, schema: Trade })
SharedMemory.create('name', 8, { schema: Trade })
SharedMemory.open('name', { schema: { fingerprint: 1n } })
Cell.writer('name', { maxBytes: 8, schema: Trade })
expectError(SpscQueue.producer('name', { schema: 'Trade' }))
expectError(SpscQueue.producer('name', { schema: { fingerprint: 1 } }))

// Queues of values
const producer = SpscQueue.producer('name', { schema: Point, capacity: 4096 })
const consumer = SpscQueue.consumer('name', { schema: Point, poll: 0 })
type PointInput = { readonly x: number; readonly y: number }
expectAssignable<QueueProducer<PointInput>>(producer)
expectType<boolean>(producer.tryPush({ x: 1, y: 2 }))
expectType<boolean>(producer.tryPush(Point.view(new Uint8Array(8))))
expectType<boolean>(producer.tryPush(Point.encode({ x: 1, y: 2 })))
expectType<Promise<void>>(producer.push({ x: 1, y: 2 }, { timeout: 1 }))
expectType<void>(producer.pushSync({ x: 1, y: 2 }))
expectType<number>(producer.tryPushBatch([{ x: 1, y: 2 }, new Uint8Array(8)]))
expectType<Promise<void>>(producer.pushBatch([{ x: 1, y: 2 }]))
expectError(producer.tryPush({ x: 1 }))
expectError(producer.tryPush({ x: 1, y: 2, z: 3 }))
expectError(producer.tryPush({ x: '1', y: 2 }))
expectError(producer.tryPush(7))
expectError(producer.pushBatch([{ x: 1 }]))

type PointValue = ValueOf<typeof Point>
type PointView = ViewOf<typeof Point>
expectType<QueueConsumer<PointValue, PointView>>(consumer)
expectType<PointValue | undefined>(consumer.tryPop())
expectType<Promise<PointValue | undefined>>(consumer.pop())
expectType<PointValue | undefined>(consumer.popSync())
expectAssignable<AsyncIterable<PointValue>>(consumer)
expectAssignable<AsyncIterable<PointValue>>(consumer.messages())
consumer.drain((point) => expectType<PointView>(point))
consumer.drainRaw((ring) => expectAssignable<Buffer>(ring))
expectType<number>(consumer.tryPopInto(new Uint8Array(8)))
expectError(consumer.drain((point) => point.z))

// A schema that is a number only, or none: bytes
const opaque = { schema: { fingerprint: Point.fingerprint } }
expectType<QueueConsumer>(SpscQueue.consumer('name', opaque))
expectType<QueueProducer>(SpscQueue.producer('name', opaque))
expectError(SpscQueue.producer('name', opaque).tryPush({ x: 1, y: 2 }))
expectAssignable<QueueOptions>(opaque)
// What is passed on as options of bytes must not turn out to be of values.
expectNotAssignable<QueueOptions>({ schema: Point })
expectAssignable<QueueOptions<typeof Point>>({ schema: Point })
expectAssignable<ValueSchema<PointInput, PointView, PointValue>>(Point)
expectNotAssignable<QueueConsumer>(consumer)

// Cells of values
const cellWriter = Cell.writer('name', { schema: Point })
expectAssignable<CellWriter<PointInput, PointView>>(cellWriter)
expectAssignable<CellWriter<PointInput, PointView>>(
  Cell.writer('name', { schema: Point, maxBytes: 8, slots: 2, keep: true }),
)
expectType<number>(cellWriter.write({ x: 1, y: 2 }))
expectType<number>(cellWriter.write(Point.view(new Uint8Array(8))))
expectType<number>(cellWriter.write(Point.encode({ x: 1, y: 2 })))
cellWriter.update((point) => expectType<PointView>(point))
expectType<number>(cellWriter.update((point) => point.x++, { copy: false }))
expectError(cellWriter.write({ x: 1 }))
expectError(cellWriter.write({ x: 1, y: 2, z: 3 }))
expectError(cellWriter.write({ x: '1', y: 2 }))
expectError(cellWriter.write(7))
expectError(cellWriter.update((point) => point.z))
expectError(cellWriter.update(async (point) => Promise.resolve(point.x)))
expectError(Cell.writer('name', { schema: Point, maxBytes: '8' }))
expectError(Cell.writer('name', { schema: Point, poll: 1 }))

const pointReader = Cell.reader('name', { schema: Point, timeout: 1 })
expectType<Promise<CellReader<PointValue>>>(pointReader)
declare const newest: CellReader<PointValue>
expectType<CellValue<PointValue> | undefined>(newest.read())
expectType<PointValue>(newest.read()!.value)
expectAssignable<AsyncIterable<CellValue<PointValue>>>(newest.changes())
expectError((newest.read()!.value = { x: 1, y: 2 }))
// Who looks at bytes only takes the readers of anything; the other way round nobody knows what comes.
expectAssignable<CellReader>(newest)
expectNotAssignable<Promise<CellReader<PointValue>>>(Cell.reader('name'))

expectType<CellWriter>(Cell.writer('name', { maxBytes: 8, ...opaque }))
expectType<Promise<CellReader>>(Cell.reader('name', opaque))
expectError(Cell.writer('name', opaque))
expectError(Cell.writer('name', { maxBytes: 8, ...opaque }).write({ x: 1, y: 2 }))
expectNotAssignable<CellWriterOptions>({ maxBytes: 8, schema: Point })
expectAssignable<CellWriterOptions<typeof Point>>({ maxBytes: 8, schema: Point })
expectNotAssignable<CellReaderOptions>({ schema: Point })
expectAssignable<CellReaderOptions<typeof Point>>({ schema: Point })

// Queues of records
const recordOut = RecordQueue.producer('name', { record: Trade, batch: 64, capacity: 4096 })
const recordIn = RecordQueue.consumer('name', { record: Trade, keep: true })
expectType<RecordProducer<typeof Trade>>(recordOut)
expectType<RecordConsumer<typeof Trade>>(recordIn)
expectAssignable<ArrayView<ViewOf<typeof Trade>, never, ValueOf<typeof Trade>, undefined>>(
  recordOut.records,
)
expectType<ViewOf<typeof Trade>>(recordOut.records.at(0))
expectType<number>(recordOut.records.at(0).price)
expectError((recordOut.records.at(0).price = 'text'))
expectError((recordOut.records = recordOut.records))
expectType<number>(recordOut.claim())
expectType<number>(recordOut.claim(7))
expectType<Promise<number>>(recordOut.claimWhenFree(7, { timeout: 1 }))
expectType<void>(recordOut.commit())
expectError(recordOut.commit('7'))
expectType<number>(recordIn.drain((records) => records.at(0).live, 7))
recordIn.drain((records) => {
  expectType<typeof recordOut.records>(records)
  for (const record of records) expectType<ViewOf<typeof Trade>>(record)
})
expectType<ValueOf<typeof Trade>[] | undefined>(recordIn.tryPop())
expectType<Promise<ValueOf<typeof Trade>[] | undefined>>(recordIn.pop())
declare const tradeValue: ValueOf<typeof Trade>
expectType<boolean>(recordOut.tryPush([tradeValue]))
expectType<boolean>(recordOut.tryPush(new Uint8Array(8)))
expectError(recordOut.tryPush([{ price: 1 }]))
expectError(recordOut.tryPush(tradeValue))
expectError(RecordQueue.producer('name'))
expectError(RecordQueue.producer('name', {}))
expectError(RecordQueue.producer('name', { record: f64 }))
expectError(RecordQueue.producer('name', { record: Trade, schema: Trade }))
expectError(RecordQueue.consumer('name', { record: Trade, batch: 64 }))
expectAssignable<RecordQueueOptions<typeof Trade>>({ record: Trade })
expectAssignable<RecordProducerOptions<typeof Trade>>({ record: Trade, batch: undefined })
expectAssignable<QueueProducer<readonly ValueOf<typeof Trade>[]>>(recordOut)
