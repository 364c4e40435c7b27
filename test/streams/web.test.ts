// Queues as web streams: bytes, memory that the reader brings, values, and how either side's end is told to the other.

import test from 'ava'
import { SpscQueue } from 'millrace'
import { struct, u32 } from 'millrace/struct'
import { toReadableStream, toWritableStream } from 'millrace/streams'

import { actor } from '../support/actor.js'
import { uniqueName } from '../support/names.js'
import { bytes, onePage, openPair, peerFailure } from '../support/queues.js'
import { within } from '../support/until.js'

const patience = 15_000

async function collect(stream: ReadableStream<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks)
}

test('chunks of any length arrive whole, far longer ones than the ring as well', async (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  const chunks = [1, 0, 5000, 3, 100_000, 0, 999].map((length) => bytes(length))
  const received = collect(toReadableStream(consumer))
  const writer = toWritableStream(producer).getWriter()
  for (const chunk of chunks) await within(patience, writer.write(chunk))
  await within(patience, writer.close())
  t.true(Buffer.concat(chunks).equals(await within(patience, received)))
  t.true(producer.closed)
  t.true(consumer.closed)
})

test('through gzip and back', async (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  const original = Buffer.from('all that is said twice is said twice '.repeat(20_000))
  const sent = new Blob([original])
    .stream()
    .pipeThrough(new CompressionStream('gzip'))
    .pipeTo(toWritableStream(producer))
  const received = collect(toReadableStream(consumer).pipeThrough(new DecompressionStream('gzip')))
  t.true(original.equals(await within(patience, received)))
  await within(patience, sent)
})

test('a reader brings its own memory, of any length', async (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  const original = bytes(50_000)
  const writer = toWritableStream(producer).getWriter()
  const sent = (async () => {
    for (let at = 0; at < original.length; at += 777) {
      await writer.write(original.subarray(at, at + 777))
    }
    await writer.close()
  })()
  const reader = toReadableStream(consumer).getReader({ mode: 'byob' })
  const got: Buffer[] = []
  const lengths = [1, 10, 776, 777, 778, 5000]
  for (let turn = 0; ; turn++) {
    const view = new Uint8Array(lengths[turn % lengths.length]!)
    const { value, done } = await within(patience, reader.read(view))
    if (done) break
    t.true(value.length > 0)
    got.push(Buffer.from(value))
  }
  t.true(original.equals(Buffer.concat(got)))
  await within(patience, sent)
})

test('messages and values, with objectMode', async (t) => {
  const Tick = struct({ price: u32 })
  const name = uniqueName(t)
  const producer = SpscQueue.producer(name, { schema: Tick })
  const consumer = SpscQueue.consumer(name, { schema: Tick })
  const got: unknown[] = []
  const received = toReadableStream(consumer, { objectMode: true }).pipeTo(
    new WritableStream({
      write(value) {
        got.push(value)
      },
    }),
  )
  const writer = toWritableStream(producer, { objectMode: true }).getWriter()
  for (let price = 0; price < 100; price++) void writer.write({ price })
  await within(patience, writer.close())
  await within(patience, received)
  t.deepEqual(
    got,
    Array.from({ length: 100 }, (_, price) => ({ price })),
  )
})

test('nothing is taken before somebody reads', async (t) => {
  const { producer, consumer } = openPair(t)
  const stream = toReadableStream(consumer, { highWaterMark: 0 })
  await producer.push('first')
  await new Promise((resolve) => setTimeout(resolve, 20))
  t.is(consumer.nextLength, 5)
  const reader = stream.getReader()
  t.is(Buffer.from((await within(patience, reader.read())).value!).toString(), 'first')
  await reader.cancel()
})

test('a writer waits for room, as its `ready` says', async (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  const writer = toWritableStream(producer, { highWaterMark: 1000 }).getWriter()
  for (let i = 0; i < 10; i++) void writer.write(bytes(1000))
  t.true((writer.desiredSize ?? 0) <= 0)
  const received = collect(toReadableStream(consumer))
  await within(patience, writer.ready)
  await within(patience, writer.close())
  t.is((await within(patience, received)).length, 10_000)
})

