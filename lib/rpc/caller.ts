// The side that calls, as bytes: what a call is, and what its answer means, is for others to say.
//
//   call ── slot in shared memory ──► pending, by its slot ── answered | late | aborted | nobody serves ──► settled, once
//
// However many calls are on their way, one wait looks for answers: when this thread has run all that can run now, so that calls
// that are made together are sent together, it spins a little, and then waits in the event loop as everybody else does.

import {
  CallEnd,
  CallFact,
  CallKind,
  noResponder,
  Withdrawn,
  type NativeCalls,
} from '../addon/calls.js'
import { native } from '../addon/native.js'
import { Outcome } from '../addon/outcome.js'
import { atTurn, turnIsDue } from '../base/fairness.js'
import { pause } from '../base/opening.js'
import type { Tuning } from '../base/options.js'
import { afterAllElse, now, startTimer, stopTimer, type Timer } from '../base/time.js'
import type { Attempt } from '../base/waiter.js'
import { closedError, hasCode, MillraceError, type Executed } from '../errors.js'
import { CallHandle, newsOf } from './call-handle.js'
import { PendingCall, type Receive, type Waits } from './pending.js'
import type { Limits } from './options.js'

/** How often a client looks whether somebody serves, where calls wait for that. */
const lookForServersMs = 5

/** Words of 32 bits. */
const mostWords = 32

/** How long a number of servers is taken to be true. */
const countServersMs = 1

/** How often a client that sleeps looks whether its calls are where they were: whoever writes over one rings nobody. */
const checkMs = 40

/** An attempt looks at several words. */
const looksForNews = 4

/** One that waits until somebody serves. */
interface Held {
  readonly call: PendingCall
  readonly send: () => number
  /** Undefined: what it is made of lies in the memory here. */
  readonly again: Again | undefined
  readonly until: number
}

/** Makes the same call once more, where somebody serves by now; `timeout`: what is left of its own. */
export type Again = (timeout: number) => Promise<unknown>

const { processors } = native

export abstract class Caller extends CallHandle implements Waits {
  readonly #waitMs: number
  readonly #pending: (PendingCall | undefined)[] = []
  #inFlight = 0
  /** Not 0 when there is an answer; undefined where only the addon can look. */
  readonly #news: Int32Array | undefined
  #ticking = false
  #waiting = false
  #check: Timer | undefined
  #servers = 0
  #countedAt = -Infinity
  #held: Held[] = []
  #timer: Timer | undefined

  /** @internal */
  protected constructor(name: string, native: NativeCalls, tuning: Tuning, waitMs: number) {
    super(
      name,
      `the client of '${name}'`,
      native,
      tuning,
      () => CallKind.answers,
      () => this.#isCrowded(),
    )
    this.#waitMs = waitMs
    this.#news = newsOf(native)
  }

  /** Calls of this client on their way. */
  get pending(): number {
    return this.#inFlight + this.#held.length
  }

  /** Does anybody serve at this instant? */
  get served(): boolean {
    this.assertOpen()
    return this.native.served()
  }

  /** @internal May calls be sent later, when a server comes, or once more? */
  protected get mayHold(): boolean {
    return this.#waitMs > 0
  }

