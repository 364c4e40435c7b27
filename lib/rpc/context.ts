// What a handler is told beside its argument. Made for each call, so all that not every handler looks at is made when it does.

import { CallFact } from '../addon/calls.js'
import { inspected, inspection, jsonOf, type Inspecting } from '../base/inspection.js'
import { now } from '../base/time.js'
import { wideAt } from './call-handle.js'
import type { HandlerContext } from './contract.js'
import { today } from './today.js'
import type { AnswerLoan } from './answer-loan.js'

/** @internal Who lends room for the answer of a call that it has in hand. */
export interface AnswerLender {
  lend(call: unknown, length: number): Promise<AnswerLoan>
}

/**
 * The call that a handler is at work for. It can be given as the options of another call: that one ends with it, and no later than
 * its deadline (`client.load(id, context)`, or `{ within: context, timeout: 50 }`).
 */
export class CallContext implements HandlerContext {
  // Nothing of its own is to be seen by who takes it for options.
  readonly #method: string
  readonly #caller: number
  readonly #until: number
  #control: AbortController | undefined
  #reason: unknown
  #over = false
  #server: AnswerLender | undefined
  #call: unknown

  readonly #traceparent: string | undefined

  /** @internal Of the call that `take` has left in the facts. */
  constructor(method: string, facts: Int32Array, traceparent: string | undefined) {
    this.#method = method
    this.#traceparent = traceparent
    this.#caller = facts[CallFact.caller]!
    this.#until =
      facts[CallFact.left + 1] === -1 ? Infinity : now() + wideAt(facts, CallFact.left) / 1e6
  }

  /** The name of the method. */
  get method(): string {
    return this.#method
  }

  /**
   * Aborts when nobody waits for the answer any more: the caller has aborted the call, its time is over, it has died or closed; or
   * the server closes, and its time to finish is over. The reason is a `MillraceError` that says which.
   */
  get signal(): AbortSignal {
    if (this.#control === undefined) {
      this.#control = new AbortController()
      if (this.#over) this.#control.abort(this.#reason)
    }
    return this.#control.signal
  }

  /** Milliseconds until its caller gives it up, with fractions, 0 if that is over; Infinity: it waits for as long as it takes. */
  get remaining(): number {
    return Math.max(this.#until - now(), 0)
  }

  /** When its caller gives it up, in milliseconds since 1970 by the clock of this process; Infinity: never. */
  get deadline(): number {
    return this.#until === Infinity ? Infinity : today() + this.remaining
  }

  /** The context of the trace that the call belongs to, as W3C writes it, if its caller has sent one. */
  get traceparent(): string | undefined {
    return this.#traceparent
  }

  /** Who calls. */
  get caller(): HandlerContext['caller'] {
    return { pid: this.#caller }
  }

  /**
   * Room for the result, to be written in place; waits for it as the answer would. Return it from the handler, or its bytes.
   *
   * @throws MillraceError (as rejection) `UNSUPPORTED` (the result does not travel as `bytes`), `TOO_LARGE`, `TOO_MANY_HELD` (there is a loan
   *   for it already), `ABORTED` (nobody waits for the answer any more), `RELEASED` (it was answered), `CLOSED`, `INVALID_ARGUMENT`,
   *   `UNSUPPORTED_RUNTIME`
   */
  loan(length: number): Promise<AnswerLoan> {
    return this.#server!.lend(this.#call, length)
  }

  /** @internal Whose call it is. */
  static of(context: CallContext, server: AnswerLender, call: unknown): void {
    context.#server = server
    context.#call = call
  }

  /** @internal Nobody waits for the answer. */
  cancel(reason: unknown): void {
    if (this.#over) return
    this.#over = true
    this.#reason = reason
    this.#control?.abort(reason)
  }

  /** For `JSON.stringify`: what `console.log` shows. Never throws. */
  toJSON(): object {
    return jsonOf(this)
  }

  /** @internal What `console.log` shows. */
  [inspected](...how: Inspecting): string {
    return inspection('CallContext', how, () => ({
      method: this.method,
      remaining: this.remaining,
      caller: this.caller,
    }))
  }
}
