// Queues of records: they are written where they are claimed, and read where they lie.

import test, { type ExecutionContext } from 'ava'
import { MillraceError, RecordQueue, SpscQueue, type RecordQueueOptions } from 'millrace'
import {
  array,
  bytes,
  char,
  f64,
  struct,
  u16,
  u32,
  u8,
  type ValueOf,
  type ViewOf,
} from 'millrace/struct'

import { uniqueName } from '../support/names.js'
import { onePage, recordBytes } from '../support/queues.js'
import { Random } from '../support/random.js'

const Tick = struct({ price: f64, size: u32, symbol: char(8) }, { name: 'Tick' })
type TickValue = ValueOf<typeof Tick>

const tick = (n: number): TickValue => ({ price: n / 2, size: n, symbol: `S${n}` })
const ticks = (from: number, count: number) =>
  Array.from({ length: count }, (_, i) => tick(from + i))
const mostInPage = Math.floor((onePage - 8) / Tick.size)
/** The same schema for who wants bytes. */
const opaque = { fingerprint: Tick.fingerprint }
const closed = { code: 'ERR_MILLRACE_CLOSED' }
const busy = { code: 'ERR_MILLRACE_BUSY' }
const released = { code: 'ERR_MILLRACE_RELEASED' }
const invalid = { code: 'ERR_MILLRACE_INVALID_ARGUMENT' }
const tooLarge = { code: 'ERR_MILLRACE_TOO_LARGE' }

function open(t: ExecutionContext, options: { capacity?: number; batch?: number } = {}) {
  const { capacity = onePage, ...rest } = options
  const name = uniqueName(t)
  const producer = RecordQueue.producer(name, { record: Tick, capacity, ...rest })
  const consumer = RecordQueue.consumer(name, { record: Tick, capacity })
  t.teardown(() => {
    producer.close({ discard: true })
    consumer.close({ discard: true })
  })
  return { name, producer, consumer }
}

type Opened = ReturnType<typeof open>

/** Writes records of these numbers where they are claimed. */
function write({ producer }: Pick<Opened, 'producer'>, from: number, count: number): void {
  for (let i = 0; i < count; i++) {
    const record = producer.records.at(i)
    record.price = (from + i) / 2
    record.size = from + i
    record.symbol = `S${from + i}`
  }
}

/** What drain shows, message by message. */
function drained({ consumer }: Pick<Opened, 'consumer'>): TickValue[][] {
  const seen: TickValue[][] = []
  consumer.drain((records) => seen.push(records.toArray()), Infinity)
  return seen
}

test('what is written into a claim is there with its commit, and not before', (t) => {
  const both = open(t)
  const { producer, consumer } = both
  t.is(producer.claim(3), 3)
  t.is(producer.records.length, 3)
  write(both, 1, 3)
  t.is(consumer.nextLength, -1)
  t.deepEqual(drained(both), [])
  producer.commit()
  t.is(consumer.nextLength, 3 * Tick.size)
  t.deepEqual(drained(both), [ticks(1, 3)])
  t.is(producer.freeBytes, onePage)
})

test('fewer can be committed than were claimed, down to none', (t) => {
  const both = open(t)
  const { producer } = both
  for (const used of [5, 2, 1, 0]) {
    t.is(producer.claim(5), 5)
    write(both, 1, used)
    producer.commit(used)
    t.deepEqual(drained(both), used === 0 ? [] : [ticks(1, used)])
  }
  t.is(producer.freeBytes, onePage)
})

test('a claim gets what there is room for, by default a batch, and nothing when the ring is full', (t) => {
  const both = open(t, { batch: 100 })
  const { producer } = both
  t.is(producer.batch, 100)
  t.is(producer.maxBatch, mostInPage)
  t.is(producer.claim(), 100)
  write(both, 0, 100)
  producer.commit()
  const rest = Math.floor((producer.freeBytes - 8) / Tick.size)
  t.true(rest > 0 && rest < 100)
  t.is(producer.claim(), rest)
  write(both, 100, rest)
  producer.commit()
  t.is(producer.claim(), 0)
  t.is(producer.claim(1), 0)
  t.is(producer.claim(0), 0)
  t.is(producer.records.length, 0)
  producer.commit(0) // what a loop does that does not ask whether it got something
  t.deepEqual(drained(both), [ticks(0, 100), ticks(100, rest)])
  t.is(producer.claim(Number.MAX_SAFE_INTEGER), mostInPage)
  producer.commit(0)
  using other = RecordQueue.producer(uniqueName(t), { record: Tick })
  t.is(other.batch, 64)
})

