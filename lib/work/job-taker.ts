// The side of a work queue that takes.

import { Outcome } from '../addon/outcome.js'
import { WorkFact, type NativeWork } from '../addon/work.js'
import { block, readBlocking, type BlockingOptions } from '../base/blocking.js'
import { fairly } from '../base/fairness.js'
import { iterate, type Iteration, type IterationOptions } from '../base/iteration.js'
import { tellOf } from '../base/life.js'
import { readWait, wholeNumber, type Tuning, type WaitOptions } from '../base/options.js'
import { readinessOf, selectable, type Readiness } from '../base/selectable.js'
import { processing, receiving } from '../base/tracing.js'
import type { Attempt } from '../base/waiter.js'
import { timeoutError, type MillraceError } from '../errors.js'
import type { Job } from './job.js'
import { assertGiven } from './options.js'
import { JobPusher } from './pusher.js'
import { tracedWork } from './tracing-work.js'
import type { Post } from './work-handle.js'
import { Working, type Craft, type GivenWork } from './working.js'

export abstract class JobTaker<J extends Job = Job> extends JobPusher<J> {
  readonly #facts: Int32Array

  /** @internal */
  protected constructor(name: string, native: NativeWork, tuning: Tuning, post: Post<J>) {
    super(name, native, tuning, post)
    this.#facts = native.facts
  }

