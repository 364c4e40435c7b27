// The consumer's half of the ring in JavaScript: see ring.ts for positions and memory order.

import { goneError } from '../base/bytes.js'
import type { PlainBuffer } from '../base/view-constructor.js'
import type { NativeQueueConsumer } from '../addon/queue.js'
import { carries, plainStores, publishAtomically } from './ring.js'
import {
  atMine,
  atPeers,
  atProducerParked,
  atReadPosition,
  atReceived,
  atWritePosition,
  mostByWords,
  recordHeaderBytes,
  tooLarge,
  toNeedsFence,
  wouldBlock,
  corrupt,
} from './ring-layout.js'
import { copyWords, isWorthWords, wordsOf } from '../base/word-copy.js'

/** What Node makes Buffers by. Given bytes, it makes a copy, in memory that nothing else has. Elsewhere there may be none. */
const NodeBuffer = ((species) => (species === (Buffer as unknown) ? undefined : species))(
  (Buffer as { [Symbol.species]?: new (bytes: Uint8Array) => PlainBuffer })[Symbol.species],
)

/** V8 lays typed arrays of up to 64 bytes into its own heap, which costs a tenth of an ArrayBuffer. */
const mostOnHeap = 64
/** Where small messages lie on their way into memory of their own, and its first 0, 1, 2 … bytes. */
const desk = new BigInt64Array(mostOnHeap / 8)
const onDesk = Array.from(
  { length: mostOnHeap + 1 },
  (_, length) => new Uint8Array(desk.buffer, 0, length),
)

export class RingReader {
  readonly buffer: ArrayBuffer
  /** The records, as bytes. */
  readonly bytes: Uint8Array
  readonly #words: Int32Array
  readonly #longs: BigInt64Array
  readonly #control: Int32Array
  readonly #cursor: Int32Array
  readonly #native: NativeQueueConsumer
  readonly #capacity: number
  /** The target of the last pop, if it is worth that, and from its second pop on its words. */
  #last: Uint8Array | undefined
  #lastWords: BigInt64Array | undefined

  /** Throws `UNSUPPORTED_RUNTIME` where memory cannot be borrowed (Electron). */
  constructor(native: NativeQueueConsumer) {
    this.#capacity = native.settle(true) // there is no ring before that is decided
    this.buffer = native.buffer()
    this.bytes = new Uint8Array(this.buffer)
    this.#words = new Int32Array(this.buffer)
    this.#longs = new BigInt64Array(this.buffer)
    this.#control = new Int32Array(native.control())
    this.#cursor = new Int32Array(native.cursor())
    this.#native = native
  }

  /** Where the next record is, or will be. */
  get offset(): number {
    return this.#cursor[atMine]! & (this.#capacity - 1)
  }

