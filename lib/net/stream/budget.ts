// What the channels of a listener may hold together, so that many of them cannot do what one may not. Beyond it each goes on as if it
// had the smallest `highWaterMark`: it reads nothing more until what it has was taken, and sends one message at a time. So each waits for
// itself alone, and nobody has to be woken. Parts of messages nobody can take: of those that are more than that, the largest one goes.

import { MillraceError } from '../../errors.js'

/** A channel that holds something. */
export interface Holder {
  /** It is ended: it holds the most of a message that is not whole. */
  cutOff(error: Error): void
}

export class Budget {
  readonly #most: number
  readonly #overdrawn: () => void
  /** What waits to be received, or to be sent. */
  #whole = 0
  /** Memory of messages that are not whole. */
  #partial = 0
  readonly #partials = new Map<Holder, number>()

  /** `overdrawn`: one was cut off. */
  constructor(most: number, overdrawn: () => void) {
    this.#most = most
    this.#overdrawn = overdrawn
  }

  get isSpent(): boolean {
    return this.#whole + this.#partial >= this.#most
  }

  /** So many more bytes wait; or fewer. */
  add(bytes: number): void {
    this.#whole += bytes
  }

  /** So many bytes of memory has that one for a message that is not whole. */
  partial(holder: Holder, bytes: number): void {
    const before = this.#partials.get(holder) ?? 0
    if (bytes === before) return
    this.#partial += bytes - before
    if (bytes === 0) this.#partials.delete(holder)
    else this.#partials.set(holder, bytes)
    while (this.#partial > this.#most) this.#cutOff()
  }

  #cutOff(): void {
    let largest: Holder | undefined
    let most = 0
    for (const [holder, bytes] of this.#partials) {
      if (bytes <= most) continue
      largest = holder
      most = bytes
    }
    if (largest === undefined) return
    this.#partial -= most
    this.#partials.delete(largest)
    this.#overdrawn()
    largest.cutOff(
      new MillraceError(
        'ERR_MILLRACE_NO_SPACE',
        `messages that are on their way need more than the ${String(this.#most)} bytes that this listener holds (maxHeld), and of this ` +
          'connection the longest one: it has been closed',
      ),
    )
  }
}
