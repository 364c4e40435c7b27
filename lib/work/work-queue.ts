// A queue of jobs that any number of processes push and take.
//
// One handle is one seat. Its tasks wait in two lines: for jobs, and for room; each is served in the order in which they came.
// Every step (push, take, settle) is one native call, which answers with a number.

import { native } from '../addon/native.js'
import { Outcome } from '../addon/outcome.js'
import { WorkFact, type NativeWork } from '../addon/work.js'
import type { BlockingOptions } from '../base/blocking.js'
import { fairly } from '../base/fairness.js'
import { iterate, type Iteration, type IterationOptions } from '../base/iteration.js'
import { checkName, readWait, type Tuning, type WaitOptions } from '../base/options.js'
import type { PlainBuffer } from '../base/view-constructor.js'
import { nameOf, placeOf, type Place } from '../place/place.js'
import { Job, wideAt } from './job.js'
import { JobTaker } from './job-taker.js'
import { readWorkOptions, type WorkQueueOptions } from './options.js'
import { JobCraft, readWork, type JobHandler, type WorkOptions } from './working.js'

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
export class WorkQueue extends JobTaker {
  readonly #facts: Int32Array

  private constructor(name: string, handle: NativeWork, tuning: Tuning) {
    const title = `work queue '${name}'`
    super(name, handle, tuning, {
      title,
      source: title,
      stage: 0,
      job: Job,
      moves: false,
      stages: [],
    })
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
   * Works: hands each job to `handler`, `concurrency` at a time. When what the handler returns has resolved, the job is complete;
   * when it throws, that is a `retry` with the error; unless the handler has settled it. Resolves when this handle was closed and
   * the handlers have finished.
   *
   * @throws MillraceError (as rejection) `ABORTED`, `CORRUPT`, `INVALID_ARGUMENT`, `CLOSED` (before it began)
   */
  async work(handler: JobHandler, options?: WorkOptions): Promise<void> {
    await this.workBy(new JobCraft(this, handler), readWork(options))
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
        ? this.waits.wait(this.late, this.#receiveAttempt, wait)
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
    const job = this.blockFor('receive', options)
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
}
