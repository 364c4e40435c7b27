// The bytes that were written, or read into, last. Their words are made when they are used for the second time in a row: see
// lib/base/word-copy.ts.

import { isWorthWords, noWords, wordsOf } from '../base/word-copy.js'
import { mostByWords } from './slot-layout.js'

export class KnownBytes {
  view: ArrayBufferView | undefined
  /** Whole words of the view, `count` of them as long as its memory is there. */
  words: BigInt64Array = noWords
  /** Impossible as long as there are no words. */
  count = -1
  bytes: Uint8Array = new Uint8Array(0)
  /** Of the view, in bytes. */
  size = 0
  #isWorth = false

  /** The view was just used, for `length` bytes, without words. */
  used(view: ArrayBufferView, length: number): void {
    const again = view === this.view && this.#isWorth
    this.view = view
    this.words = noWords
    this.count = -1
    this.#isWorth = !again && isWorthWords(view, length, mostByWords) && isFixed(view)
    if (!again) return
    this.words = wordsOf(view)
    if (this.words.length === 0) return
    this.bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
    this.size = view.byteLength
    this.count = this.words.length
  }
}

/** Not if it may become longer and keep its memory. */
function isFixed({ buffer }: ArrayBufferView): boolean {
  const { resizable, growable } = buffer as { resizable?: boolean; growable?: boolean }
  return resizable !== true && growable !== true
}