test('one array serves all claims, and one all messages', (t) => {
  const both = open(t)
  const { producer, consumer } = both
  const { records } = producer
  const shown = new Set<unknown>()
  for (let round = 0; round < 3; round++) {
    producer.claim(2)
    t.is(producer.records, records)
    shown.add(records.at(0)).add(records.at(1))
    write(both, 1, 2)
    producer.commit()
  }
  t.is(shown.size, 1)
  shown.clear()
  const cursors = new Set<unknown>()
  consumer.drain((seen) => {
    shown.add(seen)
    for (const record of seen) cursors.add(record)
  })
  t.is(shown.size, 1)
  t.is(cursors.size, 1)
})

test('what was kept beyond commit or the callback shows nothing and changes nothing', (t) => {
  const both = open(t)
  const { producer, consumer } = both
  const { records } = producer
  producer.claim(4)
  write(both, 1, 4)
  const kept = records.at(3)
  producer.commit()
  t.throws(() => records.at(0), released)
  t.throws(() => records.set(0, tick(7)), released)
  t.throws(() => (kept.size = 7), { instanceOf: RangeError })
  t.is(records.length, 0)
  t.deepEqual(records.toArray(), [])
  let array: typeof records | undefined
  let view: ViewOf<typeof Tick> | undefined
  consumer.drain((seen) => {
    t.deepEqual(seen.toArray(), ticks(1, 4))
    array = seen
    view = seen.at(3)
  })
  t.throws(() => array!.at(0), released)
  t.throws(() => view!.size, { instanceOf: RangeError })
  // The cursor starts at the first record again, wherever it was.
  producer.claim(1)
  t.notThrows(() => records.at(0))
  t.throws(() => records.at(1), invalid)
  producer.commit(0)
})

test('while a claim is open nothing else is sent, and what is refused leaves it open', async (t) => {
  const both = open(t)
  const { producer } = both
  producer.claim(2)
  write(both, 1, 2)
  const claimed = { ...busy, message: /2 records are claimed .*commit\(\).*commit\(0\)/ }
  t.throws(() => producer.claim(1), claimed)
  await t.throwsAsync(producer.claimWhenFree(1), claimed)
  t.throws(() => producer.tryPush([tick(9)]), claimed)
  t.throws(() => producer.tryPush(Tick.encode(tick(9))), claimed)
  t.throws(() => producer.pushSync([tick(9)]), claimed)
  await t.throwsAsync(producer.push([tick(9)]), claimed)
  t.throws(() => producer.tryPushBatch([[tick(9)]]), claimed)
  await t.throwsAsync(producer.pushBatch([[tick(9)]]), claimed)
  t.throws(() => producer.tryPushPacked(Tick.encode(tick(9)), Tick.size), claimed)
  t.throws(() => producer.reserve(Tick.size), claimed)
  for (const count of [3, -1, 1.5, NaN, '2', null]) {
    t.throws(() => producer.commit(count as number), {
      ...invalid,
      message: /the 2 records claimed/,
    })
  }
  producer.commit()
  t.deepEqual(drained(both), [ticks(1, 2)])
})

test('a reservation and a claim keep each other out', (t) => {
  const both = open(t)
  const { producer } = both
  const reservation = producer.reserve(2 * Tick.size)!
  t.throws(() => producer.claim(), { ...busy, message: /open reservation/ })
  t.throws(() => producer.commit(1), released)
  Tick.write(reservation.bytes, tick(1))
  reservation.commit(Tick.size)
  t.is(producer.claim(1), 1)
  t.throws(() => producer.reserve(Tick.size), busy)
  producer.commit(0)
  t.deepEqual(drained(both), [[tick(1)]])
})