test('who cancels with a reason tells the producer; without, the consumer just closes', async (t) => {
  const first = openPair(t, { capacity: onePage })
  await toReadableStream(first.consumer).cancel()
  t.true(first.consumer.closed)
  const second = openPair(t, { capacity: onePage })
  await second.producer.push('one')
  const reader = toReadableStream(second.consumer).getReader()
  await within(patience, reader.read())
  await reader.cancel(new Error('the disk is full'))
  const error = await t.throwsAsync(
    within(
      patience,
      (async () => {
        for (;;) await second.producer.push(bytes(1000))
      })(),
    ),
  )
  t.like(error, { code: 'ERR_MILLRACE_PEER_FAILED', cause: { message: 'the disk is full' } })
})

test('who aborts while a write waits for room tells the consumer why, and whoever wrote', async (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  const writer = toWritableStream(producer).getWriter()
  const writing = t.throwsAsync(writer.write(bytes(10 * onePage)), { message: 'the source broke' })
  await within(patience, consumer.readable())
  await within(patience, writer.abort(new Error('the source broke')))
  await writing
  t.is(await peerFailure(t, consumer), 'the source broke')
})

test('a chunk that is none is told to the consumer, which would wait for its end', async (t) => {
  const gone = new Uint8Array(5)
  structuredClone(gone.buffer, { transfer: [gone.buffer] })
  for (const chunk of [5, gone]) {
    const { producer, consumer } = openPair(t, { capacity: onePage })
    const writer = toWritableStream(producer).getWriter()
    await t.throwsAsync(writer.write(chunk as never), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
    t.regex(await within(patience, peerFailure(t, consumer)), /chunk/)
  }
})

test('who aborts tells the consumer why', async (t) => {
  const { producer, consumer } = openPair(t)
  const writer = toWritableStream(producer).getWriter()
  await within(patience, writer.write('half'))
  await writer.abort(new Error('the source broke'))
  t.is(await peerFailure(t, consumer), 'the source broke')
})

test('a signal ends both, also while they wait', async (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  const stop = new AbortController()
  const writer = toWritableStream(producer, { signal: stop.signal, highWaterMark: 0 }).getWriter()
  const waiting = writer.write(bytes(20_000))
  stop.abort(new Error('enough'))
  await t.throwsAsync(within(patience, waiting))
  await t.throwsAsync(within(patience, writer.closed), { message: 'enough' })
  t.is(await peerFailure(t, consumer), 'enough')

  const other = openPair(t)
  const stopReading = new AbortController()
  const reader = toReadableStream(other.consumer, { signal: stopReading.signal }).getReader()
  const reading = reader.read()
  stopReading.abort(new Error('enough'))
  await t.throwsAsync(within(patience, reading), { message: 'enough' })
  t.true(other.consumer.closed)
})

test('a peer that is killed is an error of the stream', async (t) => {
  const other = actor(t)
  const name = uniqueName(t)
  await other.do(({ SpscQueue, own }, queue) => {
    own.producer = SpscQueue.producer(queue)
    own.producer.tryPush('last words')
  }, name)
  const reader = toReadableStream(SpscQueue.consumer(name)).getReader()
  t.is(Buffer.from((await within(patience, reader.read())).value!).toString(), 'last words')
  const reading = reader.read()
  await other.kill('SIGKILL')
  await t.throwsAsync(within(patience, reading), { code: 'ERR_MILLRACE_PEER_GONE' })
  SpscQueue.unlink(name)
})

test('`autoClose: false` leaves the side open for the next stream', async (t) => {
  const { producer, consumer } = openPair(t)
  const first = toWritableStream(producer, { autoClose: false }).getWriter()
  await within(patience, first.write('one'))
  await within(patience, first.close())
  t.false(producer.closed)
  const reader = toReadableStream(consumer, { autoClose: false }).getReader()
  await within(patience, reader.read())
  await reader.cancel(new Error('not told'))
  t.false(consumer.closed)
  await producer.push('two')
  t.is(String(await consumer.pop()), 'two')
})

test('what is no side of a queue is refused', (t) => {
  const code = 'ERR_MILLRACE_INVALID_ARGUMENT'
  const { producer, consumer } = openPair(t)
  t.throws(() => toReadableStream(producer as never), { code })
  t.throws(() => toWritableStream(consumer as never), { code })
  t.throws(() => toReadableStream(consumer, { highWaterMark: -1 }), { code })
})
