// Frames out of streams of bytes: pipes that other processes write to, files, streams, chunks of any length.

import { spawn, spawnSync } from 'node:child_process'
import { constants, openSync, writeFileSync } from 'node:fs'
import { once } from 'node:events'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { Worker } from 'node:worker_threads'
import test, { type ExecutionContext } from 'ava'
import { FrameReader, FrameWriter, MillraceError, type FrameSource } from 'millrace'
import { ownDirectory } from '../support/directory.js'
import { uniqueName } from '../support/names.js'
import { until, within } from '../support/until.js'

const incomplete = { instanceOf: MillraceError, code: 'ERR_MILLRACE_INCOMPLETE' }
const invalid = { instanceOf: MillraceError, code: 'ERR_MILLRACE_INVALID_ARGUMENT' }

/** Every byte tells where in the stream it is. */
function byteAt(position: number): number {
  return (Math.imul(position, 0x9e3779b1) >>> 24) & 0xff
}

const program = `
  const [bytes, piece, stay] = process.argv.slice(1).map(Number)
  const { writeSync } = require('node:fs')
  const buffer = Buffer.alloc(bytes)
  for (let i = 0; i < bytes; i++) buffer[i] = (Math.imul(i, 0x9e3779b1) >>> 24) & 0xff
  for (let at = 0; at < bytes;) at += writeSync(1, buffer, at, Math.min(piece, bytes - at))
  if (stay) setInterval(() => undefined, 1000)
`

/** A process that writes so many bytes to its output in pieces of `piece`. */
function talker(
  t: ExecutionContext,
  output: number | 'pipe',
  bytes: number,
  { piece = 4096, stays = false } = {},
) {
  const child = spawn(
    process.execPath,
    ['-e', program, String(bytes), String(piece), stays ? '1' : '0'],
    {
      stdio: ['ignore', output, 'ignore'], // it ends with EPIPE where nobody reads any more,
    },
  )
  t.teardown(() => child.kill('SIGKILL'))
  return child
}

/** The reading end of a pipe that a process writes to. */
function pipeFrom(
  t: ExecutionContext,
  bytes: number,
  options?: Parameters<typeof talker>[3],
): number {
  const path = join(ownDirectory(t), 'pipe')
  spawnSync('mkfifo', [path])
  const reading = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  const writing = openSync(path, constants.O_WRONLY)
  const child = talker(t, writing, bytes, options)
  child.once('spawn', () => {
    process.getBuiltinModule('node:fs').closeSync(writing)
  })
  return reading
}

async function* chunksOf(bytes: number, lengths: readonly number[]): AsyncGenerator<Uint8Array> {
  for (let at = 0, i = 0; at < bytes; i++) {
    const length = Math.min(lengths[i % lengths.length]!, bytes - at)
    yield Uint8Array.from({ length }, (_, j) => byteAt(at + j))
    at += length
    if (i % 7 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
}

/** Receives all frames; each must be the next `frameBytes` of the stream. */
async function readAll(reader: FrameReader, frameBytes: number, pauseMs = 0): Promise<number> {
  let frames = 0
  for await (using frame of reader) {
    if (frame.byteLength !== frameBytes) throw new Error(`${frame.byteLength} bytes`)
    const start = frameBytes * frames++
    const wrong = frame.bytes.findIndex((byte, i) => byte !== byteAt(start + i))
    if (wrong >= 0) throw new Error(`frame ${frames} is wrong at ${wrong}`)
    if (pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, pauseMs))
  }
  return frames
}

const frameBytes = 100_003
const sources: readonly (readonly [string, (t: ExecutionContext, bytes: number) => FrameSource])[] =
  [
    ['a pipe', (t, bytes) => pipeFrom(t, bytes, { piece: 70_001 })],
    ['a pipe with small pieces', (t, bytes) => pipeFrom(t, bytes, { piece: 1013 })],
    ['the output of a child', (t, bytes) => talker(t, 'pipe', bytes).stdout!],
    [
      'a file',
      (t, bytes) => {
        const path = join(ownDirectory(t), 'file')
        writeFileSync(
          path,
          Uint8Array.from({ length: bytes }, (_, i) => byteAt(i)),
        )
        return openSync(path, 'r')
      },
    ],
    ['a generator of odd chunks', (_, bytes) => chunksOf(bytes, [1, 99_999, 0, 300_000, 3])],
    ['a Readable', (_, bytes) => Readable.from(chunksOf(bytes, [50_000]), { objectMode: false })],
    ['a web stream', (_, bytes) => Readable.toWeb(Readable.from(chunksOf(bytes, [70_000])))],
  ]
for (const [what, open] of sources) {
  test(`${what} becomes frames, every byte in its place`, async (t) => {
    const name = uniqueName(t)
    using writer = FrameWriter.create(name, { slotBytes: frameBytes + 5, slots: 4 })
    using reader = await FrameReader.open(name)
    const reading = readAll(reader, frameBytes)
    t.is(await within(20_000, writer.fill(open(t, 12 * frameBytes), { frameBytes })), 12)
    t.is(writer.sequence, 12)
    writer.close()
    t.is(await within(20_000, reading), 12)
  })

  test(`${what} that ends within a frame: what is missing is told, and the frame is not seen`, async (t) => {
    const name = uniqueName(t)
    using writer = FrameWriter.create(name, { slotBytes: frameBytes, slots: 4 })
    const error = await t.throwsAsync(
      within(20_000, writer.fill(open(t, 3 * frameBytes - 17))),
      incomplete,
    )
    t.regex(error.message, /middle of frame 3: 17 of its 100003 bytes are missing; the 2 before/u)
    t.is(writer.sequence, 2)
    const loans = [writer.tryLoan(), writer.tryLoan(), writer.tryLoan(), writer.tryLoan()]
    t.false(loans.includes(undefined), 'no slot is lost')
  })

  test(`${what} that is empty gives no frame`, async (t) => {
    using writer = FrameWriter.create(uniqueName(t), { slotBytes: frameBytes })
    t.is(await within(20_000, writer.fill(open(t, 0))), 0)
  })
}

test('a slow reader makes the pipe wait; nothing is lost and nothing overwritten', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 10_007, slots: 2 })
  using reader = await FrameReader.open(name)
  const reading = readAll(reader, 10_007, 2)
  t.is(await within(30_000, writer.fill(pipeFrom(t, 100 * 10_007, { piece: 65_536 }))), 100)
  writer.close()
  t.is(await within(20_000, reading), 100)
})