test('a commit needs a claim, and each claim is committed once', (t) => {
  const both = open(t)
  const { producer } = both
  t.throws(() => producer.commit(), { ...released, message: /claim\(\) them first/ })
  t.throws(() => producer.commit(1), released)
  t.throws(() => producer.commit(-1), invalid)
  producer.claim(1)
  write(both, 1, 1)
  producer.commit()
  t.throws(() => producer.commit(), released)
  t.throws(() => producer.records.at(0), released)
  t.deepEqual(drained(both), [[tick(1)]])
})

test('counts that are none are refused before anything is claimed', async (t) => {
  const { producer } = open(t)
  for (const count of [-1, 1.5, NaN, Infinity, '2', null, 2n]) {
    t.throws(() => producer.claim(count as number), invalid)
    await t.throwsAsync(producer.claimWhenFree(count as number), invalid)
  }
  await t.throwsAsync(producer.claimWhenFree(0), invalid)
  t.is(producer.claim(1), 1)
  producer.commit(0)
})

test('closing with an open claim sends nothing of it, and takes the memory away', (t) => {
  for (const how of ['close', 'abort'] as const) {
    const both = open(t)
    const { producer, consumer } = both
    producer.tryPush([tick(1)])
    producer.claim(2)
    write(both, 2, 2)
    const kept = producer.records.at(1)
    producer[how]()
    t.throws(() => producer.commit(), closed)
    t.throws(() => producer.commit(0), closed)
    t.throws(() => producer.claim(), closed)
    t.throws(() => producer.records.at(0), released)
    t.throws(() => kept.price)
    t.deepEqual(drained(both), [[tick(1)]])
    t.is(consumer.peer, how === 'close' ? 'closed' : 'failed')
  }
})

test('claimWhenFree waits for room for all of them, in the order of the calls', async (t) => {
  const both = open(t)
  const { producer, consumer } = both
  t.is(await producer.claimWhenFree(mostInPage), mostInPage)
  write(both, 0, mostInPage)
  producer.commit()
  const order: string[] = []
  const claimed = producer.claimWhenFree(2).then((count) => {
    order.push('claim')
    t.is(count, 2)
    write(both, 1000, 2)
    producer.commit()
  })
  const pushed = producer.push([tick(2000)]).then(() => order.push('push'))
  t.is(producer.claim(1), 0, 'nobody overtakes')
  t.false(producer.tryPush([tick(1)]))
  t.is(consumer.tryPop()?.length, mostInPage)
  await Promise.all([claimed, pushed])
  t.deepEqual(order, ['claim', 'push'])
  t.deepEqual(drained(both), [ticks(1000, 2), [tick(2000)]])
})

test('claimWhenFree by default waits for a batch, or for as many as fit at all', async (t) => {
  const { producer } = open(t, { batch: 1000 })
  t.is(await producer.claimWhenFree(), mostInPage)
  producer.commit(0)
  await t.throwsAsync(producer.claimWhenFree(mostInPage + 1), tooLarge)
})

