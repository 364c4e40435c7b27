// Copying short messages word by word. TypedArray.set takes 15 ns whatever the length, and 20 more for a view of
// the source; a loop over 64-bit words takes 7 for a cache line. It needs a view of the bytes as words, which
// takes longer than both; so bytes are remembered that are used twice in a row, as buffers are by programs that
// are in a hurry.

import { runsOnV8 } from '../addon/runtime.js'
import { mostByWords } from './ring-layout.js'

/** Bytes up to this length are remembered: they are kept from being collected. */
const mostRemembered = 64 * 1024

const none = new BigInt64Array(0)

/** Of the bytes that were used last, their words. */
export class WordMemory {
  #bytes: Uint8Array | undefined
  #words: BigInt64Array | undefined

  /** The whole words of `bytes`, if copying so many by words is worth it; perhaps fewer than there are. */
  of(bytes: Uint8Array, length: number): BigInt64Array {
    if (length > mostByWords || length < 8) return none
    if (bytes === this.#bytes) return (this.#words ??= wordsOf(bytes))
    this.#bytes = runsOnV8 && bytes.length <= mostRemembered ? bytes : undefined
    this.#words = undefined
    return none
  }
}

function wordsOf(bytes: Uint8Array): BigInt64Array {
  if (bytes.byteOffset % 8 !== 0) return none
  return new BigInt64Array(bytes.buffer, bytes.byteOffset, bytes.length >> 3)
}

export function copyWords(
  from: BigInt64Array,
  first: number,
  to: BigInt64Array,
  place: number,
  count: number,
): void {
  let i = 0
  // A cache line at a time: the loop itself costs as much as what it does.
  for (; i + 8 <= count; i += 8) {
    const source = first + i
    const target = place + i
    to[target] = from[source]!
    to[target + 1] = from[source + 1]!
    to[target + 2] = from[source + 2]!
    to[target + 3] = from[source + 3]!
    to[target + 4] = from[source + 4]!
    to[target + 5] = from[source + 5]!
    to[target + 6] = from[source + 6]!
    to[target + 7] = from[source + 7]!
  }
  for (; i < count; i++) to[place + i] = from[first + i]!
}
