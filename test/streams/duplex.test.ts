// Two queues as one stream, of Node's and of the web's: both directions, each end, and how an end is told to the other process.

import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import { PassThrough, Readable } from 'node:stream'
import { finished, pipeline } from 'node:stream/promises'
import test, { type ExecutionContext } from 'ava'
import { SpscQueue, type QueueOptions } from 'millrace'
import { struct, u32 } from 'millrace/struct'
import { toDuplex, toStreamPair, type DuplexOptions } from 'millrace/streams'

import { actor } from '../support/actor.js'
import { uniqueName } from '../support/names.js'
import { bytes, onePage, openConsumer, openPair, openProducer } from '../support/queues.js'
import { until, within } from '../support/until.js'

const patience = 15_000

/** Two queues, and both ends of each in this process. */
function openBoth(t: ExecutionContext, options?: QueueOptions) {
  const there = openPair(t, options)
  const back = openPair(t, options)
  return {
    names: [there.name, back.name],
    here: { producer: there.producer, consumer: back.consumer },
    beyond: { producer: back.producer, consumer: there.consumer },
  }
}

function openEnds(t: ExecutionContext, options?: DuplexOptions, queue?: QueueOptions) {
  const { names, here, beyond } = openBoth(t, queue)
  return { names, here, beyond, near: toDuplex(here, options), far: toDuplex(beyond, options) }
}

/** All that can be read, as Node's `buffer()`, which destroys a Duplex when it has read it. */
async function contentOf(stream: Duplex): Promise<Buffer> {
  const chunks: Buffer[] = []
  stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  await once(stream, 'end')
  return Buffer.concat(chunks)
}

/** Waits for the error that a stream is destroyed with. */
async function failure(stream: Duplex): Promise<Error & { readonly code?: string }> {
  const [error] = (await within(patience, once(stream, 'error'))) as [Error]
  return error
}

test('bytes go both ways at once, whole and in order', async (t) => {
  const { near, far, here, beyond } = openEnds(t, {}, { capacity: onePage })
  const [there, back] = [bytes(300_000, 1), bytes(200_000, 2)]
  near.end(there)
  far.end(back)
  const [atFar, atNear] = await within(patience, Promise.all([contentOf(far), contentOf(near)]))
  t.true(there.equals(atFar))
  t.true(back.equals(atNear))
  await within(patience, Promise.all([finished(near), finished(far)]))
  for (const side of [...Object.values(here), ...Object.values(beyond)]) t.true(side.closed)
})

test('another process answers: pipeline through it, as through any transform', async (t) => {
  const name = uniqueName(t)
  const pair = {
    producer: openProducer(t, `${name}-there`, { capacity: onePage }),
    consumer: openConsumer(t, `${name}-back`, { capacity: onePage }),
  }
  const other = actor(t)
  await other.do(async ({ SpscQueue }, queue) => {
    const { toDuplex } = await import('millrace/streams')
    const { pipeline } = await import('node:stream/promises')
    const stream = toDuplex({
      producer: SpscQueue.producer(`${queue}-back`),
      consumer: SpscQueue.consumer(`${queue}-there`),
    })
    void pipeline(stream, process.getBuiltinModule('node:zlib').createGzip(), stream)
  }, name)
  const original = bytes(500_000)
  const sink = process.getBuiltinModule('node:zlib').createGunzip()
  const received = contentOf(sink)
  await within(patience, pipeline(Readable.from([original]), toDuplex(pair), sink))
  t.true(original.equals(await within(patience, received)))
})

test('one side may have ended while the other goes on', async (t) => {
  const { near, far } = openEnds(t)
  near.end('the question')
  t.is(String(await within(patience, contentOf(far))), 'the question')
  t.true(!near.writable && !near.destroyed && !far.destroyed)
  far.write('the ')
  far.end('answer')
  t.is(String(await within(patience, contentOf(near))), 'the answer')
  await within(patience, finished(far))
})

test('with allowHalfOpen: false it ends writing when it has read everything', async (t) => {
  const { near, far } = openEnds(t, { allowHalfOpen: false })
  near.end('the question')
  t.is(String(await within(patience, contentOf(far))), 'the question')
  t.is(String(await within(patience, contentOf(near))), '')
  await within(patience, Promise.all([finished(near), finished(far)]))
  t.true(far.writableFinished)
})

test('it finishes when everything is read, not when everything is sent', async (t) => {
  const { here, beyond } = openBoth(t)
  const near = toDuplex(here)
  near.end('one')
  let isFinished = false
  near.once('finish', () => (isFinished = true))
  await until(() => near.writableLength === 0)
  for (let i = 0; i < 10; i++) await new Promise(setImmediate)
  t.false(isFinished)
  t.is(String(beyond.consumer.tryPop()), 'one')
  await within(patience, once(near, 'finish'))
  t.true(here.producer.closed)
  near.destroy()
})

