// What a frame is between two gateways: parts, each a head and bytes of the frame. The head of the first part has the facts of the frame
// behind it. Whole numbers are doubles where 32 bits may not do; everything is little-endian.
//
//    0  u32  "mrf1"                      40  f64  bytes of the whole frame
//    4  u32  CRC-32 of what follows,     48  f64  where the part begins in it
//            or 0: it is not checked     56  u32  index of the part
//    8  8 B  source: the channel         60  u32  count of parts
//   16  8 B  way: the route that sends   64  u32  bytes of the facts behind the head
//   24  f64  sequence in the channel     68  u32  bytes of the frame behind those
//   32  f64  ordinal on the way: 1, 2 …

import { readFacts, type FrameFacts } from './facts.js'

export const headBytes = 72
/** The facts: with eight hosts, of 64 characters each. */
export const mostFactsBytes = 704

/** A part, without its bytes of the frame. */
export interface Part {
  readonly source: string
  readonly way: string
  readonly sequence: number
  readonly ordinal: number
  /** Bytes of the whole frame. */
  readonly total: number
  readonly offset: number
  readonly index: number
  readonly count: number
  /** Bytes of the frame in this part. */
  readonly length: number
  /** Of the first part. */
  readonly facts: FrameFacts | undefined
}

const mark = 0x3166_726d
const uncheckedBytes = 8

/** Bytes of the facts that this head says to be behind it; undefined: it is no head. */
function factsBytesOf(head: Buffer): number | undefined {
  if (head.length < headBytes || head.readUInt32LE(0) !== mark) return undefined
  const length = head.readUInt32LE(64)
  return length <= mostFactsBytes && headBytes + length <= head.length ? length : undefined
}

/** A head, and its facts, at the start of `target`, which has room for them. Returns their bytes. */
export function writePart(target: Buffer, part: Omit<Part, 'facts'>, facts: Uint8Array): number {
  target.writeUInt32LE(mark, 0)
  target.writeUInt32LE(0, 4)
  target.write(part.source, 8, 'hex')
  target.write(part.way, 16, 'hex')
  target.writeDoubleLE(part.sequence, 24)
  target.writeDoubleLE(part.ordinal, 32)
  target.writeDoubleLE(part.total, 40)
  target.writeDoubleLE(part.offset, 48)
  target.writeUInt32LE(part.index, 56)
  target.writeUInt32LE(part.count, 60)
  target.writeUInt32LE(facts.length, 64)
  target.writeUInt32LE(part.length, 68)
  target.set(facts, headBytes)
  return headBytes + facts.length
}

/** Puts the check into a part that is whole. */
export function seal(whole: Buffer): void {
  whole.writeUInt32LE(checkOf(whole), 4)
}

/** What a message says of the part that it is, or is the head of; undefined: it is none, or was damaged. */
export function readPart(
  message: Uint8Array,
): { readonly part: Part; readonly at: number } | undefined {
  const head = Buffer.from(message.buffer, message.byteOffset, message.length)
  const factsBytes = factsBytesOf(head)
  if (factsBytes === undefined) return undefined
  const check = head.readUInt32LE(4)
  if (check !== 0 && check !== checkOf(head)) return undefined
  const at = headBytes + factsBytes
  const facts = factsBytes === 0 ? undefined : readFacts(head.subarray(headBytes, at))
  const part: Part = {
    source: head.toString('hex', 8, 16),
    way: head.toString('hex', 16, 24),
    sequence: head.readDoubleLE(24),
    ordinal: head.readDoubleLE(32),
    total: head.readDoubleLE(40),
    offset: head.readDoubleLE(48),
    index: head.readUInt32LE(56),
    count: head.readUInt32LE(60),
    length: head.readUInt32LE(68),
    facts,
  }
  return isSound(part) ? { part, at } : undefined
}

/** Of whoever has written it, nothing is believed. */
function isSound({ sequence, ordinal, total, offset, index, count, length, facts }: Part): boolean {
  return (
    [sequence, ordinal, total, offset].every((one) => Number.isSafeInteger(one) && one >= 0) &&
    index < count &&
    offset + length <= total &&
    (index === 0) === (facts !== undefined) &&
    (index > 0 || offset === 0) &&
    (index < count - 1 || offset + length === total)
  )
}

function checkOf(whole: Buffer): number {
  const { crc32 } = require('../../net/checksum.js') as typeof import('../../net/checksum.js')
  const sum = crc32(whole.subarray(uncheckedBytes))
  return sum === 0 ? 1 : sum
}
