// Frames into a file: recorded, from where they lie in shared memory; and in turn with that, the same bytes by `writev` out of
// buffers, as many as the channel has slots: one alone would lie in the caches. Both in the same folder, which is removed.

import { closeSync, mkdtempSync, openSync, rmSync, writev } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { promisify } from 'node:util'

import { FrameWriter } from 'millrace'
import { openRecording, record, takePart, type RecordSource } from 'millrace/recording'

import { Content, payload } from '../side/content.js'
import { Stopwatch, type Measured } from '../side/measured.js'
import type { Parameters } from '../side/parameters.js'

const slots = 8
/** Frames that were published, and are not in the file. */
const inFlight = 3
/** What a recording has before each frame. */
const headBytes = 80

export async function lead(parameters: Parameters): Promise<Measured> {
  const { name, bytes } = parameters
  const folder = mkdtempSync(join(tmpdir(), `${name}-`))
  try {
    using writer = FrameWriter.create(name, { slotBytes: bytes, slots })
    return await measure(parameters, folder, writer)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

async function measure(
  parameters: Parameters,
  folder: string,
  writer: FrameWriter,
): Promise<Measured> {
  const { bytes, count, warmUp, stretch } = parameters
  const content = new Content(parameters)
  const buffers = Array.from({ length: slots }, () => payload(bytes))
  const ours = new Stopwatch(count)
  const plain = new Stopwatch(count)
  const turn = async (times: Stopwatch, plainTimes: Stopwatch): Promise<void> => {
    const recorded = join(folder, 'recorded.mcap')
    const source = await takePart(writer.name)
    times.start()
    await recordInto(recorded, source, writer, count, content)
    times.stop()
    await judge(recorded, count, content)
    rmSync(recorded)
    const written = join(folder, 'written')
    plainTimes.start()
    await writeInto(written, buffers, count)
    plainTimes.stop()
    rmSync(written)
  }
  const unused = new Stopwatch(count)
  const start = performance.now()
  do await turn(unused, unused)
  while (performance.now() - start < warmUp)
  const end = performance.now() + stretch
  do await turn(ours, plain)
  while (performance.now() < end)
  return { ...ours.result(), parts: { plain: plain.result() } }
}

async function recordInto(
  file: string,
  source: RecordSource,
  writer: FrameWriter,
  count: number,
  content: Content,
): Promise<void> {
  let published = 0
  const publish = async (): Promise<void> => {
    const frame = await writer.loan()
    content.write(frame.bytes, published++)
    frame.publish()
  }
  // Frames are there when the recording begins: it need not wait for the first one until it looks again.
  while (published < Math.min(inFlight, count)) await publish()
  const recorder = await record([source], { file })
  while (published < count) {
    if (published - recorder.stats.recorded < inFlight) await publish()
    else await pause(2) // to spin would take the core from who writes, and each look takes some of it
  }
  const { dropped, recorded } = await recorder.stop()
  if (dropped > 0 || recorded < count) throw new Error(`${String(dropped)} frames are not recorded`)
}

/** All frames are in it, in their order; where content is checked, byte by byte. */
async function judge(file: string, count: number, content: Content): Promise<void> {
  await using recording = await openRecording(file)
  let read = 0
  for await (const { bytes } of recording.messages()) content.read(bytes, read++)
  if (read !== count) throw new Error(`${String(count - read)} frames are not in the file`)
}

async function writeInto(
  file: string,
  buffers: readonly Uint8Array[],
  count: number,
): Promise<void> {
  const write = promisify(writev)
  const descriptor = openSync(file, 'w')
  const head = new Uint8Array(headBytes)
  let at = 0
  try {
    for (let written = 0; written < count; written++) {
      const buffer = buffers[written % buffers.length]!
      const { bytesWritten } = await write(descriptor, [head, buffer], at)
      if (bytesWritten !== head.length + buffer.length) throw new Error('the disk is full')
      at += bytesWritten
    }
  } finally {
    closeSync(descriptor)
  }
}
