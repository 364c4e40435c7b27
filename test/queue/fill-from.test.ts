// Messages out of streams of bytes: pipes and sockets that other processes write to, files, streams.

import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { closeSync, constants, fstatSync, openSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import test, { type ExecutionContext } from 'ava'
import {
  MillraceError,
  RecordQueue,
  SpscQueue,
  type FillSource,
  type QueueConsumer,
} from 'millrace'
import { struct, u32 } from 'millrace/struct'

import { actor } from '../support/actor.js'
import { ownDirectory } from '../support/directory.js'
import { uniqueName } from '../support/names.js'
import { bytes, onePage, openConsumer, openPair } from '../support/queues.js'
import { until, within } from '../support/until.js'

const patience = 20_000
const code = (name: string) => ({ instanceOf: MillraceError, code: `ERR_MILLRACE_${name}` })

const program = `
  const [length, piece, stay] = process.argv.slice(1).map(Number)
  const { writeSync } = require('node:fs')
  const buffer = Buffer.alloc(length)
  for (let i = 0; i < length; i++) buffer[i] = (length * 31 + i * 7 + (i >> 8)) & 0xff
  for (let at = 0; at < length;) at += writeSync(1, buffer, at, Math.min(piece, length - at))
  if (stay) setInterval(() => undefined, 1000)
`

/** A process that writes `bytes(length)` to its output in pieces. */
function talker(
  t: ExecutionContext,
  output: number | 'pipe',
  length: number,
  { piece = 4096, stays = false } = {},
): ChildProcess {
  const args = ['-e', program, String(length), String(piece), stays ? '1' : '0']
  const child = spawn(process.execPath, args, { stdio: ['ignore', output, 'ignore'] })
  t.teardown(() => child.kill('SIGKILL'))
  return child
}

/** The reading end of a pipe that a process writes to. */
function pipeFrom(
  t: ExecutionContext,
  length: number,
  options?: Parameters<typeof talker>[3],
): number {
  const path = join(ownDirectory(t), 'pipe')
  spawnSync('mkfifo', [path])
  const reading = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  const writing = openSync(path, constants.O_WRONLY)
  const child = talker(t, writing, length, options)
  child.once('spawn', () => {
    closeSync(writing)
  })
  return reading
}

function fileOf(t: ExecutionContext, length: number): number {
  const path = join(ownDirectory(t), 'file')
  writeFileSync(path, bytes(length))
  return openSync(path, 'r')
}

async function* chunksOf(length: number, pieces: readonly number[]): AsyncGenerator<Uint8Array> {
  const all = bytes(length)
  for (let at = 0, i = 0; at < length; i++) {
    const piece = pieces[i % pieces.length]!
    yield all.subarray(at, at + piece)
    at += piece
    if (i % 7 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
}

async function messagesOf(consumer: QueueConsumer): Promise<Buffer[]> {
  const messages: Buffer[] = []
  for await (const message of consumer) messages.push(message)
  return messages
}

const total = 1_300_017
type Open = (t: ExecutionContext, length: number) => FillSource | Promise<FillSource>
const sources: readonly (readonly [string, Open])[] = [
  ['a pipe', (t, length) => pipeFrom(t, length, { piece: 70_001 })],
  ['a pipe with small pieces', (t, length) => pipeFrom(t, length, { piece: 1013 })],
  ['the output of a child', (t, length) => talker(t, 'pipe', length).stdout!],
  ['a file', fileOf],
  ['a generator of odd chunks', (_, length) => chunksOf(length, [1, 99_999, 300_000, 3])],
  ['a web stream', (_, length) => Readable.toWeb(Readable.from(chunksOf(length, [70_000])))],
]

for (const [what, open] of sources) {
  test(`${what} becomes messages, every byte in its place`, async (t) => {
    for (const capacity of [onePage, 1 << 20]) {
      const { producer, consumer } = openPair(t, { capacity })
      const received = messagesOf(consumer)
      t.is(await within(patience, producer.fillFrom(await open(t, total))), total)
      await within(patience, producer.end())
      const messages = await within(patience, received)
      t.true(bytes(total).equals(Buffer.concat(messages)))
      const most = Math.min(65_536, capacity / 4 - 8)
      t.true(messages.every(({ length }) => length > 0 && length <= most))
    }
  })

  test(`${what} becomes messages of one length, however the bytes come`, async (t) => {
    const { producer, consumer } = openPair(t, { capacity: 1 << 18 })
    const received = messagesOf(consumer)
    const messageBytes = 10_007
    const length = 60 * messageBytes
    const done = producer.fillFrom(await open(t, length), { messageBytes })
    t.is(await within(patience, done), length)
    producer.close()
    const messages = await within(patience, received)
    t.true(messages.length === 60 && messages.every((one) => one.length === messageBytes))
    t.true(bytes(length).equals(Buffer.concat(messages)))
  })

  test(`${what} that ends within a message: what is missing is told, and it is not sent`, async (t) => {
    const { producer, consumer } = openPair(t, { capacity: 1 << 18 })
    const filling = producer.fillFrom(await open(t, 30_000 - 17), { messageBytes: 10_000 })
    const error = await t.throwsAsync(within(patience, filling), code('INCOMPLETE'))
    t.regex(error.message, /middle of message 3: 17 of its 10000 bytes are missing; the 2 before/u)
    t.true(producer.tryPush('goes on'))
    producer.close()
    const messages = await within(patience, messagesOf(consumer))
    t.deepEqual(
      messages.map(({ length }) => length),
      [10_000, 10_000, 7],
    )
  })

  test(`${what} that is empty sends nothing`, async (t) => {
    const { producer, consumer } = openPair(t)
    t.is(await within(patience, producer.fillFrom(await open(t, 0))), 0)
    t.is(consumer.tryPop(), undefined)
    t.true(producer.tryPush('x'))
    consumer.tryPop()
  })
}

test('a socket is read as a pipe is', async (t) => {
  const server = createServer({ pauseOnConnect: true })
  const path = join(ownDirectory(t), 'socket')
  server.listen(path)
  await once(server, 'listening')
  const [[socket], child] = await Promise.all([
    once(server, 'connection') as Promise<[Socket]>,
    Promise.resolve(
      spawn(
        process.execPath,
        [
          '-e',
          `const s = require('node:net').connect(process.argv[1]); const b = Buffer.alloc(500000)
           for (let i = 0; i < b.length; i++) b[i] = (b.length * 31 + i * 7 + (i >> 8)) & 0xff; s.end(b)`,
          path,
        ],
        { stdio: 'inherit' },
      ),
    ),
  ])
  t.teardown(() => {
    child.kill('SIGKILL')
    socket.destroy()
    server.close()
  })
  const { producer, consumer } = openPair(t, { capacity: 1 << 16 })
  const received = messagesOf(consumer)
  t.is(await within(patience, producer.fillFrom(socket)), 500_000)
  producer.close()
  t.true(bytes(500_000).equals(Buffer.concat(await within(patience, received))))
})

test('what comes in small pieces is sent at once, and a slow consumer makes the pipe wait', async (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  const child = talker(t, 'pipe', 5000, { piece: 10, stays: true })
  const filling = producer.fillFrom(child.stdout!)
  const first = await within(patience, consumer.pop())
  t.true(first!.length > 0)
  await until(() => producer.freeBytes < 1100)
  let received = first!.length
  while (received < 5000) received += (await within(patience, consumer.pop()))!.length
  t.is(received, 5000)
  child.kill('SIGKILL')
  t.is(await within(patience, filling), 5000)
})

test('nobody else sends meanwhile', async (t) => {
  const { producer, consumer } = openPair(t)
  const filling = producer.fillFrom(pipeFrom(t, 10, { stays: true }))
  await within(patience, consumer.pop())
  t.throws(() => producer.tryPush('x'), code('BUSY'))
  t.throws(() => producer.reserve(1), code('BUSY'))
  await t.throwsAsync(producer.fillFrom([] as never), code('BUSY'))
  producer.close()
  await t.throwsAsync(within(patience, filling), code('CLOSED'))
})

for (const waits of ['for bytes', 'for room'] as const) {
  const start = (t: ExecutionContext, signal?: AbortSignal) => {
    const { producer, consumer } = openPair(t, { capacity: onePage })
    const length = waits === 'for bytes' ? 100 : 100_000
    const fd = pipeFrom(t, length, { stays: true })
    const filling = producer.fillFrom(fd, { signal })
    const isThere = () =>
      waits === 'for bytes' ? producer.freeBytes < onePage : producer.freeBytes < 1100
    return { producer, consumer, fd, filling, isThere }
  }
  const isClosed = (fd: number) => {
    try {
      fstatSync(fd)
      return false
    } catch {
      return true
    }
  }

  test(`a signal ends it while it waits ${waits}; the source is closed, the producer is not`, async (t) => {
    const controller = new AbortController()
    const { producer, consumer, fd, filling, isThere } = start(t, controller.signal)
    await until(isThere)
    controller.abort(new Error('enough'))
    const error = await t.throwsAsync(within(patience, filling), code('ABORTED'))
    t.is((error.cause as Error).message, 'enough')
    await until(() => isClosed(fd))
    while (consumer.tryPop() !== undefined);
    t.true(producer.tryPush('goes on'))
    t.is(String(consumer.tryPop()), 'goes on')
  })

  test(`closing the producer ends it while it waits ${waits}, before the memory goes`, async (t) => {
    const { producer, consumer, fd, filling, isThere } = start(t)
    await until(isThere)
    producer.close()
    await t.throwsAsync(within(patience, filling), code('CLOSED'))
    await until(() => isClosed(fd))
    while (consumer.tryPop() !== undefined);
  })
}

test('a consumer that leaves or dies is noticed where push would notice it', async (t) => {
  const name = uniqueName(t)
  const producer = SpscQueue.producer(name, { capacity: onePage })
  const other = actor(t)
  await other.do(({ SpscQueue, own }, queue) => {
    own.consumer = SpscQueue.consumer(queue)
  }, name)
  const filling = producer.fillFrom(pipeFrom(t, 100_000, { stays: true }))
  await until(() => producer.freeBytes < 1100)
  await other.kill()
  await t.throwsAsync(within(patience, filling), code('PEER_GONE'))
  producer.close({ discard: true })
  openConsumer(t, name)
})

test('an error of the source comes out, after what came before it', async (t) => {
  const { producer, consumer } = openPair(t)
  async function* breaks() {
    yield bytes(10)
    await Promise.resolve()
    throw new Error('the sensor is broken')
  }
  await t.throwsAsync(producer.fillFrom(breaks()), { message: 'the sensor is broken' })
  t.is(consumer.tryPop()?.length, 10)
  t.true(producer.tryPush('x'))
  consumer.tryPop()
})

test('what cannot be understood is refused', async (t) => {
  const { producer } = openPair(t, { capacity: onePage })
  for (const source of [undefined, null, -1, 1.5, 9999, 'path', {}, ['x']]) {
    await t.throwsAsync(producer.fillFrom(source as never), code('INVALID_ARGUMENT'))
  }
  for (const options of [
    null,
    7,
    { messageBytes: 0 },
    { messageBytes: 1.5 },
    { signal: {} },
    { x: 1 },
  ]) {
    await t.throwsAsync(
      producer.fillFrom(chunksOf(1, [1]), options as never),
      code('INVALID_ARGUMENT'),
    )
  }
  const large = producer.fillFrom(chunksOf(1, [1]), { messageBytes: onePage })
  await t.throwsAsync(large, code('TOO_LARGE'))
  const aborted = { signal: AbortSignal.abort() }
  await t.throwsAsync(producer.fillFrom(chunksOf(1, [1]), aborted), code('ABORTED'))
  t.true(producer.tryPush('x'))
  producer.close({ discard: true })
  await t.throwsAsync(producer.fillFrom(chunksOf(1, [1])), code('CLOSED'))
})

test('values and records of a schema come as they lie in memory; other lengths are refused', async (t) => {
  const Tick = struct({ size: u32, price: u32 })
  const name = uniqueName(t)
  using producer = SpscQueue.producer(name, { schema: Tick })
  using consumer = SpscQueue.consumer(name, { schema: Tick })
  await t.throwsAsync(producer.fillFrom(chunksOf(16, [5])), code('SCHEMA'))
  const source = Readable.from([Buffer.from([1, 0, 0, 0, 2]), Buffer.from([0, 0, 0])])
  t.is(await producer.fillFrom(source, { messageBytes: Tick.size }), 8)
  t.deepEqual(consumer.tryPop(), { size: 1, price: 2 })
  const other = uniqueName(t)
  using records = RecordQueue.producer(other, { record: Tick })
  using reader = RecordQueue.consumer(other, { record: Tick })
  t.is(await records.fillFrom(Readable.from([Buffer.alloc(48, 1)]), { messageBytes: 24 }), 48)
  t.is(
    reader.drain(() => undefined),
    2,
  ) // batches
})