test('each side has its own mode and its own mark', async (t) => {
  const Tick = struct({ size: u32 })
  const name = uniqueName(t)
  const open = <T>(side: T & Disposable): T => {
    t.teardown(() => {
      side[Symbol.dispose]()
    })
    return side
  }
  const near = toDuplex(
    {
      producer: open(SpscQueue.producer(`${name}-ticks`, { schema: Tick })),
      consumer: open(SpscQueue.consumer(`${name}-text`)),
    },
    { writableObjectMode: true, readableHighWaterMark: 11, writableHighWaterMark: 3 },
  )
  t.true(near.writableObjectMode)
  t.false(near.readableObjectMode)
  t.is(near.readableHighWaterMark, 11)
  t.is(near.writableHighWaterMark, 3)
  const far = toDuplex(
    {
      producer: open(SpscQueue.producer(`${name}-text`)),
      consumer: open(SpscQueue.consumer(`${name}-ticks`, { schema: Tick })),
    },
    { readableObjectMode: true },
  )
  t.is(far.readableHighWaterMark, 16)
  t.is(far.writableHighWaterMark, 65_536)
  for (const size of [1, 2, 3]) near.write({ size })
  near.end()
  const seen: unknown[] = []
  far.on('data', (tick) => seen.push(tick))
  await within(patience, once(far, 'end'))
  t.deepEqual(seen, [{ size: 1 }, { size: 2 }, { size: 3 }])
  far.end('seen')
  t.is(String(await within(patience, contentOf(near))), 'seen')
})

test('objectMode and highWaterMark are of both sides', (t) => {
  const both = toDuplex(openBoth(t).here, { objectMode: true, highWaterMark: 5 })
  t.true(both.readableObjectMode && both.writableObjectMode)
  t.is(both.readableHighWaterMark, 5)
  t.is(both.writableHighWaterMark, 5)
  both.destroy()
})

test('who is slow at one end makes the other end wait', async (t) => {
  const { here, beyond } = openBoth(t, { capacity: onePage })
  const near = toDuplex(here, { highWaterMark: 1000 })
  const far = toDuplex(beyond, { highWaterMark: 1000 })
  let written = 0
  const writing = (async () => {
    for (let i = 0; i < 100; i++) {
      written++
      if (!near.write(bytes(500, i))) await once(near, 'drain')
    }
    near.end()
  })()
  await until(() => here.producer.freeBytes < 1000)
  for (let i = 0; i < 50; i++) await new Promise(setImmediate)
  t.true(written < 20, `${written} chunks of 500 bytes are written, and nobody reads`)
  t.is((await within(patience, contentOf(far))).length, 50_000)
  await within(patience, writing)
  near.destroy()
  far.destroy()
})

test('destroy() ends at once, whatever it waits for, and the other end hears that it was no end', async (t) => {
  const { near, far, here } = openEnds(t, {}, { capacity: onePage })
  near.resume() // waits for a message
  // The first waits for room, the second for the first.
  const written = [bytes(100_000), 'more'].map(
    (chunk) => new Promise((resolve) => near.write(chunk, resolve)),
  )
  await new Promise(setImmediate)
  const failed = failure(far.resume())
  near.destroy()
  t.true(here.producer.closed && here.consumer.closed)
  await within(patience, once(near, 'close'))
  for (const error of (await within(patience, Promise.all(written))) as { code?: string }[]) {
    t.is(error.code, 'ERR_STREAM_DESTROYED')
  }
  t.is((await failed).code, 'ERR_MILLRACE_PEER_FAILED')
  t.true(far.destroyed)
})

test('an error of either end is told to the other', async (t) => {
  for (const reads of [true, false]) {
    const { names, near, far, beyond } = openEnds(t)
    if (reads) far.resume()
    else far.write('something')
    await new Promise(setImmediate)
    const failed = reads ? failure(far) : undefined
    const own = failure(near)
    near.destroy(new Error('the disk is full'))
    t.is((await own).message, 'the disk is full')
    const told = await (failed ?? failure(far.resume()))
    t.is(told.code, 'ERR_MILLRACE_PEER_FAILED')
    t.regex(told.message, /the disk is full/)
    t.true(beyond.producer.closed && beyond.consumer.closed)
    for (const name of names) openConsumer(t, name) // drops what is unread, with the test
  }
})

