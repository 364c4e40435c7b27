// Messages that a consumer has taken and not released: they stay where they are in the ring, and so does the room behind
// them.
//
//        released            held, or popped behind what is held            not taken yet
//   ──────────────────┬────────────────────────────────────────────┬──────────────────────────┬───
//                read position                                 own cursor               write position
//
// The cursor goes on with every message that is taken, the read position only over what is released up to the oldest that is
// not. The producer sees the read position alone, and so does whoever comes after us: what was not released when this side
// closed or died is received again by the next consumer. Nothing of this is in shared memory.
//
// A message that its program lost is released when it is garbage collected, as lost loans are. To watch a message costs more
// than to take it, so the newest one is not watched until another is asked for; most are released before.

import { MillraceError, timeoutError } from '../errors.js'
import { startTimer, stopTimer } from '../base/time.js'
import type { Bytes, PlainBuffer } from '../base/view-constructor.js'
import { HeldMessage, type Account } from './held-message.js'
import { recordBytes } from './record-bytes.js'
import { corrupt, recordHeaderBytes, tooLarge } from './ring-layout.js'
import type { RingReader } from './ring-reader.js'

/** How long a wait may take, while the producer waits for what is held, until the process is warned. */
const longWaitMs = 1000

/** A message that was taken, and what was popped right behind it. Says nothing of the HeldMessage, which may be collected. */
class Hold {
  /** Of the ring. */
  bytes = 0
  messages = 0
  released = false
  watched = false
  /** The next younger one; of those to be used again, any. */
  next: Hold | undefined
}

/** @internal Whose messages are held. */
export interface Keeper {
  readonly name: string
  readonly capacity: number
  /** What is held is void then. */
  readonly closed: boolean
}

/** @internal The messages that one consumer holds. */
export class HeldMessages implements Account {
  readonly #keeper: Keeper
  readonly #ring: RingReader
  readonly #capacity: number
  #oldest: Hold | undefined
  #newest: Hold | undefined
  /** Of the newest, as long as it is held and nothing else was asked for. */
  #unwatched: Bytes | undefined
  /** To be used again. */
  #spare: Hold | undefined
  #count = 0
  /** From the read position to the cursor. */
  #bytes = 0
  /** Made when something else is asked for while a message is held, for the first time. */
  #watched: FinalizationRegistry<Hold> | undefined
  #toldForgotten = false
  #toldWaiting = false

  constructor(keeper: Keeper, ring: RingReader) {
    this.#keeper = keeper
    this.#ring = ring
    this.#capacity = keeper.capacity
  }

  /** Of the queue. */
  get name(): string {
    return this.#keeper.name
  }

  get closed(): boolean {
    return this.#keeper.closed
  }

  /** Messages that are taken and not released. */
  get count(): number {
    return this.#count
  }

  /** Bytes of records that are there and not taken, or `corrupt`. Asks the producer. */
  available(): number {
    const bytes = this.#ring.available()
    return this.#bytes + bytes > this.#capacity ? corrupt : bytes
  }

