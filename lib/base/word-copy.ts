// Copying short messages and values word by word. TypedArray.set takes 15 ns whatever the length, and 20 more for a view of
// the source; a loop over 64-bit words takes 3 for a cache line. It needs a view of the bytes as words, which
// takes longer than both; so bytes are remembered that are used twice in a row, as buffers are by programs that
// are in a hurry.

import { runsOnV8 } from '../addon/runtime.js'

/** Bytes up to this length are remembered: they are kept from being collected. */
const mostRemembered = 64 * 1024

/** What is not copied by words. */
export const noWords = new BigInt64Array(0)

/** Is it worth remembering such bytes, of which `length` are to be copied, and `most` by words? */
export function isWorthWords(bytes: ArrayBufferView, length: number, most: number): boolean {
  return runsOnV8 && length <= most && length >= 8 && bytes.byteLength <= mostRemembered
}

/** The whole words of the bytes; none where they do not begin at one. */
export function wordsOf(bytes: ArrayBufferView): BigInt64Array {
  if (bytes.byteOffset % 8 !== 0) return noWords
  return new BigInt64Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 3)
}

/**
 * Copies `count` words, a cache line at a time: the loop itself costs as much as what it does. `| 0` on each index spares a
 * check for overflow, and that is half the time.
 */
export function copyWords(
  from: BigInt64Array,
  first: number,
  to: BigInt64Array,
  place: number,
  count: number,
): void {
  const end = (first + count) | 0
  let source = first
  let target = place
  for (; ((source + 8) | 0) <= end; source = (source + 8) | 0, target = (target + 8) | 0) {
    to[target] = from[source]!
    to[(target + 1) | 0] = from[(source + 1) | 0]!
    to[(target + 2) | 0] = from[(source + 2) | 0]!
    to[(target + 3) | 0] = from[(source + 3) | 0]!
    to[(target + 4) | 0] = from[(source + 4) | 0]!
    to[(target + 5) | 0] = from[(source + 5) | 0]!
    to[(target + 6) | 0] = from[(source + 6) | 0]!
    to[(target + 7) | 0] = from[(source + 7) | 0]!
  }
  for (; source < end; source = (source + 1) | 0, target = (target + 1) | 0) {
    to[target] = from[source]!
  }
}
