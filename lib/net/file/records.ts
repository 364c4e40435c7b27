// A log in a file (little-endian):
//
//   file    'MLRL' · u8 version, 1 · 11 bytes of 0
//   record  u32 CRC of its place and of what follows up to the bytes · u32 CRC of the bytes · u32 how many · so many bytes
//
// CRC is CRC-32 of IEEE 802.3, as gzip has it. Records are only ever appended, in order. So what a writer that died has left is whole up
// to some byte, and a head whose CRC is right and whose bytes are not all there is the torn tail of it. The place of a record is in its
// CRC: bytes of a record that lies elsewhere, or that a message has in it, are none.

import { MillraceError } from '../../errors.js'
import { fs } from '../transports/files.js'

export const fileHead = Buffer.from('MLRL\x01\0\0\0\0\0\0\0\0\0\0\0', 'latin1')
export const headBytes = 12
const windowBytes = 262_144

type Crc = (bytes: Uint8Array, before: number) => number

let found: Crc | undefined

export function crc32(bytes: Uint8Array, before = 0): number {
  found ??= crcOfNode() ?? crcOfTable()
  return found(bytes, before)
}

function crcOfNode(): Crc | undefined {
  return (process.getBuiltinModule('node:zlib') as { readonly crc32?: Crc }).crc32
}

/** For runtimes that have none. */
function crcOfTable(): Crc {
  const table = new Uint32Array(256)
  for (let i = 0; i < 256; i++) {
    let value = i
    for (let bit = 0; bit < 8; bit++)
      value = (value & 1) === 0 ? value >>> 1 : (value >>> 1) ^ 0xedb88320
    table[i] = value
  }
  return (bytes, before) => {
    let crc = ~before
    for (const byte of bytes) crc = table[(crc ^ byte) & 255]! ^ (crc >>> 8)
    return ~crc >>> 0
  }
}

export interface Head {
  readonly crc: number
  readonly length: number
}

const place = Buffer.alloc(8)

function crcOfHead(head: Uint8Array, offset: number): number {
  place.writeUIntLE(offset, 0, 6)
  return crc32(head.subarray(4, headBytes), crc32(place))
}

export function writeHead(head: Buffer, payload: Uint8Array, offset: number): void {
  head.writeUInt32LE(crc32(payload), 4)
  head.writeUInt32LE(payload.length, 8)
  head.writeUInt32LE(crcOfHead(head, offset), 0)
}

/** Undefined: there is no record. */
export function readHead(bytes: Buffer, at: number, offset: number): Head | undefined {
  const head = bytes.subarray(at, at + headBytes)
  if (head.readUInt32LE(0) !== crcOfHead(head, offset)) return undefined
  return { crc: head.readUInt32LE(4), length: head.readUInt32LE(8) }
}

export function isZero(bytes: Uint8Array): boolean {
  return bytes.every((byte) => byte === 0)
}

/** As many bytes as are there from that place on. */
export async function readAt(fd: number, offset: number, length: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafeSlow(length)
  let filled = 0
  while (filled < length) {
    const count = await new Promise<number>((resolve, reject) => {
      fs().read(fd, bytes, filled, length - filled, offset + filled, (error, found) => {
        if (error) reject(error)
        else resolve(found)
      })
    })
    if (count === 0) break
    filled += count
  }
  return bytes.subarray(0, filled)
}

/**
 * Is it a log? False: its first bytes are not all there yet.
 *
 * @throws MillraceError `NOT_OURS`
 */
export async function checkFileHead(fd: number, address: string): Promise<boolean> {
  const bytes = await readAt(fd, 0, fileHead.length)
  if (bytes.equals(fileHead.subarray(0, bytes.length))) return bytes.length === fileHead.length
  // A machine that lost its power may have left a length without the bytes.
  if (isZero(bytes) && fs().fstatSync(fd).size <= fileHead.length) return false
  throw new MillraceError(
    'ERR_MILLRACE_NOT_OURS',
    `'${address}' is a file that millrace has not written, or a later version has: take another path`,
  )
}

export function damaged(address: string, offset: number, what: string): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_CORRUPT',
    `'${address}' is damaged at byte ${String(offset)}: ${what}; what stands before that is whole: copy it to another file, and see what else has ` +
      'written to this one',
  )
}

/**
 * Where the next record belongs: behind the last one that is whole. Heads are judged, and the bytes of the last record.
 *
 * @throws MillraceError `NOT_OURS`, `CORRUPT` (there are bytes that are no torn tail)
 */
export async function findEnd(fd: number, address: string, signal: AbortSignal): Promise<number> {
  if (!(await checkFileHead(fd, address))) return 0
  const { size } = fs().fstatSync(fd)
  let end = fileHead.length
  let last: (Head & { readonly offset: number }) | undefined
  while (size - end >= headBytes) {
    signal.throwIfAborted()
    const bytes = await readAt(fd, end, Math.min(windowBytes, size - end))
    const start = end
    while (end - start + headBytes <= bytes.length) {
      const head = readHead(bytes, end - start, end)
      if (head === undefined) {
        if (await isZeroFrom(fd, end, size, signal)) return end
        throw damaged(address, end, 'there is no record')
      }
      if (end + headBytes + head.length > size) return end
      last = { ...head, offset: end }
      end += headBytes + head.length
    }
    if (end === start) break // it was cut off meanwhile
  }
  if (end === size && last !== undefined) {
    const bytes = await readAt(fd, last.offset + headBytes, last.length)
    if (crc32(bytes) !== last.crc) return last.offset
  }
  return end
}

/** What a machine that lost its power may leave of a file that had grown. */
async function isZeroFrom(
  fd: number,
  offset: number,
  size: number,
  signal: AbortSignal,
): Promise<boolean> {
  for (let at = offset; at < size; at += windowBytes) {
    signal.throwIfAborted()
    if (!isZero(await readAt(fd, at, Math.min(windowBytes, size - at)))) return false
  }
  return true
}
