// A call that a breaker let through, until it is said how it ended.

import type { NativeBreaker } from '../addon/breaker.js'
import { disposeInEveryContext } from '../base/disposal.js'
import { inspected, inspection, jsonOf, type Inspecting } from '../base/inspection.js'
import type { Judgement } from './judgement.js'

/**
 * A call that a `SharedBreaker` let through. Say once how it ended; what is said later, or after the breaker has opened or closed
 * since, is too old to count.
 */
export class BreakerPass {
  /** Is it the one call whose result decides whether the breaker closes? */
  readonly trial: boolean
  readonly #native: NativeBreaker
  readonly #title: string
  readonly #ticket: number
  #settled = false

  /** @internal */
  constructor(handle: NativeBreaker, title: string, ticket: number) {
    this.trial = ticket % 2 === 1
    this.#native = handle
    this.#title = title
    this.#ticket = ticket
  }

  /** What is called works. */
  success(): void {
    this.settle('success')
  }

  /** It does not. */
  failure(): void {
    this.settle('failure')
  }

  /** The call says nothing about it: it was aborted, or refused for what it was. A trial is there for the next call. */
  release(): void {
    this.settle('nothing')
  }

  /** @internal Does nothing once the breaker is closed, which has given a trial back. */
  settle(how: Judgement): void {
    if (this.#settled) return
    this.#settled = true
    if (how === 'success') this.#native.succeed(this.#ticket)
    else if (how === 'failure') this.#native.fail(this.#ticket)
    else this.#native.release(this.#ticket)
  }

  /** What `using` calls at the end of its block: `release()`, if nothing was said. */
  [Symbol.dispose](): void {
    this.release()
  }

  static {
    disposeInEveryContext(this.prototype)
  }

  /** For `JSON.stringify`: what `console.log` shows. Never throws. */
  toJSON(): object {
    return jsonOf(this)
  }

  /** @internal What `console.log` shows. */
  [inspected](...how: Inspecting): string {
    return inspection('BreakerPass', how, () => ({
      of: this.#title,
      trial: this.trial,
      settled: this.#settled,
    }))
  }
}
