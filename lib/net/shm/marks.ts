// What goes through the rings of a channel. A message is a record of a ring, as it is, if it is no longer than a piece; so most cost
// nothing more than a record. All else begins with a mark, a record of 16 bytes (little-endian):
//
//   8 bytes that hardly any message begins with · u32 what it is · u32 a number
//
//   long   a message of so many bytes: pieces follow, each a record, until they are all there
//   hello  the first record of each side: the longest message that it takes
//
// A message of 16 bytes that begins like a mark is sent as a long one.

const words = Buffer.from('9f4d4c524ec3b1e7', 'hex')
/** The first four of them. */
const firstWord = words.readUInt32LE(0)

export const markBytes = 16
/** What a mark can be. */
export const Mark = { long: 1, hello: 2 } as const

export function markOf(kind: number, value: number): Buffer {
  const mark = Buffer.allocUnsafe(markBytes)
  words.copy(mark)
  mark.writeUInt32LE(kind, 8)
  mark.writeUInt32LE(value, 12)
  return mark
}

/** Does it begin like a mark, and is as long as one? */
export function isMark(bytes: Uint8Array): boolean {
  if (bytes.length !== markBytes) return false
  const word = bytes[0]! | (bytes[1]! << 8) | (bytes[2]! << 16) | (bytes[3]! << 24)
  return word >>> 0 === firstWord && words.compare(bytes, 0, words.length) === 0
}

export function readMark(bytes: Buffer): { readonly kind: number; readonly value: number } {
  return { kind: bytes.readUInt32LE(8), value: bytes.readUInt32LE(12) }
}