  /** The next message as a Buffer of its own, or an outcome; `corrupt` is for the addon to judge again. */
  pop(): PlainBuffer | number {
    const mine = this.#cursor[atMine]!
    let left = (this.#cursor[atPeers]! - mine) | 0
    if (left === 0) {
      left = this.available()
      if (left <= 0) return left === 0 ? wouldBlock : left
    }
    const at = mine & ((this.#capacity - 1) | 0)
    const length = this.lengthAt(at, left)
    if (length < 0) return corrupt
    const message = this.fresh((at + recordHeaderBytes) | 0, length)
    this.release((length + recordHeaderBytes + 7) & ~7, 1)
    return message
  }

  /**
   * Copies the next message to target[offset…] and returns its length; or `wouldBlock`, `tooLarge`, `corrupt`. All in one
   * method, as RingWriter.push() is.
   */
  popInto(target: Uint8Array, offset: number): number {
    const cursor = this.#cursor
    const mine = cursor[atMine]!
    let left = (cursor[atPeers]! - mine) | 0
    if (left === 0) {
      left = this.available()
      if (left <= 0) return left === 0 ? wouldBlock : left
    }
    const at = mine & ((this.#capacity - 1) | 0)
    // Read once and judged before use: the producer can change it at any time. Undefined, and so refused, when somebody
    // has taken the buffer away (`transfer`).
    const length = this.#words[at >> 2]!
    if (!(length >= 0 && length <= ((left - recordHeaderBytes) | 0))) {
      return this.#native.popInto(target, offset) // which judges again
    }
    if (length > target.length - offset) return tooLarge
    const words = this.#lastWords
    if (
      target === this.#last &&
      words !== undefined &&
      length <= mostByWords &&
      ((offset | length) & 7) === 0 &&
      words.length >= ((offset + length) | 0) >> 3
    ) {
      copyWords(this.#longs, ((at + recordHeaderBytes) | 0) >> 3, words, offset >> 3, length >> 3)
    } else {
      this.#lay((at + recordHeaderBytes) | 0, length, target, offset)
    }
    const control = this.#control
    const bytes = (length + recordHeaderBytes + 7) & ~7
    const next = (mine + bytes) | 0
    const before = control[atReceived]!
    const received = (before + 1) | 0
    if (((mine & ~next) | (before & ~received)) < 0) {
      this.#native.release(bytes, 1)
      return length
    }
    control[atReceived] = received
    if (plainStores) {
      control[atReadPosition] = next
      cursor[atMine] = next
      if ((control[atProducerParked]! | control[atProducerParked + toNeedsFence]!) !== 0) {
        this.#native.wake()
      }
      return length
    }
    publishAtomically(control, atReadPosition, next)
    cursor[atMine] = next
    if (Atomics.load(control, atProducerParked) !== 0) this.#native.wake()
    return length
  }

  /**
   * A copy in memory of its own, of what lies there. To make a Buffer of bytes takes hardly longer than to make an empty one; what
   * can be spared is the view of those bytes, by a detour over memory that has its views.
   */
  fresh(from: number, length: number): PlainBuffer {
    if (NodeBuffer === undefined) {
      const fresh = Buffer.allocUnsafeSlow(length)
      fresh.set(new Uint8Array(this.buffer, from, length))
      return fresh
    }
    if (length > mostOnHeap) return new NodeBuffer(new Uint8Array(this.buffer, from, length))
    copyWords(this.#longs, from >> 3, desk, 0, ((length + 7) | 0) >> 3) // records are padded to whole words
    return new NodeBuffer(onDesk[length]!)
  }

  /** Bytes of records that are there, or `corrupt`. Asks the producer. */
  available(): number {
    const mine = this.#cursor[atMine]!
    const known = this.#cursor[atPeers]!
    const written = Atomics.load(this.#control, atWritePosition)
    if (written === known) return (known - mine) | 0
    // Only forward, only as far as there was room, and on a record's boundary. Else native code has the
    // last word, which sees all 64 bits.
    const plausible =
      (written - known) >>> 0 <= this.#capacity - ((known - mine) | 0) && (written & 7) === 0
    if (!plausible || carries(known, written)) return this.#native.available()
    this.#cursor[atPeers] = written
    return (written - mine) | 0
  }

  /**
   * Length of the message whose record is there, where so many bytes of records are left; -1 if that cannot
   * be. Read once and judged before use: the producer can change it at any time.
   */
  lengthAt(at: number, left: number): number {
    const length = this.#words[at >> 2]!
    // Not so, too, when somebody has taken the buffer away (`transfer`), and `length` is undefined.
    return length >= 0 && length <= left - recordHeaderBytes ? length : -1
  }

  /** Length of the next message, whose record is at `offset` and stays there; or `wouldBlock`, `corrupt`. */
  peek(): number {
    let left = (this.#cursor[atPeers]! - this.#cursor[atMine]!) | 0
    if (left === 0) {
      left = this.available()
      if (left <= 0) return left === 0 ? wouldBlock : left
    }
    const length = this.lengthAt(this.offset, left)
    return length < 0 ? corrupt : length
  }

  /** Goes on behind so many bytes of records, whose memory is kept until `releaseBehind` gives it back. */
  pass(bytes: number): void {
    const mine = this.#cursor[atMine]!
    const next = (mine + bytes) | 0
    this.#cursor[atMine] = next
    if (carries(mine, next)) this.#cursor[atMine + 1]! += 1
  }

  /** Gives the memory of the oldest records back, of `passed` bytes that were passed and are not given back yet. */
  releaseBehind(passed: number, bytes: number, messages: number): void {
    if (this.#show((this.#cursor[atMine]! - passed) | 0, bytes, messages)) {
      // The cursor stays, so an ordinary load might be taken for the last one: see ring.ts.
      const sleeps = Atomics.load(this.#control, atProducerParked) !== 0
      if (sleeps || (plainStores && this.#control[atProducerParked + toNeedsFence] !== 0)) {
        this.#native.wake()
      }
      return
    }
    // The addon goes on from where its cursor is.
    const longs = new BigUint64Array(this.#cursor.buffer)
    longs[atMine >> 1]! -= BigInt(passed)
    this.#native.release(bytes, messages)
    longs[atMine >> 1]! += BigInt(passed - bytes)
  }

  /** Does the producer sleep until room is given back? */
  get producerSleeps(): boolean {
    return Atomics.load(this.#control, atProducerParked) !== 0
  }

  /** Gives the memory of the next records back. In one method, as popInto() is. */
  release(bytes: number, messages: number): void {
    const control = this.#control
    const cursor = this.#cursor
    const mine = cursor[atMine]!
    const next = (mine + bytes) | 0
    const before = control[atReceived]!
    const received = (before + messages) | 0
    if (((mine & ~next) | (before & ~received)) < 0) {
      this.#native.release(bytes, messages)
      return
    }
    control[atReceived] = received
    if (plainStores) {
      control[atReadPosition] = next
      cursor[atMine] = next
      if ((control[atProducerParked]! | control[atProducerParked + toNeedsFence]!) !== 0) {
        this.#native.wake()
      }
      return
    }
    publishAtomically(control, atReadPosition, next)
    cursor[atMine] = next
    if (Atomics.load(control, atProducerParked) !== 0) this.#native.wake()
  }

  /** Lets the producer see that the records behind `from` are read; false where a high half changes. */
  #show(from: number, bytes: number, messages: number): boolean {
    const control = this.#control
    const next = (from + bytes) | 0
    const before = control[atReceived]!
    const received = (before + messages) | 0
    if (carries(from, next) || carries(before, received)) return false
    control[atReceived] = received
    if (plainStores) control[atReadPosition] = next
    else publishAtomically(control, atReadPosition, next)
    return true
  }

  /** Copies to a target that was not the last, or a message of an odd length. */
  #lay(from: number, length: number, target: Uint8Array, offset: number): void {
    if (length === 0) return
    if (target !== this.#last) {
      this.#last = isWorthWords(target, length, mostByWords) ? target : undefined
      this.#lastWords = undefined
    } else {
      this.#lastWords ??= wordsOf(target)
    }
    const words = this.#lastWords
    const whole = length >> 3
    if (
      words === undefined ||
      (offset & 7) !== 0 ||
      (offset >> 3) + whole > words.length ||
      length > mostByWords
    ) {
      const source = new Uint8Array(this.buffer, from, length)
      try {
        target.set(source, offset)
      } catch (cause) {
        throw goneError('the target', cause)
      }
      return
    }
    copyWords(this.#longs, from >> 3, words, offset >> 3, whole)
    for (let i = whole << 3; i < length; i++) target[offset + i] = this.bytes[from + i]!
  }
}
