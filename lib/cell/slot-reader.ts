// Reads short values in JavaScript: see slots.ts for the protocol and the order of its steps.

import type { NativeCellReader } from '../addon/cell.js'
import { copyWords } from '../base/word-copy.js'
import { KnownBytes } from './known-bytes.js'
import {
  atPublished,
  atSlots,
  logSlotWords,
  mostByWords,
  toLength,
  toSequence,
  toTimestamp,
} from './slot-layout.js'
import { lastBytes, lastWord, numberOf } from './slots.js'

/** The upper half of the largest version, which is a safe integer, is shorter than this many bits. */
const highBits = 21

export class SlotReader {
  /** Of the value read last. */
  version = 0
  /** How often the writer has spoilt a copy. */
  retries = 0
  readonly #control: Int32Array
  readonly #times: BigInt64Array
  readonly #pool: BigInt64Array
  readonly #slots: number
  /** Slots less one, if they are a power of two. */
  readonly #mask: number
  /** Words from the place of one value to that of the next. */
  readonly #stride: number
  readonly #maxBytes: number
  readonly #time = new BigInt64Array(1)
  readonly #known = new KnownBytes()

  /** Throws `UNSUPPORTED_RUNTIME` where memory cannot be borrowed (Electron). */
  constructor(native: NativeCellReader) {
    const control = native.control()
    const { slots, maxBytes } = native
    this.#control = new Int32Array(control)
    this.#times = new BigInt64Array(control)
    this.#pool = new BigInt64Array(native.buffer())
    this.#slots = slots
    this.#mask = (slots & (slots - 1)) === 0 ? slots - 1 : 0
    this.#stride = this.#pool.length / slots
    this.#maxBytes = maxBytes
  }

  /** When the value read last was written. */
  get timestamp(): bigint {
    return BigInt.asUintN(64, this.#time[0]!)
  }

  /**
   * Copies the newest value and returns its length, or -1 if the addon has to look: there is none, it is long, was
   * overwritten meanwhile, or cannot be. `seen` is the version that was read last, before which there is no way back.
   */
  readInto(target: ArrayBufferView, seen: number): number {
    const known = this.#known
    const { words, count } = known
    if (target !== known.view || words.length !== count) return -1
    const control = this.#control
    const low = Atomics.load(control, atPublished)
    const high = control[atPublished + 1]!
    const version = numberOf(low, high)
    if (version < seen || version === 0 || high >>> highBits !== 0) return -1
    const slot = this.#mask !== 0 ? low & this.#mask : version % this.#slots
    const at = (atSlots + (slot << logSlotWords)) | 0
    // Read once and judged before use: it can change at any time.
    const length = control[at + toLength]!
    if (length >>> 0 > mostByWords || length > known.size || length > this.#maxBytes) return -1
    const place = Math.imul(slot, this.#stride)
    copyWords(this.#pool, place, words, 0, length >> 3)
    if ((length & 7) !== 0) this.#takeRest(place, length, known.bytes)
    this.#time[0] = this.#times[(at + toTimestamp) >> 1]!
    const upper = control[at + toLength + 1]!
    if (
      control[at + toSequence] !== low << 1 ||
      control[at + toSequence + 1] !== ((high << 1) | (low >>> 31)) ||
      upper !== 0
    ) {
      this.retries++
      return -1
    }
    this.version = version
    return length
  }

  /** The addon has copied a value of that length. */
  wasRead(target: ArrayBufferView, length: number): void {
    this.#known.used(target, length)
  }

  /** Of the newest value, or -1 if the addon has to look. The upper half is the same before and after: it is that of the lower. */
  newest(): number {
    const control = this.#control
    const high = control[atPublished + 1]!
    const low = Atomics.load(control, atPublished)
    if (control[atPublished + 1] !== high || high >>> highBits !== 0) return -1
    return numberOf(low, high)
  }

  #takeRest(place: number, length: number, target: Uint8Array): void {
    const whole = length >> 3
    lastWord[0] = this.#pool[place + whole]!
    for (let i = whole << 3, from = 0; i < length; i++, from++) target[i] = lastBytes[from]!
  }
}
