// The side that answers, as bytes: what a call means is for others to say.
//
//   take ── one in hand more ──► begin ──► answer | answer later ──► one less
//
// Calls are taken one by one, and the handler of each begins before the next is taken: whoever is idle takes what is there. One that
// takes its time costs others nothing, up to `concurrency`.

import { CallFact, CallKind, type NativeCalls } from '../addon/calls.js'
import { Outcome } from '../addon/outcome.js'
import { forgetAbort, whenAborted, type Abortable } from '../base/abort-signals.js'
import { disposeInEveryContext } from '../base/disposal.js'
import { atTurn, turnIsDue } from '../base/fairness.js'
import { tellOf } from '../base/life.js'
import { pause } from '../base/opening.js'
import { outsideOfAll } from '../base/outside.js'
import { afterAllElse, startTimer, stopTimer } from '../base/time.js'
import type { Bytes } from '../base/view-constructor.js'
import type { Attempt } from '../base/waiter.js'
import { closedError, MillraceError } from '../errors.js'
import { AnswerLoan } from './answer-loan.js'
import { CallHandle, wideAt } from './call-handle.js'
import { lentError } from './lending.js'
import type { CallContext } from './context.js'
import type { GivenServe } from './options.js'

/** An attempt to take a call is an addon call. */
const looksOfTake = 16

/** How often a server that drains looks whether streams have ended. */
const drainLookMs = 5

/** How long an answer that has no room waits until it is tried again. */
const noRoomMs = 1

/** A call that this server has in hand: exactly what its slot's word must be when it is answered. */
export class TakenCall {
  readonly slot: number
  readonly #low: number
  readonly #high: number
  readonly context: CallContext
  /** Room for its answer. */
  loan: AnswerLoan | undefined

  constructor(facts: Int32Array, context: CallContext) {
    this.slot = facts[CallFact.slot]!
    this.#low = facts[CallFact.word]!
    this.#high = facts[CallFact.word + 1]!
    this.context = context
  }

  put(facts: Int32Array): void {
    facts[CallFact.slot] = this.slot
    facts[CallFact.word] = this.#low
    facts[CallFact.word + 1] = this.#high
  }
}

export abstract class Taker extends CallHandle implements Abortable {
  /** Handlers that may be at work at a time. */
  readonly concurrency: number
  readonly #drainMs: number
  readonly #signal: AbortSignal | undefined
  /** By their slots. */
  readonly #inHand: (TakenCall | undefined)[] = []
  #atWork = 0
  #ticking = false
  #waiting = false
  /** An attempt is at work: whatever ends meanwhile, it goes on with the next call itself. */
  #taking = false
  /** `close()` was called, and handlers finish what they have in hand. */
  #ending: Promise<void> | undefined
  #drained: (() => void) | undefined

