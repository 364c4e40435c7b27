// A queue as a Readable: what arrives, how far ahead it reads, and how either side's end is told to the other.

import { once } from 'node:events'
import { Readable, Transform } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { pipeline } from 'node:stream/promises'
import test from 'ava'
import { SpscQueue } from 'millrace'
import { char, struct, u32 } from 'millrace/struct'
import { toReadable } from 'millrace/streams'

import { actor } from '../support/actor.js'
import { uniqueName } from '../support/names.js'
import { bytes, onePage, openConsumer, openPair, openProducer } from '../support/queues.js'
import { until, within } from '../support/until.js'

const patience = 15_000
const megabyte = 1 << 20

/** Waits for the error that a stream is destroyed with. */
async function failure(stream: Readable): Promise<Error & { readonly code?: string }> {
  const [error] = (await within(patience, once(stream, 'error'))) as [Error]
  return error
}

test('bytes arrive whole and in order, whatever the length of messages', async (t) => {
  const { producer, consumer } = openPair(t, { capacity: megabyte })
  const messages = [1, 0, 7, 60_000, 0, 33_000, 70_000, 5, 200_000].map((length) => bytes(length))
  const received = buffer(toReadable(consumer))
  for (const message of messages) await producer.push(message)
  producer.close()
  t.true(Buffer.concat(messages).equals(await within(patience, received)))
  t.true(consumer.closed)
})

test('short messages come together in one chunk', async (t) => {
  const { producer, consumer } = openPair(t, { capacity: megabyte })
  const messages = Array.from({ length: 1000 }, (_, i) => bytes(i % 40, i))
  for (const message of messages) producer.tryPush(message)
  producer.close()
  const chunks: Buffer[] = []
  for await (const chunk of toReadable(consumer)) chunks.push(chunk as Buffer)
  t.true(Buffer.concat(messages).equals(Buffer.concat(chunks)))
  t.true(chunks.length < 5, `${chunks.length} chunks`)
})

test('chunks are their own memory: what comes later does not change them', async (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  const stream = toReadable(consumer)
  const chunks: Buffer[] = []
  stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  await producer.push('one')
  await until(() => chunks.length === 1)
  await producer.push('two')
  await until(() => chunks.length === 2)
  t.is(chunks[0]!.toString(), 'one')
  stream.destroy()
})

test('in objectMode each message is a chunk, also an empty one', async (t) => {
  const { producer, consumer } = openPair(t)
  for (const message of ['one', '', 'three']) producer.tryPush(message)
  producer.close()
  const seen = await toReadable(consumer, { objectMode: true }).map(String).toArray()
  t.deepEqual(seen, ['one', '', 'three'])
})

test('in objectMode values are chunks', async (t) => {
  const Tick = struct({ size: u32, symbol: char(4) })
  const name = uniqueName(t)
  const producer = SpscQueue.producer(name, { schema: Tick })
  const consumer = SpscQueue.consumer(name, { schema: Tick })
  const ticks = [1, 2, 3].map((size) => ({ size, symbol: `S${size}` }))
  await producer.pushBatch(ticks)
  producer.close()
  t.deepEqual(await toReadable(consumer, { objectMode: true }).toArray(), ticks)
})

test('characters of several bytes may be cut by messages', async (t) => {
  const { producer, consumer } = openPair(t)
  const text = Buffer.from('äöü€😀')
  for (const byte of text) producer.tryPush(Uint8Array.of(byte))
  producer.close()
  const stream = toReadable(consumer, { highWaterMark: 2 }).setEncoding('utf8')
  let seen = ''
  for await (const part of stream) seen += String(part)
  t.is(seen, text.toString())
})

test('nothing is received before somebody reads, and then no more than it may buffer', async (t) => {
  const { producer, consumer } = openPair(t, { capacity: megabyte })
  const stream = toReadable(consumer, { highWaterMark: 4000 })
  const whole = producer.freeBytes
  for (let i = 0; i < 100; i++) producer.tryPush(bytes(1000, i))
  const full = producer.freeBytes
  await new Promise(setImmediate)
  t.is(producer.freeBytes, full)
  await within(patience, once(stream, 'readable'))
  await until(() => stream.readableLength >= 4000)
  for (let i = 0; i < 10; i++) await new Promise(setImmediate)
  t.true(stream.readableLength < 8000, `${stream.readableLength}`)
  const received = (producer.freeBytes - full) / 1008
  t.true(received >= 4 && received < 8, `${received} messages`)
  producer.close()
  t.is((await within(patience, buffer(stream))).length, 100_000)
  t.true(whole > full)
})

