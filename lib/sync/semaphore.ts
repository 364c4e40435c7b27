// A POSIX named semaphore, as sem_open gives it to programs in any language.

import { disposeInEveryContext } from '../base/disposal.js'
import { block, readBlocking, type BlockingOptions } from '../base/blocking.js'
import { closedError, MillraceError, timeoutError } from '../errors.js'
import { forgetWake, onWakeOf } from '../addon/wake-ups.js'
import { hold, letGo } from '../addon/keep-alive.js'
import { hasLeft, native } from '../addon/native.js'
import { Outcome } from '../addon/outcome.js'
import type { NativeSemaphore, NativeSemaphoreOptions } from '../addon/semaphore.js'
import {
  access,
  checkName,
  checkOptions,
  readTuning,
  wholeNumber,
  type AccessOptions,
  type TuningOptions,
  type WaitOptions,
  readWait,
  accessNames,
  tuningNames,
} from '../base/options.js'
import { fairly } from '../base/fairness.js'
import { factsOf, inspected, inspection, jsonOf, type Inspecting } from '../base/inspection.js'
import { tellClosed, tellOpened } from '../base/life.js'
import { WaitQueue } from '../base/wait-queue.js'
import { Permit } from './permit.js'

/** `mode` is `0o600` (default) or `0o660`: to wait takes the right to write, so `0o640` is refused. */
export interface SemaphoreOptions extends AccessOptions, TuningOptions {}

/** What the system wakes us late by, in milliseconds; a give-up that falls within costs no second look. */
const timerSlackMs = 2

/**
 * A counting semaphore under a POSIX name (`sem_open`), exactly as a C or Python program would open it:
 * `Semaphore.create('slots', 4)` is `/slots` there.
 *
 * It belongs to nobody: it stays, with its value, until somebody calls `unlink`. A permit whose holder
 * dies is lost; docs/semaphore.md says what to do about that.
 *
 * @example
 * ```ts
 * using slots = Semaphore.openOrCreate('slots', 4)
 * {
 *   using permit = await slots.acquire({ timeout: 1000 })
 *   await work() // at most four at a time, over all processes
 * }
 * ```
 */
export class Semaphore {
  /** The highest value a semaphore can have on this system. */
  static readonly maxValue: number = native.maxPermits

  /** The name without a leading slash. */
  readonly name: string
  /** Did this object make it, or was it there? */
  readonly created: boolean
  readonly #native: NativeSemaphore
  readonly #waits: WaitQueue
  #token = 0
  #closed = false
  #refed = true
  /** Permit objects that are not released yet. */
  #held = 0
  /** Ends when no given-up wait can get a permit any more. */
  #leaving: Promise<void> | undefined
  #left: (() => void) | undefined

