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
import { receiving } from '../base/tracing.js'
import type { PlainBuffer } from '../base/view-constructor.js'
import type { ConnectionStatus } from '../net/connection-status.js'
import type { Share, ShareOptions } from '../net/share.js'
import { addressElsewhere } from '../place/elsewhere.js'
import { nameOf, placeOf, type Place } from '../place/place.js'
import { elsewhere } from './elsewhere.js'
import { Job, wideAt } from './job.js'
import { JobTaker } from './job-taker.js'
import { readWorkOptions, type WorkQueueOptions } from './options.js'
import { tracedWork } from './tracing-work.js'
import { JobCraft, readWork, workAt, type JobHandler, type WorkOptions } from './working.js'

/** @internal What every work queue has, wherever its memory is. */
export const isQueue = Symbol.for('millrace.work-queue')

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
  readonly #shares = new Set<Share>()

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
   * Of any other address (`unix:///run/jobs`, `tcp://127.0.0.1:7000`, `tls://…`) it is the queue that another process has and `share`s
   * there: the same calls, over a connection that is made in the background, and made anew when it breaks. `traits` says what a
   * connection cannot carry. Of `nats://host:4222/NAME` it is a queue of JetStream, of `redis://host:6379/NAME` one over a stream of Redis (docs/engines.md). `setResolve` and the variable `MILLRACE_ADDRESSES` put such an address in the place of a name.
   *
   * Blocks for microseconds; at most 2 s if another process is stopped in the middle of creating or leaving the same queue.
   *
   * @throws MillraceError `GEOMETRY` (it was created with other options), `NO_LANE` (all seats are taken: the message says how
   *   many there are), `INVALID_ARGUMENT`, `INVALID_NAME`, `NAME_TOO_LONG`, `NOT_OURS`, `PERMISSION`, `LAYOUT`, `CORRUPT`,
   *   `NO_SPACE`, `TIMEOUT`
   */
  static open(place: Place, options?: WorkQueueOptions): WorkQueue {
    const address = addressElsewhere(place)
    if (address !== undefined) {
      // The options are the same, and judged alike.
      const { native: wanted } = readWorkOptions('elsewhere', options)
      const parts = { readWork, workAt }
      return elsewhere().openWork(address, wanted, options?.connection, parts) as WorkQueue
    }
    const wanted = readWorkOptions(place, options)
    const handle = new native.Work(wanted.native)
    return new WorkQueue(nameOf(placeOf(place)), handle, wanted.tuning)
  }

  /**
   * Shares the queue with others by an address, until it is closed, or what is returned is: `WorkQueue.open(address)` is the other side.
   * What a client has in hand goes back when its connection ends, at once where the system tells (`unix://`), after its silence
   * otherwise (`tcp://`, `tls://`: 10 s, option `heartbeat`).
   *
   * @throws MillraceError (as rejection) `EXISTS` (somebody listens there already), `UNREACHABLE`, `PERMISSION`, `CLOSED`, `ABORTED`,
   *   `INVALID_ARGUMENT`
   */
  async share(address: string, options?: ShareOptions): Promise<Share> {
    this.assertOpen()
    const share = await elsewhere().shareWork(this, address, options)
    this.#shares.add(share)
    if (this.closed) await share.close()
    return share
  }

  /** The connection of a queue elsewhere, which is made anew when it breaks; undefined: the queue is in this machine's memory. */
  get connection(): ConnectionStatus | undefined {
    return undefined
  }

  /**
   * Resolves when what the queue has is known: in memory at once, elsewhere when there was a connection. Before that, `jobs`, `bytes`, `maxBytes`, `maxAttempts` and `durability` of a
   * queue elsewhere throw `ERR_MILLRACE_BUSY`.
   *
   * @throws MillraceError (as rejection) `CLOSED`, `TIMEOUT`, `ABORTED`, `INVALID_ARGUMENT`; elsewhere what the other side refuses
   */
  connected(options?: WaitOptions): Promise<void> {
    return new Promise((resolve) => {
      readWait(options)
      this.assertOpen()
      resolve()
    })
  }

  /** @internal Closes what is shared with it: nobody else would. */
  override close(): void {
    for (const share of this.#shares) void share.close()
    this.#shares.clear()
    super.close()
  }

  static {
    // One whose memory is elsewhere is one, too.
    Object.defineProperty(this, Symbol.hasInstance, {
      value: (given: unknown): boolean =>
        typeof given === 'object' && given !== null && isQueue in given,
    })
    Object.defineProperty(this.prototype, isQueue, { value: true })
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
    return receiving.yes
      ? tracedWork().tracedReceive(this, () => this.takeUnseen(options))
      : this.#receive(options)
  }

  #receive(options?: WaitOptions): Promise<PlainBuffer> {
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
        takeNow: () => (receiving.yes ? undefined : this.tryReceive()),
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