  /**
   * The jobs, one after the other, until this handle is closed: `for await (using job of jobs.take())`. Leaving the loop closes
   * nothing, and takes nothing that was not handed out. Several such loops on one handle share the jobs in turn.
   *
   * @throws MillraceError from the iteration: `ABORTED`, `CORRUPT`
   */
  take(options?: IterationOptions): Iteration<J> {
    return iterate(this.#jobs, options)
  }

  /**
   * The next job, waiting for it without blocking the event loop.
   *
   * @throws MillraceError (as rejection) `ABORTED`, `TIMEOUT`, `CLOSED`, `CORRUPT`
   */
  takeOne(options?: WaitOptions): Promise<J> {
    return isSeen()
      ? tracedWork().tracedTake(this, 'take', () => this.takeUnseen(options))
      : this.takeUnseen(options)
  }

  /** @internal The same, and nobody who looks on sees it. */
  takeUnseen(options?: WaitOptions): Promise<J> {
    try {
      const wait = readWait(options)
      const job = this.tryTake()
      return job === undefined ? this.waits.wait(this.late, this.#takeAttempt, wait) : fairly(job)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** The next job if there is one now, and no earlier call of this handle waits for one. Never blocks. */
  tryTake(): J | undefined {
    this.assertOpen()
    return this.waits.occupied ? undefined : this.#takeNow()
  }

  /** As `takeOne`, blocking this thread; for Workers. Errors are thrown; `BUSY` while others of this handle wait. */
  takeSync(options?: BlockingOptions): J {
    return this.blockFor('take', options)
  }

  /**
   * Up to `max` jobs that are there now; waits for the first. An attempt begins when the bytes of its job are first looked at, so
   * that a job that kills its worker costs the others of its batch none.
   */
  takeBatch(max: number, options?: WaitOptions): Promise<J[]> {
    return isSeen()
      ? tracedWork().tracedTake(this, 'takeBatch', () => this.takeBatchUnseen(max, options))
      : this.takeBatchUnseen(max, options)
  }

  /** @internal The same, and nobody who looks on sees it. */
  takeBatchUnseen(max: number, options?: WaitOptions): Promise<J[]> {
    try {
      assertGiven(max, 'max')
      const most = wholeNumber({ max }, 'max', NaN, [1, 2 ** 20])
      const wait = readWait(options)
      const found = this.tryTakeBatch(most)
      if (found !== undefined) return fairly(found)
      return this.waits.wait(
        this.late,
        (thorough) => {
          if (thorough) this.look()
          return this.#takeSome(most)
        },
        wait,
      )
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** @internal The same, if there are some now, and no earlier call waits. */
  tryTakeBatch(most: number): J[] | undefined {
    this.assertOpen()
    return this.waits.occupied ? undefined : this.#takeSome(most)
  }

  /** What iterations of jobs ask. */
  readonly #jobs = {
    take: (wait: WaitOptions): Promise<J> => this.takeOne(wait),
    // Who looks on is shown all that a loop asks for.
    takeNow: (): J | undefined => (isSeen() ? undefined : this.tryTake()),
    handle: this as { readonly closed: boolean },
  }

  #takeNow(): J | undefined {
    this.native.take()
    return this.#taken(true)
  }

  /** @internal As `takeOne`, and the attempt begins later: with `Job.begin`, or when its bytes are looked at. */
  async takeAhead(options: WaitOptions): Promise<J> {
    const wait = readWait(options)
    this.assertOpen()
    const job = this.waits.occupied ? undefined : this.#takeOneAhead()
    return await (job === undefined
      ? this.waits.wait(this.late, this.#takeAheadAttempt, wait)
      : fairly(job))
  }

  #takeOneAhead(): J | undefined {
    this.native.takeAhead()
    return this.#taken(false)
  }

  /** @internal The job for which all others of a pipeline wait, if it is there. */
  protected takeFront(): J | undefined {
    this.native.takeFront()
    return this.#taken(true)
  }

  readonly #takeAheadAttempt: Attempt<J> = (thorough) => {
    if (thorough) this.look()
    return this.#takeOneAhead() as ReturnType<Attempt<J>>
  }

  /** The job that a call has left in the facts. */
  #taken(begun: boolean): J | undefined {
    const facts = this.#facts
    if (facts[WorkFact.woke] !== 0) this.settled()
    const slot = facts[WorkFact.slot]!
    if (slot >= 0) {
      const job = this.leases.taken(begun)
      if (job.acquired > 1) {
        tellOf('redelivered', this, { attempt: job.attempt, acquired: job.acquired })
      }
      return job
    }
    if (slot === Outcome.wouldBlock) return undefined
    throw this.fail(slot)
  }

  /** How `select` waits for it. */
  [selectable](): Readiness {
    return readinessOf(this.waits, (thorough) => {
      this.assertOpen()
      if (thorough) this.look()
      const found = this.native.any()
      this.settled()
      if (found < 0) throw this.fail(found)
      return found === 1 ? 'ready' : undefined
    })
  }

  readonly #takeAttempt: Attempt<J> = (thorough) => {
    if (thorough) this.look()
    return this.#takeNow() as ReturnType<Attempt<J>>
  }

  /** @internal */
  protected blockFor(call: 'take' | 'receive', options: BlockingOptions | undefined): J {
    const given = readBlocking(options)
    this.assertOpen()
    if (this.waits.occupied) throw this.busy(call)
    let found: ReturnType<Attempt<J>>
    return block(
      this.waits,
      this.late,
      given,
      (thorough) => found ?? this.#takeAttempt(thorough),
      (spin, timeout) => {
        this.native.waitForJob(spin, timeout)
        found = this.#taken(true) as ReturnType<Attempt<J>>
        return found !== undefined
      },
    )
  }

  #takeSome(most: number): J[] | undefined {
    const jobs: J[] = []
    while (jobs.length < most) {
      const job = this.#takeOneAhead()
      if (job === undefined) break
      jobs.push(job)
    }
    return jobs.length === 0 ? undefined : jobs
  }

  /** @internal */
  protected readonly late = (timeout: number): MillraceError =>
    timeoutError(
      `a job in ${this.source}`,
      timeout,
      'nobody has pushed one that can be taken now: start who is to do it, or allow more time',
    )

  /** @internal Until this handle is closed. */
  protected async workBy<Unit>(
    craft: Craft<Unit>,
    given: GivenWork,
    working = new Working(craft, given),
  ): Promise<void> {
    this.assertOpen()
    this.running.add(working)
    try {
      await working.run()
    } finally {
      this.running.delete(working)
    }
  }
}

const isSeen = (): boolean => receiving.yes || processing.yes
