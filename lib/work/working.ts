// The loop of a worker, written once: take a job, hand it to the handler, settle it as the handler ended.

import {
  checkFunction,
  checkOptions,
  checkSignal,
  duration,
  wholeNumber,
  type WaitOptions,
} from '../base/options.js'
import { isPromise } from '../base/promised.js'
import { turnIsDue } from '../base/fairness.js'
import { startTimer, stopTimer } from '../base/time.js'
import { processing } from '../base/tracing.js'
import { abortedError, hasCode } from '../errors.js'
import { byAsker, type Hand } from './asking.js'
import type { Job } from './job.js'
import type { SeenPlace } from './seen-place.js'
import { tracedWork } from './tracing-work.js'

/** What is done for a job. What it returns, or resolves with, is ignored. */
export type JobHandler = (job: Job) => unknown

/** How `WorkQueue.work` works. */
export interface WorkOptions {
  /** Jobs in hand at a time; default 1. */
  readonly concurrency?: number | undefined
  /**
   * Milliseconds for which `close()` lets handlers finish what they have in hand before it gives that back; Infinity: for as long
   * as they take. Default 0.
   */
  readonly drainOnClose?: number | undefined
  /**
   * Takes no more jobs. When the handlers have finished what they have in hand, the call rejects with `ERR_MILLRACE_ABORTED`.
   */
  readonly signal?: AbortSignal | undefined
}

/** @internal WorkOptions that were read. */
export interface GivenWork {
  readonly concurrency: number
  readonly drainMs: number
  readonly signal: AbortSignal | undefined
}

/** @throws MillraceError `INVALID_ARGUMENT`, `ABORTED` */
export function readWork(options: WorkOptions | undefined): GivenWork {
  const given = checkOptions(options, ['concurrency', 'drainOnClose', 'signal'])
  return {
    concurrency: wholeNumber(given, 'concurrency', 1, [1, 65_536]),
    ...readEnd(given),
  }
}

/** How a loop ends: those of the options that all loops have. */
export function readEnd(
  given: Pick<WorkOptions, 'drainOnClose' | 'signal'>,
): Omit<GivenWork, 'concurrency'> {
  const drainMs = duration(given, 'drainOnClose', 0)
  const signal = checkSignal(given.signal)
  if (signal?.aborted === true) throw abortedError(signal)
  return { drainMs, signal }
}

/** @internal What is taken at a time, and what becomes of it: a job, or several that are worked on together. */
export interface Craft<Unit> {
  /** Of the handle that it takes from. */
  readonly closed: boolean
  /** No attempt of it has begun when it resolves: it may be given back instead. */
  take(wait: WaitOptions): Promise<Unit>
  /** What is there now. */
  takeNow(): Unit | undefined
  /** Calls the handler. */
  work(unit: Unit): unknown
  /** The handler has ended: with what it returned, or what that resolved with. */
  succeeded(unit: Unit, result: unknown): Promise<void> | void
  failed(unit: Unit, error: unknown): void
  /** No handler is to have it. */
  giveBack(unit: Unit): void
  /** Nothing is taken any more. */
  ended?(): void
}

/** @internal One job at a time. What its handler returns is of no interest. */
export class JobCraft<J extends Job = Job> implements Craft<J> {
  readonly #place: Workplace<J>
  readonly #handler: (job: J) => unknown

  /** @throws MillraceError `INVALID_ARGUMENT` */
  constructor(place: Workplace<J>, handler: (job: J) => unknown) {
    checkFunction('the handler', handler)
    this.#place = place
    this.#handler = handler
  }

  get closed(): boolean {
    return this.#place.closed
  }

  take(wait: WaitOptions): Promise<J> {
    return this.#place.takeAhead(wait)
  }

  takeNow(): J | undefined {
    return this.#place.tryTake()
  }

  work(job: J): unknown {
    job.begin()
    if (!processing.yes) return this.#handler(job)
    return tracedWork().tracedJob(this.#place, job, () => this.#handler(job))
  }

  succeeded(job: J, _result: unknown): Promise<void> | void {
    settle(job, () => {
      job.complete()
    })
  }

  failed(job: J, error: unknown): void {
    fail(job, error)
  }

  giveBack(job: J): void {
    release(job)
  }
}

/** @internal Whose jobs are worked on. */
export interface Workplace<J extends Job> {
  /** For who looks on. */
  readonly seen: SeenPlace
  readonly closed: boolean
  /** A job whose attempt begins with `begin()`: the handle may close before its handler has its turn. */
  takeAhead(wait: WaitOptions): Promise<J>
  tryTake(): J | undefined
}

/** @internal What a handle that closes has to know of who works with it. */
export interface Loop {
  readonly drainMs: number
  /** Are handlers at work? */
  readonly isBusy: boolean
  /** When nobody has anything in hand any more, or the time that was allowed for it is over. */
  drained(): Promise<void>
  /** When only such handlers are at work as wait for others themselves: they would wait for each other. */
  othersDrained(): Promise<void>
}

/** @internal */
export class Working<Unit> implements Loop {
  readonly drainMs: number
  readonly #craft: Craft<Unit>
  readonly #concurrency: number
  readonly #signal: AbortSignal | undefined
  #failure: { readonly error: unknown } | undefined
  #inHand = 0
  /** The handlers that are at work, where closing may wait for them. */
  readonly #hands: Set<Hand> | undefined
  /** To be asked again whenever a handler ends, or waits for the end of the others. */
  readonly #waiting = new Set<() => void>()