  /**
   * @internal Sends by `send`, which returns a slot or an outcome of the addon, and may be called until it was sent, and after that, too,
   * if there is an `again`; what comes of the answer is for `receive`. Where nobody serves here any more, and somebody does in other
   * memory by now, the call is made there by `again`.
   */
  protected dispatch(
    what: string,
    send: () => number,
    receive: Receive,
    limits: Limits | undefined,
    again: Again | undefined,
    idempotent: boolean,
  ): Promise<unknown> {
    // Those who wait for a server go first.
    const slot = this.#held.length === 0 ? send() : noResponder
    if (slot === noResponder && this.hasMoved() && again !== undefined) {
      return again(limits?.timeout ?? Infinity)
    }
    if (slot < 0 && !(slot === noResponder && this.#waitMs > 0)) {
      this.told()
      return Promise.reject(this.refused(slot, what))
    }
    return new Promise((resolve, reject) => {
      const call = new PendingCall(this, what, idempotent, receive, resolve, reject)
      if (limits !== undefined) call.limit(limits)
      if (this.#waitMs > 0 && again !== undefined) {
        call.send = send
        call.again = again
      }
      if (slot < 0) this.#hold(call, send, again)
      else this.#sent(call, slot)
      // Before it was sent, but after it was given: by code of its value, or while a stream waited for its first reader.
      if (limits?.signal?.aborted === true || limits?.outer?.aborted === true) call.aborted()
    })
  }

  /** @internal Nobody serves here: has somebody begun to in other memory, which has this name by now? */
  protected abstract hasMoved(): boolean

  /** @internal When somebody serves, or the time that calls wait for that is over. */
  async untilServed(signal: AbortSignal | undefined, until: number): Promise<void> {
    await untilSo(
      () => {
        this.assertOpen()
        this.assertWhole()
        return this.native.served() || this.hasMoved()
      },
      signal,
      until,
      () => this.refused(noResponder, 'connect()'),
    )
  }

  /** @internal Sends these bytes, or so many of the outbox, as the facts say. */
  protected send(bytes: number | Uint8Array, trace?: Uint8Array): number {
    if (trace !== undefined) {
      const { outbox } = this.native
      return this.native.callWith(
        typeof bytes === 'number' ? outbox.subarray(0, bytes) : bytes,
        trace,
      )
    }
    if (typeof bytes !== 'number') return this.native.callWith(bytes)
    this.facts[CallFact.length] = bytes
    return this.native.call()
  }

  #sent(call: PendingCall, slot: number): void {
    call.slot = slot
    this.#pending[slot] = call
    this.#inFlight++
    if (this.facts[CallFact.woke] !== 0) this.told()
    if (!this.#ticking && !this.#waiting) this.#tickSoon()
  }

  #tickSoon(): void {
    this.#ticking = true
    afterAllElse(this.#tick)
  }

  /** All that could run has run: looks for answers. */
  readonly #tick = (): void => {
    this.#ticking = false
    try {
      if (this.closed || this.waits.damage() !== undefined) return
      this.#receiveAll()
    } catch (error) {
      if (!this.closed) throw error // else the memory is corrupt, which all calls were told
    }
  }

  /** Are there as many servers at work for us as there are processors? Then each answer comes the later the more we look for it. */
  #isCrowded(): boolean {
    if (this.#inFlight < processors || this.closed) return false
    const time = now()
    if (time - this.#countedAt >= countServersMs) {
      this.#countedAt = time
      this.#servers = this.native.servers()
    }
    return this.#servers >= processors
  }

