// A rate that all processes of a host keep together. The steps are those of native/include/millrace/sync/gcra.hpp.

import { onLeaving } from '../addon/leaving.js'
import { native } from '../addon/native.js'
import { Outcome } from '../addon/outcome.js'
import type { NativeRateLimiter } from '../addon/rate-limiter.js'
import { disposeInEveryContext } from '../base/disposal.js'
import { fairly } from '../base/fairness.js'
import { factsOf, inspected, inspection, jsonOf, type Inspecting } from '../base/inspection.js'
import { tellClosed, tellOpened } from '../base/life.js'
import {
  access,
  accessNames,
  checkName,
  checkOptions,
  duration,
  readWait,
  show,
  wholeNumber,
  type AccessOptions,
  type WaitOptions,
} from '../base/options.js'
import { closedError, corruptError, hasCode, invalidArgument, MillraceError } from '../errors.js'
import { checkPlace, nameOf, type Place } from '../place/place.js'
import { TurnLine } from './turn-line.js'

export interface SharedRateLimiterOptions extends AccessOptions {
  /**
   * Permits in each `per`; fractions are allowed, up to 100 million a second. Left out, with `per` and `burst`: whatever the
   * limiter has, which must exist then.
   */
  readonly rate?: number | undefined
  /** Milliseconds; default 1000. */
  readonly per?: number | undefined
  /** Permits that can be taken at once after a quiet time: a whole number. Default: `rate`, at least 1. */
  readonly burst?: number | undefined
}

/** How a permit is waited for. */
export interface TakeOptions extends WaitOptions {
  /** Permits, a whole number up to the burst; default 1. */
  readonly cost?: number | undefined
}

/** How a permit is waited for without the event loop. */
export interface TakeSyncOptions {
  /** Milliseconds within which its turn must come; default: wait for ever. */
  readonly timeout?: number | undefined
  /** Permits, a whole number up to the burst; default 1. */
  readonly cost?: number | undefined
}

/** How a rate limiter stands. By the time you read it, others may have taken more. */
export interface RateLimiterState {
  /** Permits that could be taken now. */
  readonly remaining: number
  /** Milliseconds, with fractions, until as many as were asked for could be; 0: now. */
  readonly waitMs: number
  /** Milliseconds until all of the burst could be taken. */
  readonly fullMs: number
}

const ticksPerMs = 16e6
/** Of an interval, in ticks: 100 million permits a second. Of an interval times a burst: 2.3 years. */
const leastTicks = 160
const mostTicks = 2 ** 60
const mostBurst = 1e9

/**
 * A rate that all processes and threads of a host keep together: in no stretch of time do they get more permits than the rate allows
 * for it, and one burst, whoever is killed, and whenever. It is a single number in shared memory, changed by one compare-and-swap: no
 * process serves it, and none that dies holds it up.
 *
 * Turns are given in the order in which they are taken, whichever process takes them, and each handle has one turn to come at most: so
 * processes that wait share the rate, however many calls each has waiting.
 *
 * @example
 * ```ts
 * using limiter = SharedRateLimiter.open('mail', { rate: 10 }) // ten a second, whoever sends
 * await limiter.take()
 * if (!limiter.tryTake(5)) console.log('later')
 * ```
 */
export class SharedRateLimiter {
  /** The name it was opened by. */
  readonly name: string
  /** Permits that can be taken at once after a quiet time. */
  readonly burst: number
  /** Milliseconds, with fractions, that each permit takes. */
  readonly interval: number
  readonly #native: NativeRateLimiter
  readonly #line: TurnLine
  #closed = false
  readonly #unknow: () => void

