// A queue of jobs that any number of processes push and take.
//
// One handle is one seat. Its tasks wait in two lines: for jobs, and for room; each is served in the order in which they came.
// Every step (push, take, settle) is one native call, which answers with a number.

import { native } from '../addon/native.js'
import { Outcome } from '../addon/outcome.js'
import { WorkFact, type NativeWork } from '../addon/work.js'
import { block, readBlocking, type BlockingOptions } from '../base/blocking.js'
import { fairly } from '../base/fairness.js'
import { iterate, type Iteration, type IterationOptions } from '../base/iteration.js'
import { checkName, readWait, wholeNumber, type Tuning, type WaitOptions } from '../base/options.js'
import type { PlainBuffer } from '../base/view-constructor.js'
import { timeoutError, type MillraceError } from '../errors.js'
import { nameOf, type Place } from '../place/place.js'
import { wideAt, type Job } from './job.js'
import { assertGiven, placeOf, readWorkOptions, type WorkQueueOptions } from './options.js'
import { JobPusher } from './pusher.js'
import { Working, type JobHandler, type WorkOptions } from './working.js'

/**
 * Jobs that any number of processes and Workers push, and any number of them take: each is worked on by one of them at a time,
 * and what a killed process had in hand is taken by another, as a rule within 100 ms. The highest priority first, the oldest first.
 *
 * Bounded in jobs and bytes: `push` waits for room. All calls but those ending in `Sync` leave the event loop alone; calls of one
 * handle that wait are served in order.
 *
 * @example
 * ```ts
 * using jobs = WorkQueue.open('thumbnails')
 * await jobs.push('cat.jpg') // in any process
 * // in any others
 * await jobs.work(async (job) => { await resize(job.bytes) }, { concurrency: 4 })
 * ```
 */
export class WorkQueue extends JobPusher {
  readonly #facts: Int32Array

  private constructor(name: string, handle: NativeWork, tuning: Tuning) {
    super(name, handle, tuning)
    this.#facts = handle.facts
  }

  /**
   * Opens the queue; creates it if it does not exist. `place` may be an address as well: `shm://thumbnails` is `thumbnails`.
   *
   * Blocks for microseconds; at most 2 s if another process is stopped in the middle of creating or leaving the same queue.
   *
   * @throws MillraceError `GEOMETRY` (it was created with other options), `NO_LANE` (all seats are taken: the message says how
   *   many there are), `INVALID_ARGUMENT`, `INVALID_NAME`, `NAME_TOO_LONG`, `NOT_OURS`, `PERMISSION`, `LAYOUT`, `CORRUPT`,
   *   `NO_SPACE`, `TIMEOUT`
   */
  static open(place: Place, options?: WorkQueueOptions): WorkQueue {
    const wanted = readWorkOptions(place, options)
    const handle = new native.Work(wanted.native)
    return new WorkQueue(nameOf(placeOf(place)), handle, wanted.tuning)
  }

  /**
   * Removes the name. Who has the queue open goes on with it; new ones get a new queue. Returns whether there was one.
   *
   * @throws MillraceError `INVALID_NAME`, `NAME_TOO_LONG`, `PERMISSION`, `TIMEOUT` (a process is stopped in the middle of
   *   opening or closing it)
   */
  static unlink(name: string): boolean {
    return native.unlinkChannel('j', placeOf(checkName(name)) as string)
  }

