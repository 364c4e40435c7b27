// Frames that say of themselves which one they are, and whether they are whole: their header has their number, who wrote them, and the hash
// of all that is in them.

import { createHash } from 'node:crypto'
import type { ExecutionContext } from 'ava'
import { FrameReader, FrameWriter, type Frame, type FrameReaderOptions } from 'millrace'

import { within } from './until.js'

const patience = 20_000

/** A channel that the test writes. */
export function camera(
  t: ExecutionContext,
  name: string,
  { slotBytes = 65_536, slots = 4 }: { readonly slotBytes?: number; readonly slots?: number } = {},
): FrameWriter {
  const writer = FrameWriter.create(name, { slotBytes, slots })
  t.teardown(() => {
    writer.close()
  })
  return writer
}

export async function viewer(
  t: ExecutionContext,
  name: string,
  options: FrameReaderOptions = {},
): Promise<FrameReader> {
  const reader = await FrameReader.open(name, { timeout: patience, ...options })
  t.teardown(() => {
    reader.close()
  })
  return reader
}

/** Publishes one, as soon as there is a slot. */
export async function shoot(
  writer: FrameWriter,
  number: number,
  { who = 0, bytes = writer.slotBytes }: { readonly who?: number; readonly bytes?: number } = {},
): Promise<void> {
  using frame = await within(patience, writer.loan())
  const picture = frame.bytes.subarray(0, bytes)
  picture.fill(1 + ((number * 7 + who) % 250))
  for (let at = 0; at < bytes; at += 4096) picture[at] = (number + at / 4096) & 255
  const header = Buffer.from(frame.header.buffer, frame.header.byteOffset, frame.header.length)
  header.writeUInt32LE(number, 0)
  header.writeUInt32LE(who, 4)
  createHash('sha256').update(picture).digest().copy(header, 8)
  frame.publish({ byteLength: bytes, timestamp: timestampOf(number) })
}

/** Of the frame of that number. */
export const timestampOf = (number: number): bigint => BigInt(number + 1) * 1_000_000n

export interface Seen {
  readonly number: number
  readonly who: number
  readonly bytes: number
  readonly timestamp: bigint
}

/** What the frame says of itself; fails if it is not whole. */
export function seen(t: ExecutionContext, frame: Frame): Seen {
  const header = Buffer.from(frame.header.buffer, frame.header.byteOffset, frame.header.length)
  const hash = createHash('sha256').update(frame.bytes).digest()
  t.true(hash.equals(header.subarray(8, 40)), 'a frame is whole, or does not come')
  return {
    number: header.readUInt32LE(0),
    who: header.readUInt32LE(4),
    bytes: frame.byteLength,
    timestamp: frame.timestamp,
  }
}

export async function look(t: ExecutionContext, reader: FrameReader): Promise<Seen> {
  using frame = await within(patience, reader.receive())
  return seen(t, frame!)
}