  private constructor(name: string, handle: NativeRateLimiter) {
    this.name = name
    this.burst = handle.burst
    this.interval = handle.intervalMs
    this.#native = handle
    const title = `rate limiter '${name}'`
    this.#line = new TurnLine(handle, title, (reason) => {
      this.#leave(reason)
    })
    this.#unknow = onLeaving(this, SharedRateLimiter.#left)
    tellOpened(this)
  }

  /**
   * Opens the limiter; creates it, with its whole burst, if it does not exist and `rate` is given. It outlives those who use it until
   * its rate has caught up with what was taken: starting a program again gives it no second burst.
   *
   * @throws MillraceError `GEOMETRY` (it has another rate or burst), `NOT_FOUND` (there is none, and no `rate` was given),
   *   `INVALID_ARGUMENT`, `INVALID_NAME`, `NAME_TOO_LONG`, `NOT_OURS`, `PERMISSION`, `LAYOUT`, `CORRUPT`, `NO_SPACE`, `TIMEOUT`
   */
  static open(place: Place, options?: SharedRateLimiterOptions): SharedRateLimiter {
    const given = checkOptions(options, [...accessNames, 'rate', 'per', 'burst'])
    const wanted = { place: checkPlace(place), ...access(given), ...readRate(given) }
    try {
      return new SharedRateLimiter(nameOf(place), new native.RateLimiter(wanted))
    } catch (error) {
      if (given.rate !== undefined || !hasCode(error, 'ERR_MILLRACE_NOT_FOUND')) throw error
      throw new MillraceError(
        'ERR_MILLRACE_NOT_FOUND',
        `there is no rate limiter '${nameOf(place)}': say its rate, which creates it, or start who does`,
        { cause: error },
      )
    }
  }

  /**
   * Removes the name. Who has the limiter open goes on with it; new ones get a new one, with a whole burst. Returns whether there was
   * one.
   *
   * @throws MillraceError `INVALID_NAME`, `NAME_TOO_LONG`, `PERMISSION`, `TIMEOUT` (a process is stopped in the middle of opening or
   *   closing it)
   */
  static unlink(name: string): boolean {
    return native.unlinkChannel('g', checkName(name))
  }

  /** Was it closed, by `close()` or because of corrupt memory? */
  get closed(): boolean {
    return this.#closed
  }

  /**
   * Takes `cost` permits if they can be had now, and no earlier `take` of this handle is waiting. Never blocks, and
   * costs three times what adding to a `Counter` does.
   *
   * @throws MillraceError `TOO_LARGE` (more than the burst, which can never be had at once), `INVALID_ARGUMENT`, `CLOSED`, `CORRUPT`
   */
  tryTake(cost = 1): boolean {
    if (this.#line.occupied) {
      this.#judge(cost)
      return false
    }
    const taken = this.#native.tryTake(cost)
    if (taken >= 0) return taken === 1
    this.#judge(cost)
    throw this.#refusal(taken)
  }

  /**
   * Takes `cost` permits, and resolves when their turn has come. Takes of one handle are served in order. It waits by a timer, not by
   * looking: a turn is taken in advance, also for a large `cost`, which nobody overtakes.
   *
   * A turn that would come after `timeout` is not taken: as soon as that is known, the call rejects, without waiting in vain. One that is
   * given up is free again, unless somebody has taken a turn after it.
   *
   * @throws MillraceError (as rejection) `ABORTED`, `TIMEOUT`, `CLOSED`, `TOO_LARGE`, `INVALID_ARGUMENT`, `CORRUPT`
   */
  async take(options?: TakeOptions): Promise<void> {
    const { cost, ...rest } = checkOptions(options, ['signal', 'timeout', 'cost'])
    const wait = readWait(rest)
    const permits = this.#judge(cost)
    this.#assertWhole()
    if (!this.#line.occupied && this.tryTake(permits)) {
      await fairly(undefined)
      return
    }
    await this.#line.take(permits, wait)
  }

  /**
   * As `take`, blocking this thread. For Workers; on the main thread it stops the event loop. Errors are thrown; `BUSY` while a `take` of
   * this handle is waiting.
   */
  takeSync(options?: TakeSyncOptions): void {
    const given = checkOptions(options, ['timeout', 'cost'])
    const timeout = duration(given, 'timeout', Infinity)
    const permits = this.#judge(given.cost)
    if (this.#line.occupied) {
      throw new MillraceError(
        'ERR_MILLRACE_BUSY',
        `rate limiter '${this.name}' is being waited for by this handle already; await that first`,
      )
    }
    this.#assertWhole()
    const left = this.#native.reserve(permits, timeout)
    if (left === Outcome.wouldBlock) throw this.#line.late(permits, timeout)
    if (left < 0) throw this.#refusal(left)
    while (this.#native.sleep() > 0);
    this.#native.finish()
  }

  /**
   * How it stands, for messages and for headers such as `RateLimit`: nothing is taken. `waitMs` is for `cost` permits. A few system
   * calls.
   *
   * @throws MillraceError `TOO_LARGE`, `INVALID_ARGUMENT`, `CLOSED`, `CORRUPT`
   */
  peek(cost = 1): RateLimiterState {
    const permits = this.#judge(cost)
    this.#assertWhole()
    const waitMs = this.#native.look(permits)
    if (waitMs < 0) throw this.#refusal(waitMs)
    return { remaining: this.#native.remaining(), waitMs, fullMs: this.#native.debt() }
  }

  /** Lets pending takes keep the process alive (the default). */
  ref(): this {
    this.#line.ref()
    return this
  }

  /** Lets the process end although takes are pending. */
  unref(): this {
    this.#line.unref()
    return this
  }

  /** Lets go of the limiter; pending takes reject with `CLOSED`. The last one to do so removes it, if it has nothing to remember. */
  close(): void {
    this.#leave(closedError(`rate limiter '${this.name}'`))
  }

  /** What `using` calls at the end of its block: `close()`. */
  [Symbol.dispose](): void {
    this.close()
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
    return inspection('SharedRateLimiter', how, () => {
      const isWhole = this.#native.whole()
      const facts = factsOf(this, ['name', 'burst', 'interval'], [], isWhole)
      return this.closed || !isWhole ? facts : { ...facts, ...this.peek() }
    })
  }

  // Of the process. Nobody hears of a rejection any more; whoever calls finds it closed.
  static readonly #left = (limiter: SharedRateLimiter): void => {
    limiter.#closed = true
    limiter.#native.close()
  }

  #leave(reason: Error): void {
    if (this.#closed) return
    this.#closed = true
    this.#unknow()
    this.#native.close()
    this.#line.evict(reason)
    tellClosed(this)
  }

  /** Whoever may write to a name may shorten it as well. */
  #assertWhole(): void {
    const error = this.#native.damage()
    if (error === undefined) return
    this.#leave(error)
    throw error
  }

  #judge(cost: number | undefined): number {
    if (this.#closed) throw closedError(`rate limiter '${this.name}'`)
    const permits = wholeNumber({ cost }, 'cost', 1, [1, Number.MAX_SAFE_INTEGER])
    if (permits <= this.burst) return permits
    throw new MillraceError(
      'ERR_MILLRACE_TOO_LARGE',
      `${String(permits)} permits of rate limiter '${this.name}' can never be had at once: its burst is ` +
        `${String(this.burst)}; take less, or open it with a larger burst`,
    )
  }

  #refusal(outcome: number): MillraceError {
    const title = `rate limiter '${this.name}'`
    if (outcome !== Outcome.corrupt) return closedError(title)
    const error = corruptError(title)
    this.#leave(error)
    return error
  }
}