  /** @internal */
  protected constructor(name: string, native: NativeCalls, given: GivenServe) {
    super(name, `the server of '${name}'`, native, given.tuning, () => this.#kinds())
    this.concurrency = given.concurrency
    this.#drainMs = given.drainMs
    this.#signal = given.signal
  }

  /** Handlers that are at work at this instant. */
  get atWork(): number {
    return this.#atWork
  }

  /** Was it closed? From `close()` on it takes no calls, also while handlers finish what they have in hand. */
  override get closed(): boolean {
    return this.#ending !== undefined || super.closed
  }

  /** @internal From now on calls are taken. */
  protected begin(): void {
    this.native.serve(true)
    this.told()
    if (this.#signal !== undefined) whenAborted(this.#signal, this)
    // Handlers belong to nobody who happens to serve.
    outsideOfAll((tick) => {
      this.#ticking = true
      afterAllElse(tick)
    }, this.#tick)
  }

  /** @internal Its signal. */
  aborted(): void {
    this.close()
  }

  /**
   * Takes no more calls. When the handlers have finished what they have in hand, or their time for that (`drainOnClose`) is over,
   * it gives its seat back: the signals of those that are still at work abort, and their callers get `PEER_GONE`, with `executed:
   * 'unknown'`. If no other server is there, calls that wait are `NO_RESPONDER` at once. `await using` waits for the end.
   */
  override close(): void {
    if (this.closed) return
    if ((this.#atWork === 0 && !this.isBusyElsewhere()) || this.#drainMs === 0) {
      super.close()
      return
    }
    if (this.waits.damage() !== undefined) return // closed by that
    this.native.serve(false)
    this.told()
    this.leaveElsewhere()
    this.#ending = new Promise((resolve) => {
      const end = (): void => {
        stopTimer(timer)
        this.#drained = undefined
        super.close()
        tellOf('drained', this)
        resolve()
      }
      const timer = startTimer(this.#drainMs, end, { alive: true })
      const look = (): void => {
        if (this.#drained === undefined || this.#atWork > 0) return
        if (this.isBusyElsewhere()) startTimer(drainLookMs, look)
        else end()
      }
      this.#drained = look
      look()
    })
    // What it waits for now is that calls in hand are cancelled.
    this.waits.lookAgain()
  }

  /**
   * What `await using` calls at the end of its block: `close()`, and waits for the handlers. A handler that does so would wait for
   * itself: it calls `close()`.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close()
    await this.#ending
  }

  static {
    disposeInEveryContext(this.prototype, 'asyncDispose')
  }

  /** @internal Begins with a call that is in the facts: its bytes are good until this returns. Answers it, now or later. */
  protected abstract handle(call: TakenCall, method: number, bytes: Bytes): void
  /** @internal */
  protected abstract contextOf(facts: Int32Array, method: number): CallContext

  /** @internal Is its answer still of interest to anybody? */
  protected holds(call: TakenCall): boolean {
    return this.#inHand[call.slot] === call
  }

  /** @internal Sends what `put` puts into the outbox, or what it returns; see `NativeCalls.answer`. */
  protected answer(call: TakenCall, status: number, bytes: Uint8Array | number): void {
    if (super.closed || this.#inHand[call.slot] !== call) return
    if (call.loan !== undefined) this.#endLoan(call)
    const { facts, native } = this
    call.put(facts)
    facts[CallFact.status] = status
    let outcome: number
    if (typeof bytes === 'number') {
      facts[CallFact.length] = bytes
      outcome = native.answer()
    } else {
      outcome = native.answerWith(bytes)
    }
    if (facts[CallFact.woke] !== 0) this.told()
    if (outcome >= 0) {
      this.#ended(call)
    } else if (outcome === Outcome.wouldBlock) {
      const kept = typeof bytes === 'number' ? native.outbox.slice(0, bytes) : bytes
      startTimer(
        noRoomMs,
        () => {
          if (this.waits.damage() === undefined) this.answer(call, status, kept)
        },
        { alive: true },
      )
    } else if (outcome === Outcome.tooLarge) {
      this.tooLarge(call, status, typeof bytes === 'number' ? bytes : bytes.length)
    } else {
      this.fail(outcome)
    }
  }

  /** @internal The same, with the first bytes of the room that it has for that. */
  protected answerLoan(call: TakenCall, status: number, length: number): void {
    if (super.closed || this.#inHand[call.slot] !== call) return
    this.#endLoan(call)
    call.put(this.facts)
    this.facts[CallFact.status] = status
    const outcome = this.native.answerLoan(length)
    this.told()
    if (outcome < 0) throw this.fail(outcome)
    this.#ended(call)
  }

  /** Who fills it stops first: the memory is somebody else's in a moment. */
  #endLoan(call: TakenCall): void {
    if (call.loan !== undefined) AnswerLoan.over(call.loan)
    call.loan = undefined
  }

  /** @internal Room for its answer, when there is some. */
  protected async loanFor(call: TakenCall, length: number): Promise<AnswerLoan> {
    const { facts, native, context } = this.#assertAnswerable(call)
    const what = `${context.method}() at '${this.name}'`
    for (;;) {
      call.put(facts)
      const outcome = native.loanAnswer(length)
      this.told()
      if (outcome === 1) break
      if (outcome === 0) throw unwantedError()
      if (outcome === Outcome.tooLarge) throw this.resultTooLarge(call, length)
      if (outcome === Outcome.invalid) {
        throw lentError(what)
      }
      if (outcome !== Outcome.wouldBlock) throw this.fail(outcome)
      await pause(noRoomMs, context.signal)
      this.#assertAnswerable(call)
    }
    const cancel = (): void => {
      if (call.loan !== loan || super.closed || this.waits.damage() !== undefined) return
      call.loan = undefined
      this.#cancelAnswer(call)
    }
    let bytes: Bytes
    try {
      bytes = this.own(wideAt(facts, CallFact.offset), length)
    } catch (error) {
      this.#cancelAnswer(call)
      throw error
    }
    const loan = new AnswerLoan(what, bytes, cancel)
    call.loan = loan
    return loan
  }

  #cancelAnswer(call: TakenCall): void {
    call.put(this.facts)
    this.native.cancelAnswer()
    this.told()
  }

  #assertAnswerable(call: TakenCall): {
    readonly facts: Int32Array
    readonly native: NativeCalls
    readonly context: CallContext
  } {
    if (super.closed) throw closedError(this.title)
    if (this.#inHand[call.slot] !== call) {
      throw new MillraceError(
        'ERR_MILLRACE_RELEASED',
        `this call of ${call.context.method}() was answered: there is no room to be had for it`,
      )
    }
    this.assertWhole()
    return { facts: this.facts, native: this.native, context: call.context }
  }

  /** @internal Are handlers at work for what does not come as a call? */
  protected isBusyElsewhere(): boolean {
    return false
  }

  /** @internal Nothing is begun any more. */
  protected abstract leaveElsewhere(): void

  /** @internal The error of that. */
  protected abstract resultTooLarge(call: TakenCall, length: number): MillraceError

  /** @internal A result for which there can be no room. */
  protected abstract tooLarge(call: TakenCall, status: number, length: number): void

  #ended(call: TakenCall): void {
    this.#inHand[call.slot] = undefined
    const wasFull = this.#atWork-- === this.concurrency
    if (this.#ending !== undefined) {
      if (this.#atWork === 0) this.#drained?.()
    } else if (wasFull && this.#waiting && !this.#taking) {
      // From an attempt it would be one inside the other, as deep as there are calls.
      this.waits.lookAgain()
    }
  }

  /** Has the handle been given back? Then the memory is not ours any more. */
  #isGone(): boolean {
    return super.closed
  }

  #kinds(): number {
    return this.#mayTake() ? CallKind.calls : CallKind.answers
  }

  #mayTake(): boolean {
    return this.#ending === undefined && this.#atWork < this.concurrency
  }

