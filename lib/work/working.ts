// The loop of a worker, written once: take a job, hand it to the handler, settle it as the handler ended.

import {
  checkFunction,
  checkOptions,
  checkSignal,
  duration,
  wholeNumber,
  type WaitOptions,
} from '../base/options.js'
import { turnIsDue } from '../base/fairness.js'
import { startTimer, stopTimer } from '../base/time.js'
import { abortedError, hasCode } from '../errors.js'
import type { Job } from './job.js'

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

/** @internal Whose jobs are worked on. */
export interface Workplace {
  readonly closed: boolean
  takeOne(wait: WaitOptions): Promise<Job>
  tryTake(): Job | undefined
}

/** @internal */
export class Working {
  readonly drainMs: number
  readonly #place: Workplace
  readonly #handler: JobHandler
  readonly #concurrency: number
  readonly #signal: AbortSignal | undefined
  #failure: { readonly error: unknown } | undefined
  #inHand = 0
  #idle: (() => void) | undefined

  /** @throws MillraceError `INVALID_ARGUMENT`, `ABORTED` */
  constructor(place: Workplace, handler: JobHandler, options: WorkOptions | undefined) {
    checkFunction('the handler', handler)
    const given = checkOptions(options, ['concurrency', 'drainOnClose', 'signal'])
    this.#place = place
    this.#handler = handler
    this.#concurrency = wholeNumber(given, 'concurrency', 1, [1, 65_536])
    this.drainMs = duration(given, 'drainOnClose', 0)
    this.#signal = checkSignal(given.signal)
    if (this.#signal?.aborted === true) throw abortedError(this.#signal)
  }

  /** Jobs in the hands of the handler. */
  get inHand(): number {
    return this.#inHand
  }

  /** Until the queue is closed here and the handlers have finished; rejects if it ends otherwise. */
  async run(): Promise<void> {
    const hands = Array.from({ length: this.#concurrency }, () => this.#hand())
    await Promise.all(hands)
    const failure = this.#failure
    if (failure !== undefined) throw failure.error
  }

  /** When nobody has a job in hand any more, or the time that was allowed for it is over. */
  drained(): Promise<void> {
    if (this.#inHand === 0) return Promise.resolve()
    return new Promise((resolve) => {
      const timer = startTimer(this.drainMs, resolve, { alive: true })
      this.#idle = () => {
        stopTimer(timer)
        resolve()
      }
    })
  }

  async #hand(): Promise<void> {
    const wait = { signal: this.#signal }
    let began = false
    for (;;) {
      let job: Job
      try {
        if (this.#failure !== undefined) return
        // Not the first one, so that no handler is called before work() has returned.
        job = (began ? this.#takeNow() : undefined) ?? (await this.#place.takeOne(wait))
        began = true
      } catch (error) {
        const isEnd = hasCode(error, 'ERR_MILLRACE_CLOSED') && this.#place.closed
        if (!isEnd) this.#failure ??= { error }
        return
      }
      if (this.#place.closed) {
        // It closed between the take and this turn: no handler is to begin with a job that may be somebody else's.
        settle(job, () => {
          job.release()
        })
        return
      }
      this.#inHand++
      try {
        const working = this.#work(job)
        if (working !== undefined) await working
      } finally {
        if (--this.#inHand === 0) this.#idle?.()
      }
    }
  }

  /** What is there, unless the event loop is due its turn, which takeOne() gives it. */
  #takeNow(): Job | undefined {
    return this.#signal?.aborted === true || turnIsDue() ? undefined : this.#place.tryTake()
  }

  /** A handler that returns no promise costs none. */
  #work(job: Job): Promise<void> | undefined {
    try {
      const result = this.#handler(job)
      if (isThenable(result)) return this.#await(job, result)
    } catch (error) {
      failed(job, error)
      return undefined
    }
    succeeded(job)
    return undefined
  }

  async #await(job: Job, result: PromiseLike<unknown>): Promise<void> {
    try {
      await result
    } catch (error) {
      failed(job, error)
      return
    }
    succeeded(job)
  }
}

function succeeded(job: Job): void {
  settle(job, () => {
    job.complete()
  })
}

function failed(job: Job, error: unknown): void {
  settle(job, () => {
    job.retry({ error })
  })
}

/** As it ended, unless the handler has settled it, or it is somebody else's by now: there is nobody to tell. */
function settle(job: Job, how: () => void): void {
  if (job.settled !== undefined) return
  try {
    how()
  } catch (error) {
    const isExpected =
      hasCode(error, 'ERR_MILLRACE_LEASE_LOST') || hasCode(error, 'ERR_MILLRACE_CLOSED')
    if (!isExpected) throw error
  }
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return (
    typeof value === 'object' &&
    value !== null &&
    typeof (value as Partial<PromiseLike<unknown>>).then === 'function'
  )
}