  constructor(craft: Craft<Unit>, { concurrency, drainMs, signal }: GivenWork) {
    this.#craft = craft
    this.#concurrency = concurrency
    this.drainMs = drainMs
    if (drainMs > 0) this.#hands = new Set()
    this.#signal = signal
  }

  get isBusy(): boolean {
    return this.#inHand > 0
  }

  /** Until the handle is closed and the handlers have finished; rejects if it ends otherwise. */
  async run(): Promise<void> {
    const hands = Array.from({ length: this.#concurrency }, () => this.#hand())
    try {
      await Promise.all(hands)
    } finally {
      this.#craft.ended?.()
    }
    const failure = this.#failure
    if (failure !== undefined) throw failure.error
  }

  /** One more than it is to have in hand. Resolves when it is done with. */
  async beside(unit: Unit): Promise<void> {
    try {
      await this.#handle(unit)
    } catch (error) {
      this.#failure ??= { error }
    }
  }

  drained(): Promise<void> {
    return new Promise((resolve) => {
      const timer = startTimer(this.drainMs, resolve, { alive: true })
      this.#when(
        () => this.#inHand === 0,
        () => {
          stopTimer(timer)
          resolve()
        },
      )
    })
  }

  othersDrained(): Promise<void> {
    return new Promise((resolve) => {
      this.#when(() => [...(this.#hands ?? [])].every(({ waits }) => waits > 0), resolve)
      this.#changed()
    })
  }

  #when(isSo: () => boolean, then: () => void): void {
    const look = (): void => {
      if (!isSo()) return
      this.#waiting.delete(look)
      then()
    }
    this.#waiting.add(look)
    look()
  }

  #changed(): void {
    for (const look of [...this.#waiting]) look()
  }

  async #hand(): Promise<void> {
    const craft = this.#craft
    const wait = { signal: this.#signal }
    let began = false
    for (;;) {
      let unit: Unit
      try {
        if (this.#failure !== undefined) return
        // Not the first one, so that no handler is called before work() has returned.
        unit = (began ? this.#takeNow() : undefined) ?? (await craft.take(wait))
        began = true
      } catch (error) {
        const isEnd = hasCode(error, 'ERR_MILLRACE_CLOSED') && craft.closed
        if (!isEnd) this.#failure ??= { error }
        return
      }
      if (craft.closed) {
        // It closed between the take and this turn: no handler is to begin with a job that may be somebody else's.
        craft.giveBack(unit)
        return
      }
      await this.#handle(unit)
    }
  }

  async #handle(unit: Unit): Promise<void> {
    this.#inHand++
    const hand = this.#hands === undefined ? undefined : newHand(this.#hands)
    try {
      const working = hand === undefined ? this.#work(unit) : byAsker(hand, () => this.#work(unit))
      if (working !== undefined) await working
    } finally {
      this.#inHand--
      if (hand !== undefined) this.#hands!.delete(hand)
      if (this.#waiting.size > 0) this.#changed()
    }
  }

  /** What is there, unless the event loop is due its turn, which take() gives it. */
  #takeNow(): Unit | undefined {
    return this.#signal?.aborted === true || turnIsDue() ? undefined : this.#craft.takeNow()
  }

  /** A handler that returns no promise costs none. */
  #work(unit: Unit): Promise<void> | undefined {
    let result: unknown
    try {
      result = this.#craft.work(unit)
      if (isPromise(result)) return this.#await(unit, result)
    } catch (error) {
      this.#craft.failed(unit, error)
      return undefined
    }
    return this.#craft.succeeded(unit, result) ?? undefined
  }

  async #await(unit: Unit, promise: PromiseLike<unknown>): Promise<void> {
    let result: unknown
    try {
      result = await promise
    } catch (error) {
      this.#craft.failed(unit, error)
      return
    }
    await this.#craft.succeeded(unit, result)
  }
}

/** @internal The loop of a handle whose jobs come from elsewhere, among those that `running` tells of. */
export async function workAt(
  place: Workplace<Job>,
  handler: JobHandler,
  given: GivenWork,
  running: Set<Loop>,
): Promise<void> {
  const working = new Working(new JobCraft(place, handler), given)
  running.add(working)
  try {
    await working.run()
  } finally {
    running.delete(working)
  }
}

function newHand(hands: Set<Hand>): Hand {
  const hand = { waits: 0 }
  hands.add(hand)
  return hand
}

/** @internal It is tried again. */
export function fail(job: Job, error: unknown): void {
  settle(job, () => {
    job.retry({ error })
  })
}

/** @internal Nobody has begun with it. */
export function release(job: Job): void {
  settle(job, () => {
    job.release()
  })
}

/** @internal As it ended, unless the handler has settled it, or it is somebody else's by now: there is nobody to tell. */
export function settle(job: Job, how: () => void): void {
  if (job.settled !== undefined) return
  try {
    how()
  } catch (error) {
    if (!isGone(error)) throw error
  }
}

/** @internal Is it that the job is not ours any more? */
export function isGone(error: unknown): boolean {
  return hasCode(error, 'ERR_MILLRACE_LEASE_LOST') || hasCode(error, 'ERR_MILLRACE_CLOSED')
}