test.serial('a queue that never runs dry leaves the event loop its turns', async (t) => {
  for (const objectMode of [false, true]) {
    const { producer, consumer } = openPair(t, { capacity: megabyte })
    const stream = toReadable(consumer, { objectMode })
    let chunks = 0
    const began = performance.now()
    const turn = new Promise<number>((resolve) => {
      setTimeout(() => {
        resolve(performance.now() - began)
      }, 200)
    })
    producer.tryPush('first')
    stream.on('data', () => {
      chunks++
      if (performance.now() - began > 5000) stream.destroy() // the turn does not come
      if (!producer.closed) producer.tryPush('another one')
    })
    const waited = await within(patience, turn)
    stream.destroy()
    t.true(waited < 2000, `${waited} ms`)
    t.true(chunks > 100, `${chunks}`)
    producer.close({ discard: true })
    openConsumer(t, consumer.name) // drops what is unread, with the test
  }
})

test('a stream that was full goes on when somebody reads', async (t) => {
  const { producer, consumer } = openPair(t, { capacity: megabyte })
  const stream = toReadable(consumer, { objectMode: true, highWaterMark: 1 })
  for (let i = 0; i < 50; i++) producer.tryPush(String(i))
  const seen: string[] = []
  while (seen.length < 50) {
    const chunk = stream.read() as Buffer | null
    if (chunk === null) await within(patience, once(stream, 'readable'))
    else seen.push(chunk.toString())
  }
  t.deepEqual(
    seen,
    Array.from({ length: 50 }, (_, i) => String(i)),
  )
  stream.destroy()
})

test('a highWaterMark of 0 receives what is asked for', async (t) => {
  const { producer, consumer } = openPair(t)
  for (const message of ['one', 'two']) producer.tryPush(message)
  producer.close()
  t.is((await buffer(toReadable(consumer, { highWaterMark: 0 }))).toString(), 'onetwo')
})

test('what lies behind a message that is held is received, each for itself', async (t) => {
  const { producer, consumer } = openPair(t)
  for (const message of ['head', 'one', '', 'two']) producer.tryPush(message)
  const head = consumer.tryTake()!
  const stream = toReadable(consumer)
  const chunks: string[] = []
  stream.on('data', (chunk) => chunks.push(String(chunk)))
  await until(() => chunks.length === 2)
  head.release()
  producer.tryPush('three')
  producer.close()
  await within(patience, once(stream, 'end'))
  t.deepEqual(chunks, ['one', 'two', 'three'])
})

test('timers have their turns while messages never end', async (t) => {
  const { producer, consumer } = openPair(t)
  const stream = toReadable(consumer, { objectMode: true })
  stream.on('data', () => {
    if (!producer.closed) producer.tryPush('one for each')
  })
  producer.tryPush('the first')
  await within(patience, new Promise((resolve) => setTimeout(resolve, 20)))
  producer.close()
  await within(patience, once(stream, 'end'))
  t.pass()
})

test('it ends when the producer has closed; with autoClose: false the next one has a stream of its own', async (t) => {
  const { name, producer, consumer } = openPair(t)
  producer.tryPush('one')
  producer.close()
  const options = { autoClose: false }
  t.is((await within(patience, buffer(toReadable(consumer, options)))).toString(), 'one')
  t.false(consumer.closed)
  const next = openProducer(t, name)
  const rest = buffer(toReadable(consumer, options))
  await next.push('two')
  next.close()
  t.is((await within(patience, rest)).toString(), 'two')
  t.false(consumer.closed)
})

test('a producer that gives up destroys it, with the reason', async (t) => {
  const { producer, consumer } = openPair(t)
  const stream = toReadable(consumer)
  producer.tryPush('a part')
  t.is(String((await within(patience, once(stream, 'data')))[0]), 'a part')
  producer.abort(new Error('the disk is full'))
  const error = await failure(stream)
  t.is(error.code, 'ERR_MILLRACE_PEER_FAILED')
  t.regex(error.message, /the disk is full/)
  t.true(stream.destroyed && consumer.closed)
})

test('a producer that is killed destroys it, and its successor hears of no failure', async (t) => {
  const name = uniqueName(t)
  const consumer = openConsumer(t, name)
  const other = actor(t)
  await other.do(({ SpscQueue, own }, queue) => {
    own.producer = SpscQueue.producer(queue)
    own.producer.tryPush('a part')
  }, name)
  const stream = toReadable(consumer)
  await within(patience, once(stream, 'data'))
  const failed = failure(stream)
  await other.kill()
  t.is((await failed).code, 'ERR_MILLRACE_PEER_GONE')
  const next = openProducer(t, name)
  t.not(next.peer, 'failed')
})

