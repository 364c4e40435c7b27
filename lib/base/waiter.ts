// One wait: what it tries, when it is over, and whom it tells.

import { abortedError } from '../errors.js'
import { forgetAbort, whenAborted, type Abortable } from './abort-signals.js'
import { Member } from './linked-list.js'
import { now, startTimer, stopTimer, type Timer } from './time.js'

/**
 * Tries to finish a wait: the result, `undefined` to go on waiting, or `null` to end it with `undefined`; throwing
 * ends it, too. `thorough` looks also ask how the peer is doing, which costs a system call.
 */
export type Attempt<T> = (thorough: boolean) => Exclude<T, undefined> | null | undefined

/** What makes the error of a wait that was too long; `timeout` is in milliseconds. It says who did not do what was waited for. */
export type TooLate = (timeout: number) => Error

/** Where it waits, which serves it. */
interface Waits {
  /** False if it does not wait there any more. */
  remove(waiter: Waiter): boolean
  /** Others may have stood behind it. */
  lookAgain(): void
}

/** Its time and its signal have no closures of their own: a wait is as much garbage as a message. */
export class Waiter extends Member<Waiter> implements Abortable {
  readonly attempt: Attempt<unknown>
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
  readonly #waits: Waits
  readonly #givenUp: (() => void) | undefined
  #signal: AbortSignal | undefined
  #timer: Timer | undefined

  /** `givenUp` runs when a signal or the time ends it, before anything else can happen. */
  constructor(
    waits: Waits,
    attempt: Attempt<unknown>,
    resolve: (value: unknown) => void,
    reject: (error: unknown) => void,
    givenUp: (() => void) | undefined,
  ) {
    super()
    this.#waits = waits
    this.attempt = attempt
    this.resolve = resolve
    this.reject = reject
    this.#givenUp = givenUp
  }

  /** Whether the loop stays alive until `end` is for others to say. */
  endAt(end: number, late: TooLate, timeout: number): void {
    this.#timer = startTimer(Math.max(end - now(), 0), () => {
      if (this.#waits.remove(this)) this.#giveUp(() => late(timeout))
    })
  }

  endWith(signal: AbortSignal): void {
    this.#signal = signal
    whenAborted(signal, this)
  }

  aborted(): void {
    const signal = this.#signal!
    if (this.#waits.remove(this)) this.#giveUp(() => abortedError(signal))
  }

  /** It is over, whatever it was that ended it. */
  stop(): void {
    if (this.#timer !== undefined) stopTimer(this.#timer)
    if (this.#signal !== undefined) forgetAbort(this.#signal, this)
  }

  #giveUp(error: () => Error): void {
    try {
      this.#givenUp?.()
      this.reject(error())
    } catch (found) {
      this.reject(found) // giving up showed that the memory is corrupt, which tells more
    }
    this.#waits.lookAgain()
  }
}
