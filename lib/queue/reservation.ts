// Space for one message in the ring, to be written in place. Each reservation is an object of its own, so that one that is
// over is told from the one that is open; what it needs of its producer, all of them have in common.

import { disposeInEveryContext } from '../base/disposal.js'
import { inspected, inspection, jsonOf, type Inspecting } from '../base/inspection.js'
import type { Bytes } from '../base/view-constructor.js'
import { MillraceError } from '../errors.js'

/** Space for one message inside the ring, from {@link QueueProducer.reserve}. */
export interface Reservation {
  /**
   * Write the message here. It still holds what was there before, older messages for instance: write every byte that is
   * committed, or clear it first. Valid until `commit` or `abort`.
   *
   * @throws MillraceError `RELEASED`
   */
  readonly bytes: Uint8Array
  /** Publishes the first `length` bytes (default: all) as one message. */
  commit(length?: number): void
  /** Gives the space back; nothing is sent. */
  abort(): void
  /** What `using` calls at the end of its block: `abort()`, unless it was committed. */
  [Symbol.dispose](): void
}

/** @internal Whose reservation it is: made once for a producer. */
export interface Reserver {
  /** Throws if no message may have that length. */
  judge(length: number): void
  /** The reservation is over: sends so many bytes of the message at that place, or nothing if that is -1. */
  finish(at: number, length: number): void
}

/** @internal */
export class RingReservation implements Reservation {
  readonly #bytes: Bytes
  /** Where the record begins. */
  readonly #at: number
  /** Not any more when it is over. */
  #reserver: Reserver | undefined

  constructor(reserver: Reserver, at: number, bytes: Bytes) {
    this.#reserver = reserver
    this.#at = at
    this.#bytes = bytes
  }

  get bytes(): Bytes {
    if (this.#reserver === undefined) throw released()
    return this.#bytes
  }

  commit(length = this.#bytes.length): void {
    const reserver = this.#reserver
    if (reserver === undefined) throw released()
    if (!Number.isInteger(length) || length < 0 || length > this.#bytes.length) {
      throw new MillraceError(
        'ERR_MILLRACE_INVALID_ARGUMENT',
        `length must be a whole number up to the ${String(this.#bytes.length)} bytes reserved`,
      )
    }
    reserver.judge(length)
    this.#reserver = undefined
    reserver.finish(this.#at, length)
  }

  abort(): void {
    const reserver = this.#reserver
    if (reserver === undefined) return
    this.#reserver = undefined
    reserver.finish(this.#at, -1)
  }

  /** What `using` calls at the end of its block: `abort()`. */
  [Symbol.dispose](): void {
    this.abort()
  }

  static {
    disposeInEveryContext(this.prototype)
  }

  /** For `JSON.stringify`: what `console.log` shows, without the bytes of messages, frames and values. Never throws. */
  toJSON(): object {
    return jsonOf(this)
  }

  [inspected](...how: Inspecting): string {
    return inspection('Reservation', how, () => ({
      byteLength: this.#bytes.byteLength,
      open: this.#reserver !== undefined,
    }))
  }
}

function released(): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_RELEASED',
    'this reservation was committed or aborted; its bytes must not be used any more',
  )
}