/** @throws MillraceError `INVALID_ARGUMENT` */
function readRate(given: SharedRateLimiterOptions): {
  interval: bigint | undefined
  burst: number | undefined
} {
  const { rate, per } = given
  if (rate === undefined) {
    if (per !== undefined || given.burst !== undefined) {
      throw invalidArgument(
        'per and burst are said together with rate; leave all out to take what there is',
      )
    }
    return { interval: undefined, burst: undefined }
  }
  if (typeof rate !== 'number' || !(rate > 0) || rate === Infinity) {
    throw invalidArgument(`rate must be a number above 0, not ${show(rate)}`)
  }
  const ms = duration(given, 'per', 1000)
  // Up: what is rounded must not let more through than was said.
  const ticks = Math.ceil((ms * ticksPerMs) / rate)
  if (!(ticks >= leastTicks)) {
    throw invalidArgument(
      `rate must be 100 million a second at most, not ${show(rate)} in ${show(ms)} ms`,
    )
  }
  const burst = wholeNumber(given, 'burst', Math.min(Math.max(Math.floor(rate), 1), mostBurst), [
    1,
    mostBurst,
  ])
  if (ticks * burst > mostTicks) {
    throw invalidArgument(
      `${String(burst)} permits must take two years at most: make the burst smaller, or the rate larger`,
    )
  }
  return { interval: BigInt(ticks), burst }
}
