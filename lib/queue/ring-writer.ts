// The producer's half of the ring in JavaScript: see ring.ts for positions and memory order.

import type { NativeQueueProducer } from '../addon/queue.js'
import { carries, peerSleeps, plainStores, publishAtomically, recordBytes } from './ring.js'
import {
  atConsumerParked,
  atMine,
  atPeers,
  atReadPosition,
  atSent,
  atWritePosition,
  recordHeaderBytes,
  tooLarge,
  wouldBlock,
} from './ring-layout.js'
import { copyWords, WordMemory } from './word-copy.js'

export class RingWriter {
  /** The records, as bytes. */
  readonly bytes: Uint8Array
  readonly #words: Int32Array
  readonly #longs: BigInt64Array
  readonly #memory = new WordMemory()
  readonly #control: Int32Array
  readonly #cursor: Int32Array
  readonly #native: NativeQueueProducer
  readonly #capacity: number

  /** Throws `UNSUPPORTED_RUNTIME` where memory cannot be borrowed (Electron). */
  constructor(native: NativeQueueProducer) {
    const buffer = native.buffer()
    this.bytes = new Uint8Array(buffer)
    this.#words = new Int32Array(buffer)
    this.#longs = new BigInt64Array(buffer)
    this.#control = new Int32Array(native.control())
    this.#cursor = new Int32Array(native.cursor())
    this.#native = native
    this.#capacity = native.capacity
  }

  /** Sends one message: 0, or `wouldBlock`, `tooLarge`, `corrupt`. */
  push(message: Uint8Array): number {
    const length = message.length
    if (length > this.#capacity - recordHeaderBytes) return tooLarge
    const needed = recordBytes(length)
    const at = this.reserve(needed)
    if (at < 0) return at
    const words = this.#memory.of(message, length)
    const longs = this.#longs
    if (words.length << 3 === length && length > 0 && longs.length > 0) {
      copyWords(words, 0, longs, (at + recordHeaderBytes) >> 3, words.length)
    } else {
      this.bytes.set(message, at + recordHeaderBytes) // throws if somebody has taken the buffer away (`transfer`)
    }
    this.putHeader(at, length)
    if (!this.#store(needed, 1)) return this.#native.publish(needed, 1)
    if (peerSleeps(this.#control, atConsumerParked)) this.#native.wake()
    return 0
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
    return this.#capacity - ((mine - read) | 0)
  }

  /** Begins the record at that place. */
  putHeader(at: number, length: number): void {
    const word = at >> 2
    this.#words[word] = length
    this.#words[word + 1] = 0
  }

  /** Makes records visible that were laid down where `reserve` said. */
  publish(bytes: number, messages: number): void {
    if (!this.#store(bytes, messages)) this.#native.publish(bytes, messages)
    else if (peerSleeps(this.#control, atConsumerParked)) this.#native.wake()
  }

  /** False where a high half changes. */
  #store(bytes: number, messages: number): boolean {
    const control = this.#control
    const mine = this.#cursor[atMine]!
    const next = (mine + bytes) | 0
    const before = control[atSent]!
    const sent = (before + messages) | 0
    if (carries(mine, next) || carries(before, sent)) return false
    control[atSent] = sent
    // Here, not in a function: what is sent in nanoseconds is not to wait for one that may not be inlined.
    if (plainStores) control[atWritePosition] = next
    else publishAtomically(control, atWritePosition, next)
    this.#cursor[atMine] = next
    return true
  }
}