test('destroy() closes in good order, and what was not received stays', async (t) => {
  const { name, producer, consumer } = openPair(t)
  const stream = toReadable(consumer)
  stream.resume() // it waits
  await new Promise(setImmediate)
  stream.destroy()
  await within(patience, once(stream, 'close'))
  t.is(producer.peer, 'closed')
  producer.tryPush('for the next one')
  t.is(String(openConsumer(t, name).tryPop()), 'for the next one')
})

test('with autoClose: false a stream that is destroyed while it waits takes nothing', async (t) => {
  const { producer, consumer } = openPair(t)
  const stream = toReadable(consumer, { autoClose: false })
  stream.resume()
  await new Promise(setImmediate)
  stream.destroy(new Error('not any more'))
  t.is((await failure(stream)).message, 'not any more')
  producer.tryPush('one')
  await new Promise(setImmediate)
  t.is(producer.peer, 'attached')
  t.is(String(await consumer.pop({ timeout: patience })), 'one')
})

test('to leave a loop closes in good order', async (t) => {
  const { producer, consumer } = openPair(t)
  for (const message of ['one', 'two']) producer.tryPush(message)
  for await (const chunk of toReadable(consumer, { objectMode: true })) {
    t.is(String(chunk), 'one')
    break
  }
  t.is(producer.peer, 'closed')
})

test('what else fails in a pipeline is told to the producer', async (t) => {
  const { name, producer, consumer } = openPair(t)
  const full = new Transform({
    transform(_chunk, _encoding, callback) {
      callback(new Error('no space left'))
    },
  })
  producer.tryPush('one')
  await t.throwsAsync(within(patience, pipeline(toReadable(consumer), full)), {
    message: 'no space left',
  })
  t.is(producer.peer, 'failed')
  const goesOn = async () => {
    for (;;) await producer.push(bytes(1000))
  }
  const error = await t.throwsAsync(goesOn(), { code: 'ERR_MILLRACE_PEER_FAILED' })
  t.regex(error.message, /no space left/)
  openConsumer(t, name) // drops what is unread, with the test
})

test('a consumer that is closed by others is an error: the rest is missing', async (t) => {
  const { consumer } = openPair(t)
  const stream = toReadable(consumer)
  stream.resume()
  await new Promise(setImmediate)
  consumer.close()
  t.is((await failure(stream)).code, 'ERR_MILLRACE_CLOSED')
})

test('a message that is no value of the schema destroys it', async (t) => {
  const Tick = struct({ size: u32 })
  const name = uniqueName(t)
  const producer = openProducer(t, name)
  const consumer = SpscQueue.consumer(name, { schema: Tick })
  producer.tryPush('five!')
  const error = await failure(toReadable(consumer, { objectMode: true }).resume())
  t.is(error.code, 'ERR_MILLRACE_SCHEMA')
  t.is(producer.peer, 'failed')
  openConsumer(t, name)
})

test('a signal destroys it, also one that is aborted already', async (t) => {
  for (const early of [true, false]) {
    const { producer, consumer } = openPair(t)
    const controller = new AbortController()
    if (early) controller.abort()
    const stream = toReadable(consumer, { signal: controller.signal })
    const failed = failure(stream)
    if (!early) {
      stream.resume()
      await new Promise(setImmediate)
      controller.abort()
    }
    t.is((await failed).name, 'AbortError')
    t.is(producer.peer, 'closed')
  }
})

test('it becomes a web stream, and to cancel that closes the consumer', async (t) => {
  const { producer, consumer } = openPair(t)
  producer.tryPush('one')
  const web = Readable.toWeb(toReadable(consumer))
  const reader = web.getReader()
  const { value } = (await within(patience, reader.read())) as { value: Uint8Array }
  t.is(Buffer.from(value).toString(), 'one')
  await within(patience, reader.cancel())
  await until(() => producer.peer !== 'attached')
  t.true(consumer.closed)
})

test('what cannot be understood is refused', (t) => {
  const { producer, consumer } = openPair(t)
  const wrong = { code: 'ERR_MILLRACE_INVALID_ARGUMENT' }
  for (const side of [undefined, null, 7, 'name', producer])
    t.throws(() => toReadable(side as never), wrong)
  for (const options of [{ objectMode: 1 }, { highWaterMark: -1 }, { size: 1 }, { signal: {} }])
    t.throws(() => toReadable(consumer, options as never), wrong)
  t.throws(() => toReadable(consumer, null as never), wrong)
  t.false(consumer.closed)
})