  #receiveAll(): void {
    if (this.#inFlight === 0 || this.closed) return
    if (this.waits.spin(this.#attempt, looksForNews) === undefined) this.#wait()
    else if (this.#inFlight > 0) this.#tickSoon()
  }

  #wait(): void {
    if (this.#waiting) return
    this.#waiting = true
    this.#check ??= startTimer(checkMs, this.#checkCalls)
    this.waits.wait(never, this.#attempt, undefined, undefined, false).then(
      () => {
        this.#waiting = false
        if (this.#inFlight > 0 && !this.#ticking) this.#tickSoon()
      },
      (error: unknown) => {
        this.#waiting = false
        if (!this.closed) throw error // else all that was pending was told
      },
    )
  }

  readonly #checkCalls = (): void => {
    this.#check = undefined
    if (this.closed || this.#inFlight === 0 || this.waits.damage() !== undefined) return
    if (!this.native.allThere()) {
      this.fail(Outcome.corrupt)
      return
    }
    this.waits.lookAgain() // an answer may have been there, and its sign not
    if (this.#inFlight > 0) this.#check ??= startTimer(checkMs, this.#checkCalls)
  }

  readonly #attempt: Attempt<true> = (thorough) => {
    if (thorough) this.look()
    if (this.#receive()) return true
    return this.#inFlight === 0 ? null : undefined
  }

  /** Takes all answers that are there. */
  #receive(): boolean {
    const news = this.#news
    const { native, facts } = this
    let some = false
    while (news === undefined || isAnySet(news)) {
      native.poll()
      const slot = facts[CallFact.slot]!
      if (slot < 0) {
        if (slot === Outcome.wouldBlock) break
        throw this.fail(slot)
      }
      some = true
      this.#answered(slot)
    }
    if (facts[CallFact.woke] !== 0) this.told()
    return some
  }

  #answered(slot: number): void {
    const { facts } = this
    const isSmall = facts[CallFact.small] !== 0
    const call = this.#pending[slot]
    if (call === undefined) {
      if (!isSmall) this.native.release(slot) // it was given up
      return
    }
    const end = facts[CallFact.end]!
    if ((end & ~CallEnd.touched) !== CallEnd.answered) {
      this.#ended(call, end)
      return
    }
    this.#forget(call)
    let value: unknown
    try {
      value = call.receive(facts[CallFact.status]!, this.given(), call)
    } catch (error) {
      settle(call.reject, error)
      return
    } finally {
      if (!isSmall && !call.keeps && call.slot >= 0) this.native.release(slot)
    }
    settle(call.resolve, value)
  }

  /** No server has answered it, nor will. */
  #ended(call: PendingCall, end: number): void {
    const executed = (end & CallEnd.touched) === 0 ? 'no' : 'unknown'
    const how = end & ~CallEnd.touched
    if (how === CallEnd.noResponder && call.send !== undefined) {
      this.#pending[call.slot] = undefined
      this.#inFlight--
      call.slot = -1
      this.#hold(call, call.send, call.again)
      return
    }
    this.#forget(call)
    settle(call.reject, this.#failure(call, how, executed))
  }

  #failure(call: PendingCall, how: number, executed: Executed): MillraceError {
    if (how === CallEnd.noResponder) return this.refused(noResponder, call.what)
    if (how === CallEnd.expired) return this.#late(call, call.timeout, executed)
    return new MillraceError(
      'ERR_MILLRACE_PEER_GONE',
      `${call.what} at '${this.name}': its server died or closed before it had answered` +
        (executed === 'no'
          ? ', and had not begun with it; call again'
          : call.idempotent
            ? '; what has been done of it is not known, and no other server is left to begin with it, or three have: see what ends them, start a server, and call again'
            : '; what it has done of it is not known, and it is not repeated by itself, for the contract does not say that it is idempotent'),
      { executed },
    )
  }

  #forget(call: PendingCall): void {
    call.stop()
    if (call.slot >= 0) {
      this.#pending[call.slot] = undefined
      this.#inFlight--
      return
    }
    this.#held = this.#held.filter((held) => held.call !== call)
  }

  // Ends before the answer

  /** @internal */
  late(call: PendingCall, timeout: number): void {
    // Its answer may have come while this thread did other things.
    if (call.slot >= 0 && !this.closed && this.waits.damage() === undefined) {
      try {
        this.#receive()
      } catch {
        return // the memory is corrupt, which all calls were told
      }
    }
    this.#giveUp(call, (executed) => this.#late(call, timeout, executed))
  }

  #late(call: PendingCall, timeout: number, executed: Executed): MillraceError {
    return new MillraceError(
      'ERR_MILLRACE_TIMEOUT',
      `${call.what} at '${this.name}' was not answered within ${String(Math.ceil(timeout))} ms: ${this.#whyLate(call, executed)}`,
      { executed },
    )
  }

