// A queue as a Writable: what is sent, when a write is done, and how either side's end is told to the other.

import { once } from 'node:events'
import { Duplex, PassThrough, Readable, Writable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import test from 'ava'
import { SpscQueue, type QueueConsumer } from 'millrace'
import { char, struct, u32 } from 'millrace/struct'
import { toReadable, toWritable } from 'millrace/streams'

import { actor } from '../support/actor.js'
import { uniqueName } from '../support/names.js'
import {
  bytes,
  onePage,
  openConsumer,
  openPair,
  openProducer,
  peerFailure,
} from '../support/queues.js'
import { until, within } from '../support/until.js'

const patience = 15_000

/** Waits for the error that a stream is destroyed with. */
async function failure(stream: Writable): Promise<Error & { readonly code?: string }> {
  const [error] = (await within(patience, once(stream, 'error'))) as [Error]
  return error
}

/** What a write calls back with. */
function write(stream: Writable, chunk: unknown): Promise<Error | null | undefined> {
  return new Promise((resolve) => stream.write(chunk, resolve))
}

test('chunks of any length arrive whole, far longer ones than the ring as well', async (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  const chunks = [1, 0, 5000, 3, 100_000, 0, 999].map((length) => bytes(length))
  const received = buffer(consumer)
  await within(patience, pipeline(Readable.from(chunks), toWritable(producer)))
  t.true(Buffer.concat(chunks).equals(await within(patience, received)))
  t.true(producer.closed)
})

test('it finishes when the consumer has read everything', async (t) => {
  const { producer, consumer } = openPair(t)
  const stream = toWritable(producer)
  const finished = once(stream, 'finish')
  stream.end('the end')
  await until(() => consumer.nextLength === 7)
  for (let i = 0; i < 10; i++) await new Promise(setImmediate)
  t.false(stream.writableFinished)
  t.is(String(await consumer.pop()), 'the end')
  await within(patience, finished)
  await until(() => stream.destroyed)
  t.true(producer.closed)
  t.is(await consumer.pop({ timeout: patience }), undefined)
})

test('nothing written is an end, too', async (t) => {
  const { producer, consumer } = openPair(t)
  toWritable(producer).end()
  t.is(await within(patience, consumer.pop()), undefined)
})

test('in objectMode each chunk is a message, of text in its encoding', async (t) => {
  const { producer, consumer } = openPair(t)
  const stream = toWritable(producer, { objectMode: true })
  stream.write('ä')
  stream.write('c3a4', 'hex')
  stream.write(Buffer.alloc(0))
  stream.write(Uint8Array.of(65))
  stream.write(new DataView(Uint8Array.of(66, 67).buffer))
  stream.end()
  const seen: string[] = []
  for await (const message of consumer) seen.push(message.toString())
  t.deepEqual(seen, ['ä', 'ä', '', 'A', 'BC'])
})

test('in objectMode chunks are values', async (t) => {
  const Tick = struct({ size: u32, symbol: char(4) })
  const name = uniqueName(t)
  const producer = SpscQueue.producer(name, { schema: Tick })
  const consumer = SpscQueue.consumer(name, { schema: Tick })
  const ticks = [1, 2, 3].map((size) => ({ size, symbol: `S${size}` }))
  const received = toReadable(consumer, { objectMode: true }).toArray()
  await pipeline(Readable.from(ticks), toWritable(producer, { objectMode: true }))
  t.deepEqual(await within(patience, received), ticks)
})

test('in objectMode a chunk that cannot be sent is an error, and the consumer hears of it', async (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  const stream = toWritable(producer, { objectMode: true })
  const failed = failure(stream)
  t.is((await write(stream, 'one')) ?? undefined, undefined)
  stream.write(bytes(onePage))
  t.is((await failed).code, 'ERR_MILLRACE_TOO_LARGE')
  t.regex(await peerFailure(t, consumer), /does not fit/)
})

test('a write is done when it lies in the ring; a full one holds the stream up', async (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  const stream = toWritable(producer, { highWaterMark: 1000 })
  t.is((await write(stream, bytes(500))) ?? undefined, undefined)
  let more = true
  let written = 500
  while (more || producer.freeBytes > 1000) {
    more = stream.write(bytes(500))
    written += 500
    await new Promise(setImmediate)
  }
  t.true(stream.writableNeedDrain)
  const drained = once(stream, 'drain')
  let received = 0
  const reads = (async () => {
    for await (const message of consumer) received += message.length
  })()
  await within(patience, drained)
  stream.end()
  await within(patience, reads)
  t.is(received, written)
})

test('what was corked goes as one batch, in order', async (t) => {
  const { producer, consumer } = openPair(t)
  const stream = toWritable(producer)
  stream.cork()
  for (const part of ['one', 'two', '', 'three']) stream.write(part)
  t.is(consumer.nextLength, -1)
  stream.uncork()
  stream.end()
  t.is((await within(patience, buffer(consumer))).toString(), 'onetwothree')
})

test('one that is destroyed before its end tells the consumer, with the reason or without', async (t) => {
  const cases: [Error | undefined, string][] = [
    [new Error('the camera is gone'), 'the camera is gone'],
    [undefined, 'the stream was destroyed before its end'],
  ]
  for (const [reason, said] of cases) {
    const { producer, consumer } = openPair(t)
    const stream = toWritable(producer)
    await write(stream, 'a part')
    if (reason !== undefined) stream.once('error', () => undefined)
    stream.destroy(reason)
    t.is(await peerFailure(t, consumer), said)
    t.true(producer.closed)
  }
})

test('a source that breaks in a pipeline is told to the consumer', async (t) => {
  const { producer, consumer } = openPair(t)
  const source = new PassThrough()
  const piped = pipeline(source, toWritable(producer))
  source.write('a part')
  t.is(String(await within(patience, consumer.pop())), 'a part')
  source.destroy() // prematurely, without an error
  await t.throwsAsync(within(patience, piped), { code: 'ERR_STREAM_PREMATURE_CLOSE' })
  t.not(await peerFailure(t, consumer), 'an orderly end')
})

test('a write that waits for room ends with the stream, and so do those behind it', async (t) => {
  const { producer } = openPair(t, { capacity: onePage })
  const stream = toWritable(producer)
  const waiting = [write(stream, bytes(10_000)), write(stream, 'behind it')]
  await until(() => producer.freeBytes < 1024)
  stream.destroy()
  for (const error of await within(patience, Promise.all(waiting))) t.true(error instanceof Error)
  t.false(stream.writableFinished)
})

test('with autoClose: false it finishes when everything is sent, and leaves the producer open', async (t) => {
  const { producer, consumer } = openPair(t)
  const stream = toWritable(producer, { autoClose: false })
  stream.end('one')
  await within(patience, once(stream, 'finish'))
  const next = toWritable(producer, { autoClose: false })
  const broken = failure(next)
  next.destroy(new Error('broken'))
  await broken
  t.false(producer.closed)
  t.is(consumer.peer, 'attached')
  await producer.push('two')
  t.is(String(await consumer.pop()), 'one')
  t.is(String(await consumer.pop()), 'two')
})

test('a consumer that closes, gives up or dies is an error while there is more', async (t) => {
  const ends: [(consumer: QueueConsumer) => void, string][] = [
    [
      (consumer) => {
        consumer.close()
      },
      'ERR_MILLRACE_CLOSED',
    ],
    [
      (consumer) => {
        consumer.abort('no more')
      },
      'ERR_MILLRACE_PEER_FAILED',
    ],
  ]
  for (const [end, code] of ends) {
    const { name, producer, consumer } = openPair(t, { capacity: onePage })
    const stream = toWritable(producer)
    const failed = failure(stream)
    stream.write(bytes(10_000))
    await until(() => producer.freeBytes < 1024)
    end(consumer)
    t.is((await failed).code, code)
    t.true(stream.destroyed && producer.closed)
    openConsumer(t, name) // drops what is unread, with the test
  }
  const name = uniqueName(t)
  const other = actor(t)
  const producer = openProducer(t, name)
  await other.do(({ SpscQueue, own }, queue) => {
    own.consumer = SpscQueue.consumer(queue)
  }, name)
  const stream = toWritable(producer)
  const failed = failure(stream)
  stream.end('never read')
  await until(() => producer.freeBytes < producer.capacity)
  await other.kill()
  t.is((await failed).code, 'ERR_MILLRACE_PEER_GONE')
  const next = openConsumer(t, name)
  t.is(String(next.tryPop()), 'never read')
  t.regex(await peerFailure(t, next), /died/)
})

test('a producer that is closed already refuses each write', async (t) => {
  const { producer } = openPair(t)
  producer.close()
  const stream = toWritable(producer)
  const failed = failure(stream)
  stream.write(bytes(100_000))
  t.is((await failed).code, 'ERR_MILLRACE_CLOSED')
})

test('a signal destroys it, also one that is aborted already', async (t) => {
  for (const early of [true, false]) {
    const { producer, consumer } = openPair(t)
    const controller = new AbortController()
    if (early) controller.abort()
    const stream = toWritable(producer, { signal: controller.signal })
    const failed = failure(stream)
    if (!early) controller.abort()
    t.is((await failed).name, 'AbortError')
    t.regex(await peerFailure(t, consumer), /aborted/)
  }
})

test('it becomes a web stream: to close that waits for the consumer, to abort it tells the reason', async (t) => {
  const whole = openPair(t)
  const writer = Writable.toWeb(toWritable(whole.producer)).getWriter()
  const received = buffer(whole.consumer)
  await within(patience, writer.write(Buffer.from('whole')))
  await within(patience, writer.close())
  t.is((await received).toString(), 'whole')

  const part = openPair(t)
  const other = Writable.toWeb(toWritable(part.producer)).getWriter()
  await within(patience, other.write(Buffer.from('a part')))
  await within(patience, other.abort(new Error('changed my mind')))
  t.is(await peerFailure(t, part.consumer), 'changed my mind')
})

test.serial('a queue that never fills leaves the event loop its turns', async (t) => {
  const { producer, consumer } = openPair(t)
  const stream = toWritable(producer)
  let chunks = 0
  const began = performance.now()
  const turn = new Promise<number>((resolve) => {
    setTimeout(() => {
      resolve(performance.now() - began)
    }, 200)
  })
  const write = () => {
    chunks++
    if (stream.destroyed || performance.now() - began > 5000) return // the turn does not come
    stream.write('another one', () => {
      if (!consumer.closed) consumer.tryPop()
      write()
    })
  }
  write()
  const waited = await within(patience, turn)
  stream.destroy()
  t.true(waited < 2000, `${waited} ms`)
  t.true(chunks > 100, `${chunks}`)
})

test('two queues make a Duplex', async (t) => {
  const there = openPair(t)
  const back = openPair(t)
  const client = Duplex.from({
    readable: toReadable(back.consumer),
    writable: toWritable(there.producer),
  })
  const server = pipeline(
    toReadable(there.consumer),
    async function* (chunks: AsyncIterable<Buffer>) {
      for await (const chunk of chunks) yield chunk.toString().toUpperCase()
    },
    toWritable(back.producer),
  )
  client.end('hello')
  t.is((await within(patience, buffer(client))).toString(), 'HELLO')
  await within(patience, server)
})

test('what cannot be understood is refused', (t) => {
  const { producer, consumer } = openPair(t)
  const wrong = { code: 'ERR_MILLRACE_INVALID_ARGUMENT' }
  for (const side of [undefined, null, 7, 'name', consumer])
    t.throws(() => toWritable(side as never), wrong)
  for (const options of [{ autoClose: 1 }, { highWaterMark: 1.5 }, { end: false }, { signal: 1 }])
    t.throws(() => toWritable(producer, options as never), wrong)
  t.false(producer.closed)
})
