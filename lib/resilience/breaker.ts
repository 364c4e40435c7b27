// A circuit breaker that all processes of a host share. Its steps are those of native/include/millrace/sync/breaker_word.hpp.

import type { NativeBreaker, NativeBreakerState } from '../addon/breaker.js'
import { native } from '../addon/native.js'
import { Outcome } from '../addon/outcome.js'
import { fairly } from '../base/fairness.js'
import { factsOf, inspected, inspection, type Inspecting } from '../base/inspection.js'
import { iterate, type Iteration, type IterationOptions } from '../base/iteration.js'
import { Handle } from '../base/handle.js'
import {
  access,
  accessNames,
  checkFunction,
  checkName,
  checkOptions,
  checkSignal,
  readTuning,
  readWait,
  tuningNames,
  wholeNumber,
  type AccessOptions,
  type Tuning,
  type TuningOptions,
  type WaitOptions,
} from '../base/options.js'
import { startTimer, stopTimer, type Timer } from '../base/time.js'
import { closedError, corruptError, MillraceError, timeoutError } from '../errors.js'
import { checkPlace, nameOf, type Place } from '../place/place.js'
import { BreakerPass } from './breaker-pass.js'
import { judgementOf, type Judgement } from './judgement.js'

/** What is left out is what the breaker has, or the default of a new one; what is given must be that, all of it together. */
export interface SharedBreakerOptions extends AccessOptions, TuningOptions {
  /** Failures that open it, 1 to 255, of all processes together; default 5. */
  readonly failures?: number | undefined
  /** Milliseconds, whole, that it is open before one call may try again; default 10 000, at most 24 days. */
  readonly halfOpenAfter?: number | undefined
  /** Milliseconds, whole, in which the failures have to come, whatever succeeds meanwhile. Default 0: they come in a row. */
  readonly window?: number | undefined
}

/** `closed`: calls pass. `open`: none does. `half-open`: one has been let through, and its result decides. */
export type BreakerState = 'closed' | 'open' | 'half-open'

/** What cockatiel asks of the `breaker` of its `circuitBreaker`. */
export interface CockatielBreaker {
  /** For cockatiel's own use; what is shared is not in it. */
  state: unknown
  /** A call has succeeded, in that state of the policy. */
  success(state: number): void
  /** A call has failed. Is the policy to open? */
  failure(state: number): boolean
}

const states: readonly (BreakerState | undefined)[] = ['closed', 'open', 'half-open']
const mostMs = 2 ** 31
const passesUntil = -16

/**
 * A circuit breaker that all processes of a host share: calls of any of them that fail open it for all, so that what is broken is left
 * alone; after a while one call of one process is let through to try, and closes it for all, or opens it again. If that process dies,
 * another one tries.
 *
 * Only failures count, by default, that say something about what is called: see `judgementOf`.
 *
 * One handle serves any number of calls of a process; at most 56 handles of a name can be open at a time, over all processes.
 *
 * @example
 * ```ts
 * using breaker = SharedBreaker.open('database')
 * const rows = await breaker.execute(() => query()) // CIRCUIT_OPEN at once while it is open
 * ```
 */
export class SharedBreaker extends Handle<NativeBreaker> {
  #reopening: Timer | undefined

  private constructor(name: string, handle: NativeBreaker, tuning: Tuning) {
    super(name, `circuit breaker '${name}'`, handle, () => handle.watch(), tuning)
  }

  /**
   * Opens the breaker; creates it, closed, if it does not exist. One that is not closed outlives those who use it: a program that is
   * started again does not call at once what made it fail.
   *
   * @throws MillraceError `GEOMETRY` (it has other rules), `NO_LANE` (56 handles are open), `INVALID_ARGUMENT`, `INVALID_NAME`,
   *   `NAME_TOO_LONG`, `NOT_OURS`, `PERMISSION`, `LAYOUT`, `CORRUPT`, `NO_SPACE`, `TIMEOUT`
   */
  static open(place: Place, options?: SharedBreakerOptions): SharedBreaker {
    const given = checkOptions(options, [
      ...accessNames,
      ...tuningNames,
      'failures',
      'halfOpenAfter',
      'window',
    ])
    const tuning = readTuning(given)
    const handle = new native.Breaker({
      place: checkPlace(place),
      ...access(given),
      ...readRules(given),
    })
    return new SharedBreaker(nameOf(place), handle, tuning)
  }