test('a wait for room ends by signal, timeout, close, and the end of the consumer', async (t) => {
  const both = open(t)
  const { producer, consumer } = both
  producer.claim(mostInPage)
  producer.commit(mostInPage)
  await t.throwsAsync(producer.claimWhenFree(1, { timeout: 5 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  const abort = new AbortController()
  const waiting = producer.claimWhenFree(1, { signal: abort.signal })
  abort.abort()
  await t.throwsAsync(waiting, { code: 'ERR_MILLRACE_ABORTED' })
  const aborted = { signal: AbortSignal.abort() }
  await t.throwsAsync(producer.claimWhenFree(1, aborted), { code: 'ERR_MILLRACE_ABORTED' })
  await t.throwsAsync(producer.claimWhenFree(1, { timeOut: 1 } as never), invalid)
  const left = producer.claimWhenFree(1)
  consumer.close()
  await t.throwsAsync(left, closed)
  const own = producer.claimWhenFree(1)
  producer.close({ discard: true })
  await t.throwsAsync(own, closed)
})

test('end waits for an open claim, and for the consumer', async (t) => {
  const both = open(t)
  const { producer, consumer } = both
  producer.claim(1)
  write(both, 1, 1)
  const ended = producer.end()
  producer.commit()
  t.true(await consumer.readable())
  t.deepEqual(drained(both), [[tick(1)]])
  await ended
  t.false(await consumer.readable())
})

test('records are pushed and popped as objects by the calls of every queue', async (t) => {
  const { producer, consumer } = open(t)
  t.true(producer.tryPush(ticks(1, 2)))
  await producer.push(ticks(3, 1))
  producer.pushSync(ticks(4, 3))
  t.is(producer.tryPushBatch([ticks(7, 1), Tick.encode(tick(8))]), 2)
  await producer.pushBatch([ticks(9, 2), ticks(11, 1)])
  t.is(
    producer.tryPushPacked(Buffer.concat([12, 13].map((n) => Tick.encode(tick(n)))), Tick.size),
    2,
  )
  t.deepEqual(consumer.tryPop(), ticks(1, 2))
  t.deepEqual(await consumer.pop(), ticks(3, 1))
  t.deepEqual(consumer.popSync(), ticks(4, 3))
  producer.close()
  const rest: TickValue[][] = []
  for await (const records of consumer) rest.push(records)
  t.deepEqual(rest, [
    ticks(7, 1),
    ticks(8, 1),
    ticks(9, 2),
    ticks(11, 1),
    ticks(12, 1),
    ticks(13, 1),
  ])
  t.is(consumer.tryPop(), undefined)
})

test('a push that waits has read its records when the call returns', async (t) => {
  const { producer, consumer } = open(t)
  producer.claim(mostInPage)
  producer.commit(mostInPage)
  const list = ticks(1, 2)
  const waiting = producer.push(list)
  list[0]!.size = 77
  list.length = 0
  consumer.tryPopInto(Buffer.alloc(onePage))
  await waiting
  t.deepEqual(consumer.tryPop(), ticks(1, 2))
})

test('what is refused of a list is named by its place, and nothing of it is sent', async (t) => {
  const { producer, consumer } = open(t)
  const wrong: [unknown, string, RegExp][] = [
    [[tick(1), { ...tick(2), size: -1 }], 'ERR_MILLRACE_INVALID_ARGUMENT', /\[1\]\.size must be/],
    [[tick(1), null], 'ERR_MILLRACE_INVALID_ARGUMENT', /element 1 must be an object/],
    [
      [{ ...tick(1), symbol: 'nine long' }],
      'ERR_MILLRACE_TOO_LARGE',
      /\[0\]\.symbol has room for 8/,
    ],
    [[], 'ERR_MILLRACE_INVALID_ARGUMENT', /one or more records of Tick, not an empty one/],
    [tick(1), 'ERR_MILLRACE_INVALID_ARGUMENT', /list of one or more records of Tick/],
    [7, 'ERR_MILLRACE_INVALID_ARGUMENT', /not 7/],
    [undefined, 'ERR_MILLRACE_INVALID_ARGUMENT', /not undefined/],
    [Buffer.alloc(23), 'ERR_MILLRACE_SCHEMA', /has 23 bytes, .* Tick, each of 24 bytes/],
    ['', 'ERR_MILLRACE_SCHEMA', /has 0 bytes/],
    [Buffer.alloc(onePage - (onePage % 24) + 24), 'ERR_MILLRACE_TOO_LARGE', /4080|4088/],
    [ticks(0, mostInPage + 1), 'ERR_MILLRACE_TOO_LARGE', /limit is 4088/],
  ]
  for (const [given, code, message] of wrong) {
    const records = given as TickValue[]
    t.throws(() => producer.tryPush(records), { code, message })
    t.throws(() => producer.pushSync(records), { code, message })
    await t.throwsAsync(producer.push(records), { code, message })
    const second = { code, message: new RegExp(`^messages\\[1\\]: .*(?:${message.source})`) }
    t.throws(() => producer.tryPushBatch([[tick(1)], records]), second)
    await t.throwsAsync(producer.pushBatch([[tick(1)], records]), second)
  }
  const packed = new Uint32Array([24, 20, 48])
  t.throws(() => producer.tryPushPacked(Buffer.alloc(92), packed), { code: 'ERR_MILLRACE_SCHEMA' })
  const reservation = producer.reserve(100)!
  t.throws(() => reservation.commit(), { code: 'ERR_MILLRACE_SCHEMA', message: /100 bytes/ })
  reservation.abort()
  t.is(consumer.tryPop(), undefined)
  t.is(producer.freeBytes, onePage)
  t.is(producer.claim(1), 1, 'nothing is left behind')
})

test('getters of pushed records run while their room is held: nobody else gets it, and closing is noticed', (t) => {
  const { producer, consumer } = open(t)
  const meddling = (meddle: () => unknown): TickValue => ({
    ...tick(2),
    get size() {
      meddle()
      return 2
    },
  })
  const refused = meddling(() => {
    t.throws(() => producer.claim(), busy)
    t.throws(() => producer.tryPush([tick(9)]), busy)
    t.throws(() => producer.commit(), released)
    t.throws(() => producer.commit(1), released)
  })
  t.true(producer.tryPush([tick(1), refused, tick(3)]))
  t.deepEqual(consumer.tryPop(), ticks(1, 3))
  const closing = meddling(() => {
    producer.close()
  })
  t.throws(() => producer.tryPush([tick(1), closing]), closed)
  t.is(consumer.tryPop(), undefined)
  t.is(consumer.peer, 'closed')
})

test('inside a callback: errors keep the message, false stops, promises are refused, nothing is drained twice', (t) => {
  const both = open(t)
  const { producer, consumer } = both
  for (let n = 1; n <= 4; n++) producer.tryPush(ticks(n, n))
  const failure = new Error('of the callback')
  const thrown = t.throws(() =>
    consumer.drain(() => {
      throw failure
    }),
  )
  t.is(thrown, failure)
  t.throws(() => consumer.drain((records) => Promise.resolve(records.length)), {
    ...invalid,
    message: /promise/,
  })
  t.is(
    consumer.drain((records) => {
      t.deepEqual(records.toArray(), [tick(1)], 'it stayed')
      t.throws(() => consumer.drain(() => t.fail()), busy)
      t.throws(() => consumer.tryPop(), busy)
      t.throws(() => consumer.tryTake(), busy)
      t.deepEqual(records.toArray(), [tick(1)], 'and is shown still')
      t.true(producer.tryPush(ticks(9, 1)), 'the other side is nobody else')
      return false
    }),
    1,
  )
  t.throws(() => consumer.drain(7 as never), invalid)
  t.throws(() => consumer.drain(() => t.fail(), -1), invalid)
  t.is(
    consumer.drain((records) => {
      t.is(records.length, 2)
      consumer.close()
      t.throws(() => records.at(0).size)
    }),
    1,
  )
  t.throws(() => consumer.drain(() => t.fail()), closed)
  using next = RecordQueue.consumer(both.name, { record: Tick })
  t.deepEqual(next.tryPop(), ticks(3, 3), 'the message of the callback is read')
})

test('a message that is no whole number of records stays, with both sizes, until it is taken as bytes', async (t) => {
  const name = uniqueName(t)
  using producer = SpscQueue.producer(name, { schema: opaque })
  using consumer = RecordQueue.consumer(name, { record: Tick })
  const differs = {
    code: 'ERR_MILLRACE_SCHEMA',
    message: new RegExp(`queue '${name}' has 50 bytes, .* Tick, each of 24 bytes`),
  }
  producer.tryPush(Buffer.concat([Tick.encode(tick(1)), Tick.encode(tick(2))]))
  producer.tryPush('x'.repeat(50))
  producer.tryPush(Tick.encode(tick(3)))
  producer.tryPush('')
  const seen: TickValue[][] = []
  t.throws(() => consumer.drain((records) => seen.push(records.toArray())), differs)
  t.deepEqual(seen, [ticks(1, 2)], 'what came before is taken')
  t.throws(() => consumer.tryPop(), differs)
  t.throws(() => consumer.popSync(), differs)
  await t.throwsAsync(consumer.pop(), differs)
  await t.throwsAsync(consumer.messages().next(), differs)
  t.is(consumer.nextLength, 50)
  t.true(await consumer.readable())
  t.is(
    consumer.drainRaw((ring, at, length) => {
      t.is(ring.toString('utf8', at, at + length), 'x'.repeat(50))
    }, 1),
    1,
  )
  t.deepEqual(consumer.tryPop(), [tick(3)])
  t.is(consumer.nextLength, 0)
  t.deepEqual(drained({ consumer }), [[]], 'nothing is a whole number, too')
  t.false(consumer.closed)
})

test('behind a message that is held, records are drained and popped', (t) => {
  const both = open(t)
  const { producer, consumer } = both
  for (let n = 1; n <= 3; n++) producer.tryPush(ticks(n, n))
  const held = consumer.tryTake()!
  t.deepEqual(Tick.array(held.bytes).toArray(), [tick(1)])
  t.deepEqual(consumer.tryPop(), ticks(2, 2))
  t.deepEqual(drained(both), [ticks(3, 3)])
  held.release()
  t.is(producer.freeBytes, onePage)
})

test('a queue of bytes and a queue of values are the other side as well', (t) => {
  const name = uniqueName(t)
  using producer = RecordQueue.producer(name, { record: Tick })
  {
    using raw = SpscQueue.consumer(name, { schema: opaque })
    producer.claim(2)
    write({ producer }, 1, 2)
    producer.commit()
    const message = raw.tryPop()!
    t.deepEqual(message, Buffer.concat([Tick.encode(tick(1)), Tick.encode(tick(2))]))
  }
  using values = SpscQueue.consumer(name, { schema: Tick })
  producer.tryPush([tick(3)])
  t.deepEqual(values.tryPop(), tick(3), 'one record is one value')
  producer.tryPush(ticks(4, 2))
  t.throws(() => values.tryPop(), { code: 'ERR_MILLRACE_SCHEMA', message: /48 bytes/ })
  values.tryPopInto(Buffer.alloc(48))
})

test('another definition at the other side is SCHEMA, none is let in', (t) => {
  const name = uniqueName(t)
  const Other = struct({ price: f64, size: u32, symbol: char(4) })
  using producer = RecordQueue.producer(name, { record: Tick })
  const differs = { code: 'ERR_MILLRACE_SCHEMA' }
  t.throws(() => RecordQueue.consumer(name, { record: Other }), differs)
  using consumer = SpscQueue.consumer(name)
  producer.tryPush(ticks(1, 2))
  t.is(consumer.nextLength, 48)
  consumer.tryPop()
})

test('options are judged before anything is opened', (t) => {
  const name = uniqueName(t)
  const some = () => undefined
  const methods = { write: some, read: some, view: some, move: some }
  const wrong: [unknown, RegExp][] = [
    [undefined, /record must be a struct/],
    [{}, /record must be a struct/],
    [{ record: 7 }, /struct/],
    [{ record: { size: 24, align: 8, fingerprint: 7n } }, /record must be a struct/],
    [{ record: f64 }, /struct/],
    [{ record: { ...methods, size: 24, fingerprint: 7n } }, /record must be a struct/],
    [{ record: { ...methods, array: () => [], size: 24, fingerprint: 7n } }, /must be a struct/],
    [{ record: Tick, schema: Tick }, /no option 'schema'/],
    [{ record: Tick, capacity: -1 }, /capacity/],
    [7, /options must be an object/],
  ]
  for (const [options, message] of wrong) {
    const given = options as RecordQueueOptions<typeof Tick>
    t.throws(() => RecordQueue.producer(name, given), { ...invalid, message })
    t.throws(() => RecordQueue.consumer(name, given), { ...invalid, message })
  }
  for (const batch of [0, -1, 1.5, '64', 2 ** 31]) {
    t.throws(() => RecordQueue.producer(name, { record: Tick, batch: batch as number }), {
      ...invalid,
      message: /batch must be/,
    })
  }
  t.throws(() => RecordQueue.consumer(name, { record: Tick, batch: 64 } as never), {
    ...invalid,
    message: /no option 'batch'/,
  })
  t.false(SpscQueue.unlink(name))
})

test('a record that is larger than the ring is TOO_LARGE, not a wait for ever', async (t) => {
  const Large = struct({ values: array(f64, 1000) }, { name: 'Large' })
  using producer = RecordQueue.producer(uniqueName(t), { record: Large, capacity: onePage })
  t.is(producer.maxBatch, 0)
  t.throws(() => producer.claim(), tooLarge)
  await t.throwsAsync(producer.claimWhenFree(), tooLarge)
  await t.throwsAsync(producer.claimWhenFree(1, { timeout: 100 }), tooLarge)
  const value = { values: Array.from({ length: 1000 }, () => 1) }
  t.throws(() => producer.tryPush([value]), tooLarge)
  await t.throwsAsync(producer.push([value]), tooLarge)
})

test('messages of any length lie anywhere in the ring, and go on over its end', (t) => {
  const random = new Random(7)
  for (const size of [1, 3, 8, 12, 20, 511, 4088]) {
    const Record = struct({ bytes: bytes(size) })
    const name = uniqueName(t)
    using producer = RecordQueue.producer(name, { record: Record, capacity: onePage })
    using consumer = RecordQueue.consumer(name, { record: Record, capacity: onePage })
    const places = new Set<number>()
    let place = 0
    for (let round = 0; round < 1500; round++) {
      const wanted =
        round % 2 === 0 ? producer.maxBatch : 1 + random.below(Math.min(20, producer.maxBatch))
      t.is(producer.claim(wanted), wanted)
      const mark = round & 255
      for (let i = 0; i < wanted; i++) producer.records.at(i).bytes.fill(mark)
      producer.commit()
      places.add(place)
      place = (place + recordBytes(wanted * size)) % onePage
      const seen = consumer.drain((records) => {
        if (records.length !== wanted) t.fail(`${records.length} instead of ${wanted}`)
        for (const record of records) {
          if (!record.bytes.every((byte) => byte === mark)) t.fail(`round ${round} is damaged`)
        }
      })
      if (seen !== 1) t.fail(`${seen} messages`)
    }
    t.true(places.size > (size < 24 ? 300 : 0), `${places.size} places`)
  }
})

test('structures, arrays and bytes inside of a record go along', (t) => {
  const Inner = struct({ a: u16, b: u8 }, { packed: true })
  const Outer = struct({
    id: u8,
    inner: Inner,
    list: array(Inner, 3),
    raw: bytes(5),
    label: char(6),
  })
  const name = uniqueName(t)
  using producer = RecordQueue.producer(name, { record: Outer, capacity: onePage })
  using consumer = RecordQueue.consumer(name, { record: Outer, capacity: onePage })
  const value = (n: number) => ({
    id: n & 255,
    inner: { a: n, b: 1 },
    list: [n, n + 1, n + 2].map((a) => ({ a, b: n & 255 })),
    raw: new Uint8Array(5).fill(n),
    label: `l${n}`,
  })
  for (let round = 0; round < 200; round++) {
    const count = producer.claim(1 + (round % 40))
    for (let i = 0; i < count; i++) {
      const record = producer.records.at(i)
      const { id, inner, list, raw, label } = value(round + i)
      record.id = id
      record.inner.a = inner.a
      record.inner.b = inner.b
      record.list.assign(list)
      record.raw.set(raw)
      record.label = label
    }
    producer.commit()
    consumer.drain((records) => {
      t.deepEqual(
        records.toArray(),
        Array.from({ length: count }, (_, i) => value(round + i)),
      )
      t.is(records.at(count - 1).list.at(2).a, round + count + 1)
      t.deepEqual(records.field('id').at(0), round & 255)
    })
  }
})

const transfers = 'transfer' in ArrayBuffer.prototype // from Node 22 on

;(transfers ? test : test.skip)('a ring that was transferred away is noticed by commit', (t) => {
  const both = open(t)
  const { producer, consumer } = both
  const reservation = producer.reserve(Tick.size)!
  const { buffer } = reservation.bytes
  reservation.abort()
  producer.claim(1)
  write(both, 1, 1)
  const elsewhere = (buffer as unknown as { transfer(): ArrayBuffer }).transfer()
  t.true(elsewhere.byteLength > 0)
  t.throws(() => producer.records.at(0).size, { instanceOf: TypeError })
  t.throws(() => producer.commit(), { ...invalid, message: /memory of the queue/ })
  t.is(consumer.nextLength, -1)
})

test('errors are MillraceError', (t) => {
  const { producer } = open(t)
  t.throws(() => producer.commit(), { instanceOf: MillraceError })
  t.throws(() => producer.records.at(0), { instanceOf: MillraceError })
})
