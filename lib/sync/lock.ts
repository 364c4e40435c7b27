// What Mutex and RwLock have in common: taking the lock at once, in the event loop or blocking, and the
// guard that gives it back.

import type { BlockingOptions } from '../base/blocking.js'
import { closedError, corruptError, MillraceError } from '../errors.js'
import type { NativeLock } from '../addon/lock.js'
import { Outcome } from '../addon/outcome.js'
import type { Tuning, WaitOptions } from '../base/options.js'
import { fairly } from '../base/fairness.js'
import { Party } from './party.js'

/** How one has a lock: `using guard = await mutex.lock()`, or `release()` by hand. */
export class LockGuard {
  /**
   * Did an exclusive owner end before it had released the lock, by a crash, by `process.exit()`, or by
   * `abandon()`, and no other one has finished since? What the lock protects may then be half changed: mend
   * it, then release as usual.
   */
  readonly abandoned: boolean
  #unlock: ((finished: boolean) => void) | undefined

  /** @internal */
  constructor(abandoned: boolean, unlock: (finished: boolean) => void) {
    this.abandoned = abandoned
    this.#unlock = unlock
  }

  /** Has it been given back? */
  get released(): boolean {
    return this.#unlock === undefined
  }

  /** Gives the lock back. Once is enough; more does nothing. */
  release(): void {
    this.#giveBack(true)
  }

  /**
   * Gives the lock back although the work was not finished: the next one to take it finds `abandoned` set.
   * For a shared guard the same as `release`.
   */
  abandon(): void {
    this.#giveBack(false)
  }

  /** What `using` calls at the end of its block: `release()`. */
  [Symbol.dispose](): void {
    this.release()
  }

  #giveBack(finished: boolean): void {
    const unlock = this.#unlock
    this.#unlock = undefined
    unlock?.(finished)
  }
}

export abstract class Lock extends Party<NativeLock> {
  /** @internal */
  protected constructor(kind: string, name: string, native: NativeLock, tuning: Tuning) {
    super(kind, name, native, tuning)
  }

  /** @internal */
  protected take(exclusive: boolean): LockGuard | undefined {
    return this.#judge(this.native.tryLock(exclusive))
  }

  /** @internal */
  protected acquire(exclusive: boolean, options?: WaitOptions): Promise<LockGuard> {
    try {
      this.assertOpen()
      if (options?.signal?.aborted !== true) {
        const guard = this.take(exclusive)
        if (guard !== undefined) return fairly(guard)
      }
      const acquired = this.waits.wait(
        `taking ${this.title}`,
        this.#attempt(exclusive),
        options,
        this.#giveUp,
      )
      this.waits.lookAgain() // in line now, not when the event loop comes round
      return acquired
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** @internal */
  protected acquireSync(exclusive: boolean, options: BlockingOptions = {}): LockGuard {
    return (
      this.take(exclusive) ??
      this.block(`taking ${this.title}`, options, this.#attempt(exclusive), this.#giveUp)
    )
  }

  /** @internal */
  protected async during<T>(
    exclusive: boolean,
    work: (guard: LockGuard) => T | PromiseLike<T>,
    options?: WaitOptions,
  ): Promise<T> {
    const guard = await this.acquire(exclusive, options)
    try {
      return await work(guard)
    } finally {
      guard.release()
    }
  }

  #attempt(exclusive: boolean): (thorough: boolean) => LockGuard | undefined {
    let inLine = false
    return (thorough) => {
      const outcome = inLine ? this.native.look(thorough) : this.native.begin(exclusive)
      inLine = true
      return this.#judge(outcome)
    }
  }

  readonly #giveUp = (): void => {
    this.native.giveUp()
  }

  #judge(outcome: number): LockGuard | undefined {
    if (outcome >= 0) return new LockGuard(outcome === 1, this.#unlock)
    if (outcome === Outcome.wouldBlock) return undefined
    throw this.#fail(outcome)
  }

  readonly #unlock = (finished: boolean): void => {
    if (this.closed) return // which gave it back
    const outcome = this.native.unlock(finished)
    if (outcome < 0) throw this.#fail(outcome)
  }

  #fail(outcome: number): MillraceError {
    if (outcome === Outcome.invalid) {
      return new MillraceError(
        'ERR_MILLRACE_BUSY',
        `this handle of ${this.title} has the lock, or waits for it, already: release it first, or ` +
          'open another handle; each is an owner of its own',
      )
    }
    if (outcome === Outcome.corrupt) {
      const error = corruptError(this.title)
      this.leave(error)
      return error
    }
    return closedError(this.title)
  }
}