  #whyLate(call: PendingCall, executed: Executed): string {
    if (call.slot < 0) return 'nobody serves; start a server'
    return executed === 'no'
      ? 'no server has begun with it; start more of them, or serve with more concurrency, or allow more time'
      : 'its handler is still at work, and its signal aborts; find out why, or allow more time'
  }

  /** @internal */
  aborted(call: PendingCall, signal: AbortSignal): void {
    this.#giveUp(call, (executed) => {
      const facts = { cause: signal.reason as unknown, executed }
      return new MillraceError(
        'ERR_MILLRACE_ABORTED',
        `${call.what} at '${this.name}' was aborted`,
        facts,
      )
    })
  }

  #giveUp(call: PendingCall, error: (executed: Executed) => MillraceError): void {
    const { slot } = call
    if (slot >= 0 ? this.#pending[slot] !== call : !this.#held.some((held) => held.call === call)) {
      return // it is over
    }
    const found = slot < 0 || this.closed ? Withdrawn.untouched : this.native.withdraw(slot)
    this.told()
    this.#forget(call)
    call.reject(error(found === Withdrawn.untouched ? 'no' : 'unknown'))
    if (this.pending === 0) this.waits.lookAgain()
  }

  // Nobody serves

  #hold(call: PendingCall, send: () => number, again: Again | undefined): void {
    if (this.#held.length >= this.native.calls) {
      call.stop()
      call.reject(this.refused(Outcome.wouldBlock, call.what))
      return
    }
    this.#held.push({ call, send, again, until: now() + this.#waitMs })
    this.#lookForServers()
  }

  /** From time to time, for nobody tells that a server has come. */
  #lookForServers(): void {
    if (this.#timer !== undefined) return
    this.#timer = startTimer(
      lookForServersMs,
      () => {
        this.#timer = undefined
        if (this.closed || this.waits.damage() !== undefined) return
        if (this.native.served()) this.#served()
        else if (this.hasMoved()) this.#move()
        else this.#stillUnserved()
        if (this.#held.length > 0) this.#lookForServers()
      },
      { alive: true },
    )
  }

  #served(): void {
    const held = this.#held
    this.#held = []
    for (const [at, one] of held.entries()) {
      const slot = one.send()
      if (slot === noResponder) {
        this.#held = held.slice(at)
        return
      }
      if (slot < 0) {
        one.call.stop()
        one.call.reject(this.refused(slot, one.call.what))
      } else {
        this.#sent(one.call, slot)
      }
    }
  }

  /** All that waits, and can, goes where somebody serves. */
  #move(): void {
    const held = this.#held
    this.#held = held.filter(({ again }) => again === undefined)
    for (const { call, again } of held) {
      if (again === undefined) continue
      call.stop()
      again(call.left()).then(call.resolve, call.reject)
    }
    this.#stillUnserved()
  }

  #stillUnserved(): void {
    const time = now()
    for (const { call, until } of this.#held) {
      if (time < until) continue
      this.#forget(call)
      call.reject(this.refused(noResponder, call.what))
    }
  }

  /** @internal Why a call was not sent. */
  protected refused(outcome: number, what: string): MillraceError {
    const call = `${what} at '${this.name}'`
    switch (outcome) {
      case noResponder:
        return nobodyServes(this.name, what, this.#waitMs)
      case Outcome.wouldBlock:
        return new MillraceError(
          'ERR_MILLRACE_BUSY',
          `${call}: as many calls as there may be are on their way; try again later, start more servers, or open it with more calls and bytes`,
          { executed: 'no' },
        )
      case Outcome.tooLarge:
        return new MillraceError(
          'ERR_MILLRACE_TOO_LARGE',
          `${call}: its argument is longer than ${String(this.native.maxBytes)} bytes, the most there can be; open it with more bytes`,
          { executed: 'no' },
        )
      default:
        return this.fail(outcome)
    }
  }

  /** @internal */
  protected override closeNative(): void {
    stopTimer(this.#timer)
    stopTimer(this.#check)
    this.#timer = this.#check = undefined
    super.closeNative()
  }

  /** @internal */
  protected override leave(reason: Error | (() => Error)): void {
    if (this.closed) return
    super.leave(reason)
    const calls = [
      ...this.#pending.filter((call) => call !== undefined),
      ...this.#held.map(({ call }) => call),
    ]
    this.#pending.length = 0
    this.#inFlight = 0
    this.#held = []
    const why = typeof reason === 'function' ? reason() : reason
    for (const call of calls) {
      call.stop()
      call.reject(this.#cutOff(why, call))
    }
  }

  #cutOff(why: Error, { slot, what }: PendingCall): Error {
    if (!hasCode(why, 'ERR_MILLRACE_CLOSED')) return why
    const { message } = closedError(this.title)
    return new MillraceError('ERR_MILLRACE_CLOSED', `${what} at '${this.name}': ${message}`, {
      executed: slot < 0 ? 'no' : 'unknown',
    })
  }
}

function never(): Error {
  return new Error('waits for answers have no time of their own')
}

/** Ends a call: now, or after the turn that the event loop is due. */
function settle(end: (value: unknown) => void, value: unknown): void {
  if (turnIsDue()) atTurn(end, value)
  else end(value)
}

/** There are few words as a rule; where there are many, the addon is quicker. */
function isAnySet(words: Int32Array): boolean {
  const { length } = words
  if (length > mostWords) return true
  for (let i = 0; i < length; i++) if (Atomics.load(words, i) !== 0) return true
  return false
}

/** Nobody serves, or has within the time that calls wait for that. */
export function nobodyServes(name: string, what: string, waitMs: number): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_NO_RESPONDER',
    waitMs > 0
      ? `${what} at '${name}': nobody has served it within ${String(waitMs)} ms; start a server, or allow more time`
      : `${what} at '${name}': nobody serves it; start a server, or connect with waitForServer`,
    { executed: 'no' },
  )
}

/** When it is so, which is looked at from time to time; `late` is what it rejects with when that takes too long. */
export async function untilSo(
  isSo: () => boolean,
  signal: AbortSignal | undefined,
  until: number,
  late: () => Error,
): Promise<void> {
  while (!isSo()) {
    if (now() >= until) throw late()
    await pause(Math.min(lookForServersMs, until - now()), signal)
  }
}