  /**
   * Removes the name. Who has the breaker open goes on with it; new ones get a new one, closed. Returns whether there was one.
   *
   * @throws MillraceError `INVALID_NAME`, `NAME_TOO_LONG`, `PERMISSION`, `TIMEOUT` (a process is stopped in the middle of opening or
   *   closing it)
   */
  static unlink(name: string): boolean {
    return native.unlinkChannel('k', checkName(name))
  }

  /** How it stands. An open one may be tried when `retryAfter` is 0. One system call, as those below. @throws MillraceError `CLOSED`, `CORRUPT` */
  get state(): BreakerState {
    return this.#named(this.#facts())
  }

  /** Failures that count at this instant. */
  get failures(): number {
    return this.#facts()[2]
  }

  /** Milliseconds until an open one lets a call try; 0 if it is not open, or one may. */
  get retryAfter(): number {
    return this.#facts()[3]
  }

  /**
   * May a call be made now? Then say on what it returns how the call ended: `success()`, `failure()` or, if that says nothing,
   * `release()`. `undefined`: no, it is open, or another call is trying. Never blocks.
   *
   * @throws MillraceError `CLOSED`, `CORRUPT`
   */
  tryEnter(): BreakerPass | undefined {
    const ticket = this.#ask()
    return ticket >= 0 ? new BreakerPass(this.native, this.title, ticket) : undefined
  }