test('a process that is killed is an error, for who reads and for who writes', async (t) => {
  for (const does of ['reads', 'writes', 'ends'] as const) {
    const name = uniqueName(t)
    const pair = {
      producer: openProducer(t, `${name}-there`, { capacity: onePage }),
      consumer: openConsumer(t, `${name}-back`),
    }
    const other = actor(t)
    await other.do(({ SpscQueue, own }, queue) => {
      own.producer = SpscQueue.producer(`${queue}-back`)
      own.consumer = SpscQueue.consumer(`${queue}-there`)
    }, name)
    const near = toDuplex(pair)
    if (does === 'reads') near.resume()
    else if (does === 'writes') near.write(bytes(100_000))
    else near.end('nobody reads this')
    await new Promise(setImmediate)
    const failed = failure(near)
    await other.kill()
    t.is((await failed).code, 'ERR_MILLRACE_PEER_GONE', does)
    t.true(pair.producer.closed && pair.consumer.closed, does)
    openConsumer(t, `${name}-there`) // drops what is unread, with the test
  }
})

test('a pipeline with it fails with the error of its other streams', async (t) => {
  const { names, near, far } = openEnds(t)
  near.write('one')
  const failed = failure(near)
  const full = new PassThrough()
  const done = pipeline(far, full)
  await within(patience, once(full, 'data'))
  full.destroy(new Error('no space left'))
  await t.throwsAsync(within(patience, done), { message: 'no space left' })
  near.write('two')
  near.resume()
  t.regex((await failed).message, /no space left/)
  for (const name of names) openConsumer(t, name) // drops what is unread, with the test
})

test('a signal destroys it, also one that is aborted already', async (t) => {
  for (const early of [true, false]) {
    const { here, beyond } = openBoth(t)
    const controller = new AbortController()
    if (early) controller.abort()
    const near = toDuplex(here, { signal: controller.signal })
    const failed = failure(near)
    if (!early) {
      near.resume()
      await new Promise(setImmediate)
      controller.abort()
    }
    t.is((await failed).name, 'AbortError')
    t.is(beyond.producer.peer, 'closed')
    t.is(beyond.consumer.peer, 'failed')
  }
})

test('with autoClose: false both queues stay open, and serve another stream', async (t) => {
  const { here, beyond } = openBoth(t)
  for (const text of ['first', 'second']) {
    const near = toDuplex(here, { autoClose: false })
    near.end(text)
    await within(patience, once(near, 'finish'))
    near.destroy()
    t.is(String(await beyond.consumer.pop({ timeout: patience })), text)
  }
  t.false(here.producer.closed || here.consumer.closed)
})

test('what cannot be understood is refused, and closes nothing', (t) => {
  const { here } = openBoth(t)
  const wrong = { code: 'ERR_MILLRACE_INVALID_ARGUMENT' }
  const { producer, consumer } = here
  const noPairs = [undefined, null, 7, {}, here.producer, { producer }, { consumer }]
  const crossed = { producer: consumer, consumer: producer }
  for (const pair of [...noPairs, crossed]) {
    t.throws(() => toDuplex(pair as never), wrong)
    t.throws(() => toStreamPair(pair as never), wrong)
  }
  const options = [
    { allowHalfOpen: 1 },
    { readableObjectMode: 'yes' },
    { writableHighWaterMark: -1 },
    { readableHighWaterMark: 0.5 },
    { highWaterMark: NaN },
    { signal: {} },
    { end: true },
  ]
  for (const given of options) t.throws(() => toDuplex(here, given as never), wrong)
  t.throws(() => toStreamPair(here, { allowHalfOpen: true } as never), wrong)
  t.false(producer.closed || consumer.closed)
})

test('a pair of web streams: pipeThrough what another process does', async (t) => {
  const name = uniqueName(t)
  const pair = toStreamPair({
    producer: openProducer(t, `${name}-there`, { capacity: onePage }),
    consumer: openConsumer(t, `${name}-back`, { capacity: onePage }),
  })
  const other = actor(t)
  await other.do(async ({ SpscQueue }, queue) => {
    const { toStreamPair } = await import('millrace/streams')
    const { readable, writable } = toStreamPair({
      producer: SpscQueue.producer(`${queue}-back`),
      consumer: SpscQueue.consumer(`${queue}-there`),
    })
    void readable.pipeThrough(new CompressionStream('gzip')).pipeTo(writable)
  }, name)
  const original = bytes(300_000)
  const back = new Blob([original])
    .stream()
    .pipeThrough(pair)
    .pipeThrough(new DecompressionStream('gzip'))
  const received = Buffer.from(await within(patience, new Response(back).arrayBuffer()))
  t.true(original.equals(received))
})

test('a pair of web streams of values; each fails for itself', async (t) => {
  const { here, beyond } = openBoth(t)
  const near = toStreamPair(here, { objectMode: true })
  await near.writable.getWriter().write('one')
  t.is(String(beyond.consumer.tryPop()), 'one')
  const reader = near.readable.getReader()
  beyond.producer.abort(new Error('enough'))
  const error = await t.throwsAsync(within(patience, reader.read()))
  t.is((error as { code?: string }).code, 'ERR_MILLRACE_PEER_FAILED')
  t.false(here.producer.closed)
})
