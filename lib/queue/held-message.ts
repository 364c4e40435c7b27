// A message that a consumer has taken; held-messages.ts keeps account of them.

import { disposeInEveryContext } from '../base/disposal.js'
import { inspected, inspection, jsonOf, type Inspecting } from '../base/inspection.js'
import type { Bytes } from '../base/view-constructor.js'
import type { MillraceError } from '../errors.js'

/** @internal Who keeps account of a consumer's messages. What a hold is, is its business. */
export interface Account {
  /** Of the queue. */
  readonly name: string
  readonly closed: boolean
  /** @throws MillraceError `CLOSED` */
  assertOpen(): void
  releasedError(length: number): MillraceError
  release(hold: object): void
}

/**
 * A message held in place, from `QueueConsumer.take`: it lies in the ring until `release()`, or the end of its `using` block,
 * and takes up its room there. Messages may be released in any order; the room of one comes back when all older ones are
 * released, too.
 *
 * A message that was not released when its consumer closes or dies was not consumed: the next consumer of the queue receives
 * it again.
 */
export class HeldMessage {
  /** Bytes of the message. */
  readonly length: number
  readonly #messages: Account
  readonly #bytes: Bytes
  /** Not any more after the release. */
  #hold: object | undefined

  /** @internal */
  constructor(messages: Account, hold: object, bytes: Bytes) {
    this.#messages = messages
    this.#hold = hold
    this.#bytes = bytes
    this.length = bytes.length
  }

  /**
   * The message in shared memory itself: nothing was copied. Do not keep it beyond `release()`: views read whatever comes to lie
   * there then. A call that goes on in the background (`fs.write`, `zlib`, `crypto`) must have ended before, or be given a
   * copy. When the consumer closes, all views become empty.
   *
   * @throws MillraceError `RELEASED`, `CLOSED`
   */
  get bytes(): Bytes {
    if (this.#hold === undefined) throw this.#messages.releasedError(this.length)
    this.#messages.assertOpen()
    return this.#bytes
  }

  /** Was it released? Then its memory may hold another message. */
  get released(): boolean {
    return this.#hold === undefined
  }

  /** The message is consumed; its room goes back to the producer. Never blocks. Once is enough; more does nothing. */
  release(): void {
    const hold = this.#hold
    if (hold === undefined) return
    this.#hold = undefined
    this.#messages.release(hold)
  }

  /** What `using` calls at the end of its block: `release()`. */
  [Symbol.dispose](): void {
    this.release()
  }

  static {
    disposeInEveryContext(this.prototype)
  }

  /** For `JSON.stringify`: what `console.log` shows, without the bytes of messages, frames and values. Never throws. */
  toJSON(): object {
    return jsonOf(this)
  }

  /** @internal What `console.log` shows. */
  [inspected](...how: Inspecting): string {
    return inspection('HeldMessage', how, () => ({
      queue: this.#messages.name,
      length: this.length,
      state: this.released ? 'released' : this.#messages.closed ? 'void' : 'held',
    }))
  }
}