for (const [what, open] of [
  ['a pipe', (t: ExecutionContext) => pipeFrom(t, 250, { stays: true })],
  ['a stream', (t: ExecutionContext) => talker(t, 'pipe', 250, { stays: true }).stdout!],
] as const) {
  test(`${what} that is silent is left on demand, and its slot comes back`, async (t) => {
    using writer = FrameWriter.create(uniqueName(t), { slotBytes: 100, slots: 2 })
    const abort = new AbortController()
    const filling = writer.fill(open(t), { signal: abort.signal })
    const failed = t.throwsAsync(filling, { code: 'ERR_MILLRACE_ABORTED' })
    await until(() => writer.sequence === 2)
    abort.abort()
    await within(5000, failed)
    const loans = [writer.tryLoan(), writer.tryLoan()]
    t.false(loans.includes(undefined))
  })

  test(`closing the writer ends what is filled from ${what}, while bytes keep coming`, async (t) => {
    const writer = FrameWriter.create(uniqueName(t), { slotBytes: 100, slots: 2 })
    const filling = writer.fill(open(t))
    const failed = t.throwsAsync(filling, { code: 'ERR_MILLRACE_CLOSED' })
    await until(() => writer.sequence === 2)
    writer.close()
    await within(5000, failed)
  })
}

test('the writer may be closed in the middle of a flood', async (t) => {
  for (let round = 0; round < 5; round++) {
    const writer = FrameWriter.create(uniqueName(t), { slotBytes: 65_536, slots: 2 })
    const failed = t.throwsAsync(writer.fill(pipeFrom(t, 50_000_000, { piece: 1_000_000 })), {
      code: 'ERR_MILLRACE_CLOSED',
    })
    await until(() => writer.sequence > 5)
    writer.close()
    await within(5000, failed)
  }
})

for (const end of ['process.exit()', 'new Promise(() => {})'] as const) {
  test(`a worker may end in the middle of a flood (${end})`, async (t) => {
    const name = uniqueName(t)
    const code = `
      const { parentPort, workerData } = require('node:worker_threads')
      const { FrameWriter } = require('millrace')
      const writer = FrameWriter.create(workerData.name, { slotBytes: 65536, slots: 2 })
      writer.fill(workerData.fd).catch(() => undefined)
      setInterval(() => {
        if (writer.sequence <= 5) return
        parentPort.postMessage('flooded')
        ${end}
      }, 1)`
    for (let round = 0; round < 3; round++) {
      const fd = pipeFrom(t, 50_000_000, { piece: 1_000_000 })
      const worker = new Worker(code, {
        eval: true,
        workerData: { name, fd },
        trackUnmanagedFds: false,
      })
      const ended = once(worker, 'exit')
      await within(10_000, once(worker, 'message'))
      await worker.terminate()
      await within(10_000, ended)
    }
    t.pass('this process is alive')
  })
}

test('what a source fails with is passed on, and nothing is lost', async (t) => {
  using writer = FrameWriter.create(uniqueName(t), { slotBytes: 100, slots: 2 })
  async function* failing(): AsyncGenerator<Uint8Array> {
    yield new Uint8Array(150)
    await Promise.reject(new Error('the lens broke'))
  }
  await t.throwsAsync(writer.fill(failing()), { message: 'the lens broke' })
  await t.throwsAsync(writer.fill(Readable.from(failing())), { message: 'the lens broke' })
  t.is(writer.sequence, 2)
  t.false([writer.tryLoan(), writer.tryLoan()].includes(undefined))
})

test('arguments that cannot be meant are refused before anything is read', async (t) => {
  using writer = FrameWriter.create(uniqueName(t), { slotBytes: 100 })
  for (const source of [-1, 1.5, 1_000_000, 'text', null, undefined, {}, [new Uint8Array(3)]]) {
    await t.throwsAsync(writer.fill(source as never), invalid)
  }
  const nothing = chunksOf(0, [1])
  for (const options of [5, { frameBytes: 101 }, { frameBytes: 0 }, { signal: 5 }, { bytes: 3 }]) {
    await t.throwsAsync(writer.fill(nothing, options as never), invalid)
  }
  await t.throwsAsync(writer.fill(nothing, { signal: AbortSignal.abort() }), {
    code: 'ERR_MILLRACE_ABORTED',
  })
  await t.throwsAsync(writer.fill(Readable.from(['text'])), { ...invalid, message: /chunk/u })
})
