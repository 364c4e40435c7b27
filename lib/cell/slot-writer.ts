// Writes short values that need no time in JavaScript: see slots.ts for the protocol and the order of its steps.

import type { NativeCellWriter } from '../addon/cell.js'
import { copyWords } from '../base/word-copy.js'
import { KnownBytes } from './known-bytes.js'
import {
  atLength,
  atNeedsFence,
  atNextSlot,
  atPublished,
  atSlots,
  atVersion,
  atWaiting,
  logSlotWords,
  mostByWords,
  toLength,
  toSequence,
  toTimestamp,
} from './slot-layout.js'
import { askWhetherPlain, lastBytes, lastWord, numberOf, plainStores } from './slots.js'

export class SlotWriter {
  readonly #control: Int32Array
  readonly #times: BigInt64Array
  readonly #cursor: Int32Array
  readonly #pool: BigInt64Array
  readonly #native: NativeCellWriter
  readonly #slots: number
  /** Words from the place of one value to that of the next. */
  readonly #stride: number
  /** The addon writes where the lowest bits of twice the version, these, are no more than twice the slots. */
  readonly #rare: number
  readonly #known = new KnownBytes()

  /** `buffer` is that of the values. Throws `UNSUPPORTED_RUNTIME` where memory cannot be borrowed (Electron). */
  constructor(native: NativeCellWriter, buffer: ArrayBuffer) {
    const control = native.control()
    const cursor = native.cursor()
    this.#control = new Int32Array(control)
    this.#times = new BigInt64Array(control)
    this.#cursor = new Int32Array(cursor)
    this.#pool = new BigInt64Array(buffer)
    this.#native = native
    this.#slots = native.slots
    this.#stride = this.#pool.length / native.slots
    this.#rare = (512 << (32 - Math.clz32(native.slots - 1))) - 1
  }

  /** The new version, or 0 if the addon has to write. All in one method, as RingWriter.push() is. */
  write(value: ArrayBufferView): number {
    const known = this.#known
    const { words, count, size } = known
    const pool = this.#pool
    if (!plainStores) {
      askWhetherPlain()
      return 0
    }
    // The last two: its memory was taken away (`transfer`), or that of the cell.
    if (value !== known.view || words.length !== count || pool.length === 0) return 0
    const cursor = this.#cursor
    const slots = this.#slots
    const version = (cursor[atVersion]! + 1) | 0
    const twice = version << 1
    if ((twice & this.#rare) <= slots << 1) return 0
    const slot = cursor[atNextSlot]!
    const at = (atSlots + (slot << logSlotWords)) | 0
    const control = this.#control
    control[at + toSequence] = (twice - 1) | 0
    const place = Math.imul(slot, this.#stride)
    copyWords(words, 0, pool, place, count)
    if ((size & 7) !== 0) this.#putRest((place + count) | 0, known)
    control[(at + toLength) | 0] = size
    this.#times[(at + toTimestamp) >> 1] = 0n
    control[at + toSequence] = twice
    control[atPublished] = version
    cursor[atVersion] = version
    cursor[atLength] = size
    cursor[atNextSlot] = slot + 1 === slots ? 0 : slot + 1
    if ((control[atWaiting]! | control[atWaiting + 1]! | control[atNeedsFence]!) !== 0) {
      this.#native.wake()
    }
    const high = cursor[atVersion + 1]!
    return numberOf(version, high)
  }

  /** The addon has written this value. */
  wrote(value: ArrayBufferView): void {
    if (value.byteLength <= mostByWords) this.#known.used(value, value.byteLength)
  }

  #putRest(place: number, { bytes, count, size }: KnownBytes): void {
    lastWord[0] = 0n
    for (let i = count << 3, to = 0; i < size; i++, to++) lastBytes[to] = bytes[i]!
    this.#pool[place] = lastWord[0]!
  }
}
