// The producer's half of the ring in JavaScript: see ring.ts for positions and memory order.

import { goneError } from '../base/bytes.js'
import { invalidArgument, type MillraceError } from '../errors.js'
import type { NativeQueueProducer } from '../addon/queue.js'
import { recordBytes } from './record-bytes.js'
import { carries, plainStores, publishAtomically } from './ring.js'
import {
  atConsumerParked,
  atMine,
  atPeers,
  atReadPosition,
  atSeen,
  atSent,
  atWritePosition,
  mostByWords,
  recordHeaderBytes,
  tooLarge,
  toNeedsFence,
  wouldBlock,
} from './ring-layout.js'
import { copyWords, isWorthWords, wordsOf } from '../base/word-copy.js'

function changedError(): MillraceError {
  return invalidArgument(
    'a message changed its length while it was sent: nothing was; do not grow or shrink its buffer meanwhile',
  )
}

/** Of a batch, so many messages are remembered. */
const mostPlaces = 256

export class RingWriter {
  readonly buffer: ArrayBuffer
  /** The records, as bytes. */
  readonly bytes: Uint8Array
  readonly #words: Int32Array
  readonly #longs: BigInt64Array
  readonly #control: Int32Array
  readonly #cursor: Int32Array
  readonly #native: NativeQueueProducer
  readonly #capacity: number
  /** The message of the last push, if it is worth that, and from its second push on its words. */
  #last: Uint8Array | undefined
  #lastWords: BigInt64Array | undefined
  /** The same for each of the first places of a batch. */
  readonly #places: (Uint8Array | undefined)[] = []
  readonly #placeWords: (BigInt64Array | undefined)[] = []

  /** Throws `UNSUPPORTED_RUNTIME` where memory cannot be borrowed (Electron). */
  constructor(native: NativeQueueProducer) {
    this.#capacity = native.settle(true) // there is no ring before that is decided
    const buffer = (this.buffer = native.buffer())
    this.bytes = new Uint8Array(buffer)
    this.#words = new Int32Array(buffer)
    this.#longs = new BigInt64Array(buffer)
    this.#control = new Int32Array(native.control())
    this.#cursor = new Int32Array(native.cursor())
    this.#native = native
  }

  /**
   * Sends one message: 0, or `wouldBlock`, `tooLarge`, `corrupt`. All in one method, with `| 0` on every index and what is
   * rare in calls of its own: so it is compiled early, and takes half the instructions of one made of parts.
   */
  push(message: Uint8Array): number {
    const length = message.length
    const capacity = this.#capacity
    if (length > ((capacity - recordHeaderBytes) | 0)) return tooLarge
    const needed = (length + recordHeaderBytes + 7) & ~7
    const cursor = this.#cursor
    const mine = cursor[atMine]!
    if (((capacity - ((mine - cursor[atPeers]!) | 0)) | 0) < needed) {
      const room = this.room()
      if (room < needed) return room < 0 ? room : wouldBlock
    }
    const at = mine & ((capacity - 1) | 0)
    const longs = this.#longs
    const source = this.#lastWords
    if (
      message === this.#last &&
      source !== undefined &&
      length > 0 &&
      source.length << 3 === length
    ) {
      // Not so when somebody has taken the ring's buffer away (`transfer`): then these stores would go nowhere.
      if (longs.length === 0) this.bytes.set(message, at) // throws
      copyWords(source, 0, longs, ((at + recordHeaderBytes) | 0) >> 3, source.length)
    } else {
      this.#lay(message, (at + recordHeaderBytes) | 0, length)
    }
    const words = this.#words
    words[at >> 2] = length
    words[((at >> 2) + 1) | 0] = 0
    const control = this.#control
    const next = (mine + needed) | 0
    const before = control[atSent]!
    const sent = (before + 1) | 0
    if (((mine & ~next) | (before & ~sent)) < 0) return this.#native.publish(needed, 1)
    control[atSent] = sent
    if (plainStores) {
      control[atWritePosition] = next
      cursor[atMine] = next
      if ((control[atConsumerParked]! | control[atConsumerParked + toNeedsFence]!) !== 0) {
        this.#native.wake()
      }
      return 0
    }
    publishAtomically(control, atWritePosition, next)
    cursor[atMine] = next
    if (Atomics.load(control, atConsumerParked) !== 0) this.#native.wake()
    return 0
  }