  /**
   * As `tryEnter`, waiting until a call may be made: until the breaker closes, or this one is to try. It is woken, and looks at nothing
   * meanwhile.
   *
   * @throws MillraceError (as rejection) `ABORTED`, `TIMEOUT`, `CLOSED`, `CORRUPT`, `INVALID_ARGUMENT`
   */
  async enter(options?: WaitOptions): Promise<BreakerPass> {
    const wait = readWait(options)
    this.assertOpen()
    this.assertWhole()
    const pass = this.tryEnter()
    if (pass !== undefined) return await fairly(pass)
    return await this.waits.wait(this.#late, () => this.#attempt(), wait)
  }

  /**
   * Calls `work`, unless the breaker is open, and says how that ended. An object with such a method is a policy of cockatiel, whose
   * `wrap` takes it. `counts` says of what `work` rejects with whether it is a `failure` or a `success` of what is called, or says
   * `nothing` about it; default `judgementOf`. After the signal has aborted, the result of `work` says nothing.
   *
   * @throws MillraceError (as rejection) `CIRCUIT_OPEN`, `CLOSED`, `CORRUPT`, `INVALID_ARGUMENT`; and what `work` rejects with
   */
  async execute<T>(
    work: (context: { readonly signal: AbortSignal }) => T | PromiseLike<T>,
    signal?: AbortSignal,
    counts: (error: unknown) => Judgement = judgementOf,
  ): Promise<T> {
    checkFunction('work', work)
    checkFunction('counts', counts)
    const given = checkSignal(signal)
    const pass = this.tryEnter()
    if (pass === undefined) throw this.#broken()
    try {
      const result = await work({
        signal: given ?? (never.signal ??= new AbortController().signal),
      })
      pass.success()
      return result
    } catch (error) {
      pass.settle(given?.aborted === true ? 'nothing' : counts(error))
      throw error
    }
  }

  /** Opens it, for all: as from the last failure on. @throws MillraceError `CLOSED` */
  trip(): void {
    this.#answer(this.native.set(true))
  }

  /** Closes it, for all; nothing that failed before counts. @throws MillraceError `CLOSED` */
  reset(): void {
    this.#answer(this.native.set(false))
  }

  /**
   * How it stands, now and whenever that changes, whoever changes it: `for await (const state of breaker.states())`. What changes and
   * changes back before it is asked for may be told once.
   */
  states(options?: IterationOptions): Iteration<BreakerState> {
    let seen: number | undefined
    const look = (): BreakerState | undefined => {
      const facts = this.#facts()
      if (facts[1] === seen) return undefined
      seen = facts[1]
      return this.#named(facts)
    }
    const late = (timeout: number): Error => this.#late(timeout)
    return iterate<BreakerState>(
      { take: (wait) => this.waits.waitAside(late, look, wait), handle: this },
      options,
    )
  }

  /**
   * As the `breaker` of cockatiel's `circuitBreaker`: counts failures of all processes together. cockatiel does not ask it before a call,
   * so each process notices only by its own next failure, and tries again by itself; `execute` has neither limit.
   */
  asCockatielBreaker(): CockatielBreaker {
    const ticketNow = (): number => this.#facts()[1] * 2
    return {
      state: undefined,
      success: (state) => {
        if (state === 0) {
          if (this.state === 'closed') this.#answer(this.native.succeed(ticketNow()))
        } else this.tryEnter()?.success()
      },
      failure: (state) => {
        if (state === 0) this.#answer(this.native.fail(ticketNow()))
        else this.tryEnter()?.failure()
        return this.state !== 'closed'
      },
    }
  }

  /** @internal What `console.log` shows. */
  [inspected](...how: Inspecting): string {
    return inspection('SharedBreaker', how, () =>
      factsOf(this, ['name'], ['state', 'failures', 'retryAfter'], this.isWhole()),
    )
  }

  /** @internal */
  protected override closeNative(): void {
    stopTimer(this.#reopening)
    this.#reopening = undefined
    this.native.close()
  }

  #attempt(): BreakerPass | undefined {
    const ticket = this.#ask()
    if (ticket >= 0) return new BreakerPass(this.native, this.title, ticket)
    const left = passesUntil - ticket
    // Nobody tells when its time is over. That of another's trial is told, or its death.
    if (left > 0) {
      this.#reopening ??= startTimer(left, () => {
        this.#reopening = undefined
        this.waits.lookAgain()
      })
    }
    return undefined
  }

  /** A ticket, or what `NativeBreaker.tryEnter` says instead. */
  #ask(): number {
    const ticket = this.native.tryEnter()
    if (ticket >= 0 || ticket <= passesUntil) return ticket
    if (ticket === Outcome.closed) throw closedError(this.title)
    throw this.#corrupt()
  }

  #answer(outcome: number): void {
    if (outcome === Outcome.closed) throw closedError(this.title)
  }

  #facts(): NativeBreakerState {
    this.assertOpen()
    this.assertWhole()
    const facts = this.native.state()
    if (facts === undefined) throw closedError(this.title)
    return facts
  }

  #named([phase]: NativeBreakerState): BreakerState {
    const state = states[phase]
    if (state === undefined) throw this.#corrupt()
    return state
  }

  #corrupt(): MillraceError {
    const error = corruptError(this.title)
    this.leave(error)
    return error
  }

  #broken(): MillraceError {
    const left = this.retryAfter
    const when =
      left > 0
        ? `for ${String(Math.ceil(left))} ms more`
        : 'and another call tries whether it may close'
    return new MillraceError(
      'ERR_MILLRACE_CIRCUIT_OPEN',
      `${this.title} is open ${when}: what it guards has failed; see what is wrong there, and do not try again before`,
      { executed: 'no' },
    )
  }

  readonly #late = (timeout: number): MillraceError =>
    timeoutError(
      `passing ${this.title}`,
      timeout,
      'what it guards goes on failing: see what is wrong there, or allow more time',
    )
}

/** For those who give none. Not made before: some test runners load this where there are no signals. */
const never: { signal?: AbortSignal } = {}

function readRules(given: SharedBreakerOptions): {
  failures: number | undefined
  openMs: number | undefined
  windowMs: number | undefined
} {
  const { failures, halfOpenAfter, window } = given
  if (failures === undefined && halfOpenAfter === undefined && window === undefined) {
    return { failures: undefined, openMs: undefined, windowMs: undefined }
  }
  const rules = {
    failures: wholeNumber(given, 'failures', 5, [1, 255]),
    openMs: wholeNumber(given, 'halfOpenAfter', 10_000, [0, mostMs]),
    windowMs: wholeNumber(given, 'window', 0, [0, mostMs]),
  }
  return rules
}