  #tickSoon(): void {
    if (this.#ticking) return
    this.#ticking = true
    afterAllElse(this.#tick)
  }

  /** All that could run has run: looks for calls. */
  readonly #tick = (): void => {
    this.#ticking = false
    if (this.#isGone() || this.waits.damage() !== undefined) return
    try {
      this.#takeAll()
    } catch (error) {
      if (!this.#isGone()) throw error // else the memory is corrupt, and it was closed
    }
  }

  #takeAll(): void {
    for (;;) {
      if (this.#isGone() || this.#waiting) return
      if (!this.#mayTake() || this.waits.spin(this.#attempt, looksOfTake) === undefined) break
      if (this.#atWork > 0) {
        this.#tickSoon() // they may have ended by then
        return
      }
      if (turnIsDue()) {
        atTurn(this.#tickAtTurn, undefined)
        return
      }
    }
    if (!this.#isGone()) this.#wait()
  }

  readonly #tickAtTurn = (): void => {
    this.#tickSoon()
  }

  #wait(): void {
    this.#waiting = true
    this.waits.wait(never, this.#attempt, undefined, undefined, false).then(
      () => {
        this.#waiting = false
        this.#tickSoon()
      },
      (error: unknown) => {
        this.#waiting = false
        // Nobody is there to be told of anything else, and no call would be taken any more.
        if (!this.#isGone()) throw error
      },
    )
  }

  readonly #attempt: Attempt<true> = (thorough) => {
    if (this.#taking) return undefined // a handler that closes something looks, too
    this.#taking = true
    try {
      if (thorough) this.look()
      if (this.#atWork > 0) this.#tellCancelled()
      let some: true | undefined
      while (this.#mayTake()) {
        if (!this.#takeOne()) break
        some = true
        if (super.closed || turnIsDue()) break
      }
      return some
    } finally {
      this.#taking = false
    }
  }

  #takeOne(): boolean {
    const { facts } = this
    this.native.take()
    if (facts[CallFact.woke] !== 0) this.told()
    const slot = facts[CallFact.slot]!
    if (slot < 0) {
      if (slot === Outcome.wouldBlock) return false
      throw this.fail(slot)
    }
    const method = facts[CallFact.method]!
    const call = new TakenCall(facts, this.contextOf(facts, method))
    this.#inHand[slot] = call
    this.#atWork++
    this.handle(call, method, this.given())
    return true
  }

  #tellCancelled(): void {
    for (;;) {
      const slot = this.native.nextCancelled()
      if (slot < 0) return
      this.#inHand[slot]?.context.cancel(unwantedError())
    }
  }

  /** @internal */
  protected override leave(reason: Error | (() => Error)): void {
    if (super.closed) return
    if (this.#signal !== undefined) forgetAbort(this.#signal, this)
    const inHand = this.#inHand.filter((call) => call !== undefined)
    this.#inHand.length = 0
    this.#atWork = 0
    for (const call of inHand) this.#endLoan(call)
    super.leave(reason)
    // It ends by itself, and nobody waits for it who could be told.
    if (typeof reason !== 'function') {
      process.emitWarning(
        `${this.title} has ended, and answers no calls any more: ${reason.message}`,
        {
          code: 'MILLRACE_SERVER_ENDED',
        },
      )
    }
    if (inHand.length === 0) return
    const error = typeof reason === 'function' ? reason() : reason
    for (const { context } of inHand) context.cancel(error)
  }
}

function unwantedError(): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_ABORTED',
    'nobody waits for the answer any more: the caller has aborted the call, its time is over, or it is gone',
  )
}

function never(): Error {
  return new Error('a server waits for ever')
}
