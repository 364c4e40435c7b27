// The consumer's half of the ring in JavaScript: see ring.ts for positions and memory order.

import type { PlainBuffer } from '../base/view-constructor.js'
import type { NativeQueueConsumer } from '../addon/queue.js'
import {
  carries,
  peerSleeps,
  peerSleepsNow,
  plainStores,
  publishAtomically,
  recordBytes,
} from './ring.js'
import {
  atMine,
  atPeers,
  atProducerParked,
  atReadPosition,
  atReceived,
  atWritePosition,
  recordHeaderBytes,
  tooLarge,
  wouldBlock,
  corrupt,
} from './ring-layout.js'
import { copyWords, WordMemory } from './word-copy.js'

type MakeBuffer = new (length: number) => PlainBuffer

/**
 * What Node makes Buffers by; nothing elsewhere. V8 lays typed arrays of up to 64 bytes into its own heap, which costs a tenth of an
 * ArrayBuffer; Buffer.allocUnsafeSlow would make one.
 */
const SmallBuffer = ((species) => (species === (Buffer as unknown) ? undefined : species))(
  (Buffer as { [Symbol.species]?: MakeBuffer })[Symbol.species],
)
const mostOnHeap = 64
/** Up to here, copying by bytes is quicker than making a view to copy from. */
const mostByBytes = 24

export class RingReader {
  readonly buffer: ArrayBuffer
  readonly #bytes: Uint8Array
  readonly #words: Int32Array
  readonly #longs: BigInt64Array
  readonly #control: Int32Array
  readonly #cursor: Int32Array
  readonly #native: NativeQueueConsumer
  readonly #capacity: number
  readonly #memory = new WordMemory()

  /** Throws `UNSUPPORTED_RUNTIME` where memory cannot be borrowed (Electron). */
  constructor(native: NativeQueueConsumer) {
    this.buffer = native.buffer()
    this.#bytes = new Uint8Array(this.buffer)
    this.#words = new Int32Array(this.buffer)
    this.#longs = new BigInt64Array(this.buffer)
    this.#control = new Int32Array(native.control())
    this.#cursor = new Int32Array(native.cursor())
    this.#native = native
    this.#capacity = native.capacity
  }

  /** Where the next record is, or will be. */
  get offset(): number {
    return this.#cursor[atMine]! & (this.#capacity - 1)
  }

  /** Copies the next message to target[offset…] and returns its length; or `wouldBlock`, `tooLarge`, `corrupt`. */
  /** The next message as a Buffer of its own, or an outcome; `corrupt` is for the addon to judge again. */
  pop(): PlainBuffer | number {
    const mine = this.#cursor[atMine]!
    let left = (this.#cursor[atPeers]! - mine) | 0
    const asked = left === 0
    if (asked) {
      left = this.available()
      if (left <= 0) return left === 0 ? wouldBlock : left
    }
    const at = mine & (this.#capacity - 1)
    const length = this.lengthAt(at, left)
    if (length < 0) return corrupt
    const message = this.#fresh(at + recordHeaderBytes, length)
    this.#taken(mine, recordBytes(length), asked)
    return message
  }

  popInto(target: Uint8Array, offset: number): number {
    const mine = this.#cursor[atMine]!
    let left = (this.#cursor[atPeers]! - mine) | 0
    const asked = left === 0
    if (asked) {
      left = this.available()
      if (left <= 0) return left === 0 ? wouldBlock : left
    }
    const at = mine & (this.#capacity - 1)
    const length = this.lengthAt(at, left)
    if (length < 0) return this.#native.popInto(target, offset) // which judges again
    if (length > target.length - offset) return tooLarge
    this.#copy(at + recordHeaderBytes, length, target, offset)
    this.#taken(mine, recordBytes(length), asked)
    return length
  }

  /** Gives the room of one message back. `asked`: something was called since the wait line was looked at last. */
  #taken(mine: number, bytes: number, asked: boolean): void {
    if (!this.#store(mine, bytes, 1)) {
      this.#native.release(bytes, 1)
    } else if (
      asked
        ? peerSleepsNow(this.#control, atProducerParked)
        : peerSleeps(this.#control, atProducerParked)
    ) {
      this.#native.wake()
    }
  }

  /** A copy in memory of its own. */
  #fresh(from: number, length: number): PlainBuffer {
    if (SmallBuffer === undefined || length > mostOnHeap) {
      const fresh = Buffer.allocUnsafeSlow(length)
      fresh.set(new Uint8Array(this.buffer, from, length))
      return fresh
    }
    const small = new SmallBuffer(length)
    if (length > mostByBytes) small.set(new Uint8Array(this.buffer, from, length))
    else for (let i = 0; i < length; i++) small[i] = this.#bytes[from + i]!
    return small
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

  /** Gives the memory of records back. */
  release(bytes: number, messages: number): void {
    if (!this.#store(this.#cursor[atMine]!, bytes, messages)) this.#native.release(bytes, messages)
    else if (peerSleeps(this.#control, atProducerParked)) this.#native.wake()
  }

  /** False where a high half changes. */
  #store(mine: number, bytes: number, messages: number): boolean {
    const control = this.#control
    const next = (mine + bytes) | 0
    const before = control[atReceived]!
    const received = (before + messages) | 0
    if (carries(mine, next) || carries(before, received)) return false
    control[atReceived] = received
    // Here, not in a function: what is sent in nanoseconds is not to wait for one that may not be inlined.
    if (plainStores) control[atReadPosition] = next
    else publishAtomically(control, atReadPosition, next)
    this.#cursor[atMine] = next
    return true
  }

  #copy(from: number, length: number, target: Uint8Array, offset: number): void {
    if (length === 0) return
    const words = this.#memory.of(target, length)
    const place = offset >> 3
    const whole = length >> 3
    if ((offset & 7) !== 0 || place + whole > words.length) {
      target.set(new Uint8Array(this.buffer, from, length), offset)
      return
    }
    copyWords(this.#longs, from >> 3, words, place, whole)
    for (let i = whole << 3; i < length; i++) target[offset + i] = this.#bytes[from + i]!
  }
}