  /** Copies a message that was not the last, or has an odd length. */
  #lay(message: Uint8Array, place: number, length: number): void {
    if (message !== this.#last) {
      this.#last = isWorthWords(message, message.length, mostByWords) ? message : undefined
      this.#lastWords = undefined
    } else {
      this.#lastWords ??= wordsOf(message)
    }
    this.#set(message, place, length)
  }

  /** The message may have lost its memory since it was looked at, or have grown in it; the ring may have lost its own. */
  #set(message: Uint8Array, place: number, length: number): void {
    try {
      this.bytes.set(message, place)
    } catch (cause) {
      throw this.bytes.length > 0 ? goneError('a message', cause) : cause
    }
    if (message.length !== length) throw changedError()
  }

  /**
   * Lays down messages from index `from` on, up to `end`, whose records take `needed` bytes, and publishes them together.
   * Where that is and whether there is room, `reserve` has said. 0, or an outcome.
   */
  pushMany(messages: readonly Uint8Array[], from: number, end: number, needed: number): number {
    let at = this.reserve(needed)
    if (at < 0) return at
    const limit = at + needed
    const longs = this.#longs
    const words = this.#words
    for (let i = from; i < end; i++) {
      const message = messages[i]!
      const { length } = message
      if (at + recordBytes(length) > limit) throw changedError()
      const place = (at + recordHeaderBytes) | 0
      const source = message === this.#places[i] ? this.#placeWords[i] : undefined
      if (source !== undefined && length > 0 && source.length << 3 === length && longs.length > 0) {
        copyWords(source, 0, longs, place >> 3, source.length)
      } else {
        this.#layAt(i, message, place, length)
      }
      words[at >> 2] = length
      words[((at >> 2) + 1) | 0] = 0
      at = (at + recordBytes(length)) | 0
    }
    if (at !== limit) throw changedError()
    this.publish(needed, end - from)
    return 0
  }

  /** As `#lay`, of a message with that index: programs in a hurry send the same buffers at the same places. */
  #layAt(index: number, message: Uint8Array, place: number, length: number): void {
    if (index < mostPlaces) {
      if (message !== this.#places[index]) {
        this.#places[index] = isWorthWords(message, message.length, mostByWords)
          ? message
          : undefined
        this.#placeWords[index] = undefined
      } else {
        this.#placeWords[index] ??= wordsOf(message)
      }
    }
    this.#set(message, place, length)
  }

  /** Where the next record goes, if there is room for so many bytes of records; or `wouldBlock`, `corrupt`. */
  reserve(needed: number): number {
    const mine = this.#cursor[atMine]!
    if (this.#capacity - ((mine - this.#cursor[atPeers]!) | 0) < needed) {
      const room = this.room()
      if (room < needed) return room < 0 ? room : wouldBlock
    }
    return mine & (this.#capacity - 1)
  }

  /** Bytes of records that there is room for, or `corrupt`. Asks the consumer. */
  room(): number {
    const mine = this.#cursor[atMine]!
    const known = this.#cursor[atPeers]!
    const read = Atomics.load(this.#control, atReadPosition)
    // Only forward, only as far as was written, and on a record's boundary. Else native code has the last
    // word, which sees all 64 bits.
    const plausible = (read - known) >>> 0 <= (mine - known) >>> 0 && (read & 7) === 0
    if (!plausible || carries(known, read)) return this.#native.room()
    this.#cursor[atPeers] = read
    // As RingProducer::say_seen: what was read may be written over from now on. The load keeps our later stores behind it.
    Atomics.store(this.#control, atSeen, read | 1)
    Atomics.load(this.#control, atSeen)
    return this.#capacity - ((mine - read) | 0)
  }

  /** Begins the record at that place. */
  putHeader(at: number, length: number): void {
    // Not there when somebody has taken the ring's buffer away (`transfer`): what was written then went elsewhere.
    if (this.#words.length === 0) throw goneError('the memory of the queue', undefined)
    const word = at >> 2
    this.#words[word] = length
    this.#words[word + 1] = 0
  }

  /** Makes records visible that were laid down where `reserve` said. In one method, as push() is. */
  publish(bytes: number, messages: number): void {
    const control = this.#control
    const cursor = this.#cursor
    const mine = cursor[atMine]!
    const next = (mine + bytes) | 0
    const before = control[atSent]!
    const sent = (before + messages) | 0
    if (((mine & ~next) | (before & ~sent)) < 0) {
      this.#native.publish(bytes, messages)
      return
    }
    control[atSent] = sent
    if (plainStores) {
      control[atWritePosition] = next
      cursor[atMine] = next
      if ((control[atConsumerParked]! | control[atConsumerParked + toNeedsFence]!) !== 0) {
        this.#native.wake()
      }
      return
    }
    publishAtomically(control, atWritePosition, next)
    cursor[atMine] = next
    if (Atomics.load(control, atConsumerParked) !== 0) this.#native.wake()
  }
}
