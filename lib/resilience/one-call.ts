// One call under policies: its signal, its deadline, and the pauses between its attempts, by the clock and the timers of the system.

import { forgetAbort, whenAborted, type Abortable } from '../base/abort-signals.js'
import { now, startTimer, stopTimer, type Timer } from '../base/time.js'
import { abortedError, MillraceError } from '../errors.js'
import { today } from '../rpc/today.js'
import type { GivenCall } from './options.js'

export class OneCall implements Abortable {
  readonly idempotent: boolean
  /** By the clock of base/time. */
  readonly until: number
  readonly #given: GivenCall
  readonly #controller = new AbortController()
  #reject: ((error: unknown) => void) | undefined
  #end: Timer | undefined
  #resume: (() => void) | undefined
  #pause = 0
  /** How often what is to be called was called. */
  attempts = 0
  /** Attempts that have begun and not ended. */
  running = 0

  constructor(given: GivenCall) {
    this.idempotent = given.idempotent
    this.until = given.until
    this.#given = given
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** When it is over, in milliseconds since 1970; Infinity: never. */
  get deadline(): number {
    return this.until === Infinity ? Infinity : today() + Math.max(this.until - now(), 0)
  }

  /** What `work` resolves or rejects with; at once if the signal or the time ends it, whatever `work` does then. */
  run<T>(work: () => Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#reject = reject
      for (const signal of this.#given.signals) whenAborted(signal, this)
      if (this.until !== Infinity) {
        const onEnd = () => {
          this.#giveUp(this.#late())
        }
        this.#end = startTimer(Math.max(this.until - now(), 0), onEnd, { alive: true })
      }
      // A policy of somebody's own may throw before it returns a promise.
      void (async () => await work())()
        .then(resolve, reject)
        .finally(() => {
          this.#forget()
        })
    })
  }

  /** The attempt that comes is to begin so many milliseconds later. */
  pauseFor(milliseconds: number): void {
    this.#pause = milliseconds
  }

  /** When that is over; rejects what has ended meanwhile. */
  async pause(): Promise<void> {
    const milliseconds = this.#pause
    this.#pause = 0
    if (milliseconds > 0 && !this.signal.aborted) {
      await new Promise<void>((resolve) => {
        const timer = startTimer(milliseconds, resolve, { alive: true })
        this.#resume = () => {
          stopTimer(timer)
          resolve()
        }
      })
      this.#resume = undefined
    }
    if (this.signal.aborted) throw this.signal.reason
  }

  /** @internal One of the signals has aborted. */
  aborted(): void {
    const signal = this.#given.signals.find(({ aborted }) => aborted)
    if (signal !== undefined) this.#giveUp(abortedError(signal))
  }

  #late(): MillraceError {
    return new MillraceError(
      'ERR_MILLRACE_TIMEOUT',
      `the call did not succeed before its deadline, in ${String(this.attempts)} attempts; see what fails, or allow more time`,
      { executed: this.attempts === 0 ? 'no' : 'unknown' },
    )
  }

  #giveUp(error: MillraceError): void {
    this.#forget()
    this.#reject?.(error)
    this.#controller.abort(error)
    this.#resume?.()
  }

  #forget(): void {
    for (const signal of this.#given.signals) forgetAbort(signal, this)
    stopTimer(this.#end)
  }
}