  /**
   * The jobs, one after the other, until this handle is closed: `for await (using job of jobs.take())`. Leaving the loop closes
   * nothing, and takes nothing that was not handed out. Several such loops on one handle share the jobs in turn.
   *
   * @throws MillraceError from the iteration: `ABORTED`, `CORRUPT`
   */
  take(options?: IterationOptions): Iteration<Job> {
    return iterate(this.#jobs, options)
  }

  /**
   * The next job, waiting for it without blocking the event loop.
   *
   * @throws MillraceError (as rejection) `ABORTED`, `TIMEOUT`, `CLOSED`, `CORRUPT`
   */
  takeOne(options?: WaitOptions): Promise<Job> {
    try {
      const wait = readWait(options)
      const job = this.#jobs.takeNow()
      return job === undefined ? this.waits.wait(this.#late, this.#takeAttempt, wait) : fairly(job)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** The next job if there is one now, and no earlier call of this handle waits for one. Never blocks. */
  tryTake(): Job | undefined {
    return this.#jobs.takeNow()
  }

  /** As `takeOne`, blocking this thread; for Workers. Errors are thrown; `BUSY` while others of this handle wait. */
  takeSync(options?: BlockingOptions): Job {
    const given = readBlocking(options)
    this.assertOpen()
    if (this.waits.occupied) throw this.busy('take')
    return this.#block(given)
  }

  /**
   * Up to `max` jobs that are there now; waits for the first. An attempt begins when the bytes of its job are first looked at, so
   * that a job that kills its worker costs the others of its batch none.
   */
  takeBatch(max: number, options?: WaitOptions): Promise<Job[]> {
    try {
      assertGiven(max, 'max')
      const most = wholeNumber({ max }, 'max', NaN, [1, 2 ** 20])
      const wait = readWait(options)
      this.assertOpen()
      if (!this.waits.occupied) {
        const found = this.#takeSome(most)
        if (found !== undefined) return fairly(found)
      }
      return this.waits.wait(
        this.#late,
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

  /**
   * Works: hands each job to `handler`, `concurrency` at a time. When what the handler returns has resolved, the job is complete;
   * when it throws, that is a `retry` with the error; unless the handler has settled it. Resolves when this handle was closed and
   * the handlers have finished.
   *
   * @throws MillraceError (as rejection) `ABORTED`, `CORRUPT`, `INVALID_ARGUMENT`, `CLOSED` (before it began)
   */
  async work(handler: JobHandler, options?: WorkOptions): Promise<void> {
    const working = new Working(this, handler, options)
    this.assertOpen()
    this.running.add(working)
    try {
      await working.run()
    } finally {
      this.running.delete(working)
    }
  }

  // A message queue

  /**
   * The payload of the next job as a Buffer of its own, and the job is complete: for those who want messages, and no leases. What
   * this process has received dies with it.
   *
   * @throws MillraceError (as rejection) as `takeOne`
   */
  receive(options?: WaitOptions): Promise<PlainBuffer> {
    try {
      const wait = readWait(options)
      const message = this.tryReceive()
      return message === undefined
        ? this.waits.wait(this.#late, this.#receiveAttempt, wait)
        : fairly(message)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** As `receive`, if there is one now, and no earlier call of this handle waits. Never blocks. */
  tryReceive(): PlainBuffer | undefined {
    this.assertOpen()
    return this.waits.occupied ? undefined : this.#receiveNow()
  }

  /** As `receive`, blocking this thread; for Workers. Errors as `takeSync`. */
  receiveSync(options?: BlockingOptions): PlainBuffer {
    const given = readBlocking(options)
    this.assertOpen()
    if (this.waits.occupied) throw this.busy('receive')
    const job = this.#block(given)
    const message = job.copy()
    job.complete()
    return message
  }

  /** All messages, until this handle is closed: `for await (const message of queue.messages())`. Errors as `take`. */
  messages(options?: IterationOptions): Iteration<PlainBuffer> {
    return iterate(
      {
        take: (wait) => this.receive(wait),
        takeNow: () => this.tryReceive(),
        handle: this,
      },
      options,
    )
  }

  /** What iterations of jobs ask. */
  readonly #jobs = {
    take: (wait: WaitOptions): Promise<Job> => this.takeOne(wait),
    takeNow: (): Job | undefined => {
      this.assertOpen()
      return this.waits.occupied ? undefined : this.#takeNow()
    },
    handle: this as { readonly closed: boolean },
  }

  #takeNow(): Job | undefined {
    this.native.take()
    return this.#taken(true)
  }

  /** The job that a call has left in the facts. */
  #taken(begun: boolean): Job | undefined {
    const facts = this.#facts
    if (facts[WorkFact.woke] !== 0) this.settled()
    const slot = facts[WorkFact.slot]!
    if (slot >= 0) return this.leases.taken(begun)
    if (slot === Outcome.wouldBlock) return undefined
    throw this.fail(slot)
  }

  readonly #takeAttempt = (thorough: boolean): Job | undefined => {
    if (thorough) this.look()
    return this.#takeNow()
  }

  #block(options: BlockingOptions): Job {
    let found: Job | undefined
    return block(
      this.waits,
      this.#late,
      options,
      (thorough) => found ?? this.#takeAttempt(thorough),
      (spin, timeout) => {
        this.native.waitForJob(spin, timeout)
        found = this.#taken(true)
        return found !== undefined
      },
    )
  }

  #takeSome(most: number): Job[] | undefined {
    const jobs: Job[] = []
    while (jobs.length < most) {
      this.native.takeAhead()
      const job = this.#taken(false)
      if (job === undefined) break
      jobs.push(job)
    }
    return jobs.length === 0 ? undefined : jobs
  }

  #receiveNow(): PlainBuffer | undefined {
    const { native: handle } = this
    for (;;) {
      handle.take()
      const facts = this.#facts
      const slot = facts[WorkFact.slot]!
      if (slot < 0) {
        this.settled()
        if (slot === Outcome.wouldBlock) return undefined
        throw this.fail(slot)
      }
      const message = this.leases.copyOf(wideAt(facts, WorkFact.offset), facts[WorkFact.length]!)
      // The facts are still those of this job.
      const outcome = handle.complete()
      this.settled()
      if (outcome === 1) return message
      if (outcome < 0) throw this.fail(outcome)
      // Its lease was over before we had it: somebody else's by now.
    }
  }

  readonly #receiveAttempt = (thorough: boolean): PlainBuffer | undefined => {
    if (thorough) this.look()
    return this.#receiveNow()
  }

  readonly #late = (timeout: number): MillraceError =>
    timeoutError(
      `a job in ${this.title}`,
      timeout,
      'nobody has pushed one that can be taken now: start who is to do it, or allow more time',
    )
}