  private constructor(
    name: string,
    initial: unknown,
    how: NativeSemaphoreOptions['how'],
    options: SemaphoreOptions | undefined,
  ) {
    const given = checkOptions(options, [...accessNames, ...tuningNames])
    const tuning = readTuning(given)
    this.name = checkName(name)
    this.#native = new native.Semaphore({
      name,
      // null: left out is as wrong as any other
      initial: wholeNumber({ initial: initial ?? null }, 'initial', 0, [0, Semaphore.maxValue]),
      ...access(given),
      how,
    })
    this.created = this.#native.created
    this.#waits = new WaitQueue(
      {
        wakeToken: (token) => {
          this.#token = token
          this.#native.wakeToken(token)
        },
        park: () => {
          this.#park()
        },
        unpark: () => {
          this.#native.unpark()
        },
      },
      () => true, // a semaphore has no peer that could die
      () => undefined, // nor does it ever say that it is damaged
      tuning,
    )
    tellOpened(this)
  }

  /**
   * Makes a new semaphore with `initial` permits, mode 0600 whatever the umask, or the `mode` given.
   *
   * @throws MillraceError `EXISTS` (whoever made it), `INVALID_NAME`, `NAME_TOO_LONG`,
   *   `INVALID_ARGUMENT`, `PERMISSION`, `NO_SPACE`
   */
  static create(
    name: string,
    initial: number,
    options?: Omit<SemaphoreOptions, 'owner'>,
  ): Semaphore {
    return new Semaphore(name, initial, 'create', options)
  }

  /**
   * Opens what exists, whoever made it and in whatever language.
   *
   * @throws MillraceError `NOT_FOUND`, `NOT_OURS` (another owner, wider rights than `mode`, or a symbolic
   *   link), `LAYOUT` (a file that is no semaphore), `PERMISSION`, `INVALID_NAME`, `NAME_TOO_LONG`
   */
  static open(name: string, options?: SemaphoreOptions): Semaphore {
    return new Semaphore(name, 0, 'open', options)
  }

  /**
   * Opens what exists, whatever its value, or makes it with `initial` permits; `created` tells which. Of
   * several processes that do so at once, exactly one makes it.
   *
   * @throws MillraceError as `open` and `create`, but for `EXISTS`, and `NOT_FOUND` only if another user is the `owner`
   */
  static openOrCreate(name: string, initial: number, options?: SemaphoreOptions): Semaphore {
    return new Semaphore(name, initial, 'either', options)
  }

  /** Removes the name; who has it open goes on using it. Returns whether there was one. */
  static unlink(name: string): boolean {
    return native.unlinkSemaphore(checkName(name))
  }

  /** Has `close()` been called? */
  get closed(): boolean {
    return this.#closed || hasLeft()
  }

  /**
   * Permits that are there at this instant; the next one may differ.
   *
   * @throws MillraceError `CLOSED`, `UNSUPPORTED_PLATFORM` (macOS does not tell)
   */
  get value(): number {
    this.#assertOpen()
    return this.#native.value()
  }

  /**
   * Takes a permit if there is one and no earlier `wait` of this object is pending. Never blocks.
   *
   * @throws MillraceError `CLOSED`
   */
  tryWait(): boolean {
    this.#assertOpen()
    return !this.#waits.occupied && this.#got(this.#native.tryWait())
  }

  /**
   * Takes a permit, waiting for it without blocking the event loop or a thread of libuv's pool. Waits of
   * one object are served in the order they came.
   *
   * A wait that rejects holds no permit and does not touch the semaphore any more. To be sure of that, the
   * rejection of the last one pending may come up to 20 ms after the abort or the end of the time.
   *
   * @throws MillraceError (as rejection) `TIMEOUT`, `ABORTED`, `CLOSED`
   */
  async wait(options?: WaitOptions): Promise<void> {
    await this.#obtain(options, () => true as const)
  }

  /**
   * Takes a permit, blocking this thread: spins, then sleeps. For Workers; on the main thread it stops the
   * event loop. A Worker can be terminated meanwhile.
   *
   * @throws MillraceError `TIMEOUT`, `CLOSED`, `BUSY` (a `wait` of this object is pending)
   */
  waitSync(options?: BlockingOptions): void {
    const given = readBlocking(options)
    this.#assertOpen()
    if (this.#waits.occupied) {
      throw new MillraceError(
        'ERR_MILLRACE_BUSY',
        `semaphore '${this.name}' is busy: earlier waits are pending; await those first`,
      )
    }
    let got = false
    block(
      this.#waits,
      this.#late,
      given,
      () => (got || this.#got(this.#native.tryWait()) ? true : undefined),
      (spin, timeout) => (got = this.#got(this.#native.wait(spin, timeout))),
    )
  }

  /**
   * Adds `count` permits, all of them or none: each lets one wait through, anywhere.
   *
   * @throws MillraceError `TOO_LARGE` (the value would exceed `Semaphore.maxValue`), `INVALID_ARGUMENT`,
   *   `CLOSED`
   */
  post(count = 1): void {
    this.#assertOpen()
    this.#post(wholeNumber({ count }, 'count', 1, [0, Semaphore.maxValue]))
  }

  /**
   * As `wait`; the permit is an object that gives itself back once. It counts as held from the moment it was taken,
   * so that closing this object before the promise is delivered takes nothing away.
   */
  acquire(options?: WaitOptions): Promise<Permit> {
    return this.#obtain(options, () => this.#permit())
  }

  /** As `tryWait`; `undefined` if there is no permit. */
  tryAcquire(): Permit | undefined {
    return this.tryWait() ? this.#permit() : undefined
  }

  /** As `waitSync`. */
  acquireSync(options?: BlockingOptions): Permit {
    this.waitSync(options)
    return this.#permit()
  }

  /** Lets pending waits keep the process alive (the default). */
  ref(): this {
    this.#refed = true
    this.#waits.ref()
    return this
  }

  /** Lets the process end although waits are pending. */
  unref(): this {
    this.#refed = false
    this.#waits.unref()
    return this
  }

  /**
   * Lets go of the semaphore, which stays as it is; pending waits reject with `CLOSED`. Permits that were
   * acquired stay held, and can be released later.
   */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#waits.evict(this.#closedError())
    this.#letGoWhenUnused()
    tellClosed(this)
  }

  /** Removes the name; this object and others that have it open go on. Returns whether there was one. */
  unlink(): boolean {
    return Semaphore.unlink(this.name)
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
    return inspection('Semaphore', how, () => factsOf(this, ['name', 'created'], ['value']))
  }

  /** What `show` makes of a permit in the instant in which it is taken: at once, or when its turn comes. */
  async #obtain<T extends Permit | true>(
    options: WaitOptions | undefined,
    show: () => T,
  ): Promise<T> {
    const wait = readWait(options)
    this.#assertOpen()
    if (this.tryWait()) return await fairly(show())
    if (wait.timeout! < Infinity) this.#native.leaveIn(wait.timeout! + timerSlackMs)
    try {
      const take = () => (this.#got(this.#native.take()) ? show() : undefined)
      return (await this.#waits.wait<Permit | true>(this.#late, take, wait)) as T
    } catch (error) {
      await this.#withdrawn()
      throw error
    }
  }

  #got(outcome: number): boolean {
    if (outcome === Outcome.closed) throw this.#closedError()
    return outcome === 1
  }

  #park(): void {
    try {
      this.#native.park()
    } catch (error) {
      // Not by queueMicrotask, in whose place tests put others.
      void Promise.resolve().then(() => {
        this.#waits.evict(error as Error)
      })
    }
    this.#stopLeaving() // whoever was still in the semaphore has a reason to be there again
  }

  /** Resolves as soon as no wait that was given up can get a permit any more. */
  #withdrawn(): Promise<void> {
    if (!this.#native.leaving()) return Promise.resolve()
    if (this.#leaving !== undefined) return this.#leaving
    const held = this.#refed
    if (held) hold()
    // Nobody waits in the queue, so that the wake-ups are ours.
    onWakeOf(this.#token, () => {
      if (this.#native.leaving()) return
      forgetWake(this.#token)
      this.#stopLeaving()
    })
    this.#leaving = new Promise((resolve) => {
      this.#left = () => {
        if (held) letGo()
        resolve()
      }
    })
    return this.#leaving
  }

  #stopLeaving(): void {
    this.#leaving = undefined
    this.#left?.()
    this.#left = undefined
  }

  #permit(): Permit {
    this.#held++
    return new Permit(this.name, () => {
      try {
        this.#post(1)
      } finally {
        this.#held--
        this.#letGoWhenUnused()
      }
    })
  }

  #post(count: number): void {
    if (this.#native.post(count) === Outcome.closed) throw this.#closedError()
  }

  #letGoWhenUnused(): void {
    if (!this.#closed || this.#held > 0) return
    if (this.#native.leaving()) {
      void this.#withdrawn().then(() => {
        this.#letGoWhenUnused()
      })
    } else {
      this.#native.close()
    }
  }

  #assertOpen(): void {
    if (this.closed) throw this.#closedError()
  }

  #closedError(): MillraceError {
    return closedError(`semaphore '${this.name}'`)
  }

  /** The error of a wait that was too long. A semaphore does not know who has its permits. */
  readonly #late = (timeout: number): MillraceError => {
    const own = this.#held === 0 ? '' : `this object holds ${String(this.#held)} itself; `
    return timeoutError(
      `a permit of semaphore '${this.name}'`,
      timeout,
      `${own}whoever died with a permit gave none back: post() in its place, release sooner, or allow more time`,
    )
  }
}