  /** The next message, to be held; or `wouldBlock`, `corrupt`. */
  take(): HeldMessage | number {
    if (this.#unwatched !== undefined) this.#watchNewest(this.#unwatched)
    const length = this.#peek()
    if (length < 0) return length
    const bytes = this.#view(length)
    const hold = this.#add(recordBytes(length))
    this.#unwatched = bytes
    return new HeldMessage(this, hold, bytes)
  }

  /** A copy of the next message, while others are held; or `wouldBlock`, `corrupt`. */
  pop(): PlainBuffer | number {
    const length = this.#peek()
    if (length < 0) return length
    const fresh = this.#ring.fresh(this.#ring.offset + recordHeaderBytes, length)
    this.pass(recordBytes(length), 1)
    return fresh
  }

  /** The same, copied to the start of `target`: its length, or `wouldBlock`, `tooLarge`, `corrupt`. */
  popInto(target: Uint8Array): number {
    const length = this.#peek()
    if (length < 0) return length
    if (length > target.length) return tooLarge
    target.set(this.#view(length))
    this.pass(recordBytes(length), 1)
    return length
  }

  /** So many bytes, of so many messages, were read otherwise: they are released with the newest that is held. */
  pass(bytes: number, messages: number): void {
    const newest = this.#newest!
    this.#ring.pass(bytes)
    this.#bytes += bytes
    newest.bytes += bytes
    newest.messages += messages
  }

  release(hold: Hold): void {
    if (hold.watched) this.#unwatch(hold)
    else if (hold === this.#newest) this.#unwatched = undefined
    if (this.#keeper.closed) return
    hold.released = true
    this.#count--
    if (hold !== this.#oldest) return
    const passed = this.#bytes
    let messages = 0
    let oldest: Hold | undefined = hold
    do {
      this.#bytes -= oldest.bytes
      messages += oldest.messages
      oldest = this.#removeOldest(oldest)
    } while (oldest?.released === true)
    this.#ring.releaseBehind(passed, passed - this.#bytes, messages)
  }

  assertOpen(): void {
    if (!this.#keeper.closed) return
    throw new MillraceError(
      'ERR_MILLRACE_CLOSED',
      `the consumer of queue '${this.#keeper.name}' is closed; the next one receives this message again`,
    )
  }

  releasedError(length: number): MillraceError {
    return new MillraceError(
      'ERR_MILLRACE_RELEASED',
      `this message of ${String(length)} bytes in queue '${this.#keeper.name}' was released; its memory may hold another ` +
        'message by now: take what you need before',
    )
  }

  /** The error of a wait for the next message, which may have been in vain because of what is held. */
  lateError(what: string, timeout: number): MillraceError {
    return timeoutError(
      what,
      timeout,
      `${this.#whatIsHeld()}, and the producer may wait for its room: release messages sooner, or allow more time`,
    )
  }

  /** The same promise of a message; the process is warned when that takes long while the producer waits for what is held. */
  async tellWhenLong<T>(message: Promise<T>): Promise<T> {
    if (this.#unwatched !== undefined) this.#watchNewest(this.#unwatched)
    const timer = startTimer(longWaitMs, () => {
      // A small part is held while others are at work, and a producer that sleeps may just wait for the end.
      if (this.#toldWaiting || this.#keeper.closed) return
      if (this.#bytes * 2 < this.#capacity || !this.#ring.producerSleeps) return
      this.#toldWaiting = true
      warn(
        'MILLRACE_MESSAGES_HELD',
        `the consumer of queue '${this.#keeper.name}' waits for a message, and its producer for room; ` +
          `${this.#whatIsHeld()}: release messages before waiting for more, or open the queue with a larger capacity`,
      )
    })
    try {
      return await message
    } finally {
      stopTimer(timer)
    }
  }

  #whatIsHeld(): string {
    return (
      `this consumer has not released ${String(this.#count)} of its messages, and holds with them ${String(this.#bytes)} of ` +
      `${String(this.#capacity)} bytes of the ring`
    )
  }

  /** Length of the next message, which stays; or `wouldBlock`, `corrupt`. */
  #peek(): number {
    const length = this.#ring.peek()
    // An honest producer has no room for more than what is not held.
    return length >= 0 && this.#bytes + recordBytes(length) > this.#capacity ? corrupt : length
  }

  /** The next message, where it lies. */
  #view(length: number): Bytes {
    const { buffer, offset } = this.#ring
    return new Uint8Array(buffer, offset + recordHeaderBytes, length)
  }

  #add(bytes: number): Hold {
    const hold = this.#spare ?? new Hold()
    this.#spare = hold.next
    hold.bytes = bytes
    hold.messages = 1
    hold.released = false
    hold.next = undefined
    if (this.#newest === undefined) this.#oldest = hold
    else this.#newest.next = hold
    this.#newest = hold
    this.#count++
    this.#bytes += bytes
    this.#ring.pass(bytes)
    return hold
  }

  /** Returns the next one. */
  #removeOldest(oldest: Hold): Hold | undefined {
    const { next } = oldest
    this.#oldest = next
    if (next === undefined) this.#newest = undefined
    oldest.next = this.#spare
    this.#spare = oldest
    return next
  }

  /**
   * From now on it is for the garbage collector to say whether anybody still has the newest message. The view is watched: who
   * has that and lost the message is still reading.
   */
  #watchNewest(bytes: Bytes): void {
    const newest = this.#newest!
    this.#unwatched = undefined
    this.#watched ??= new FinalizationRegistry((hold) => {
      this.#forgotten(hold)
    })
    this.#watched.register(bytes, newest, newest)
    newest.watched = true
  }

  #unwatch(hold: Hold): void {
    this.#watched?.unregister(hold)
    hold.watched = false
  }

  #forgotten(hold: Hold): void {
    if (this.#keeper.closed) return
    if (!this.#toldForgotten) {
      this.#toldForgotten = true
      warn(
        'MILLRACE_MESSAGE_FORGOTTEN',
        `a message of queue '${this.#keeper.name}' was garbage collected without having been released; it counts as consumed: ` +
          'take messages with `using message = await queue.take()`, which releases them when the code throws',
      )
    }
    this.release(hold)
  }
}

function warn(code: string, message: string): void {
  process.emitWarning(message, { code })
}
