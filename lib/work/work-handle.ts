// What a handle of a work queue is, whatever is done by it: a seat, two lines of waits, the jobs in hand, its end.

import { Outcome } from '../addon/outcome.js'
import { durabilities, jobsOf, Kind, WorkFact, type NativeWork } from '../addon/work.js'
import { disposeInEveryContext } from '../base/disposal.js'
import { Handle } from '../base/handle.js'
import { factsOf, inspected, inspection, type Inspecting } from '../base/inspection.js'
import { tellOf } from '../base/life.js'
import type { Tuning, Wait } from '../base/options.js'
import { recheckSoon } from '../base/rechecks.js'
import { now } from '../base/time.js'
import { WaitQueue } from '../base/wait-queue.js'
import { closedError, corruptError, MillraceError } from '../errors.js'
import { DeadLetters } from './dead-letters.js'
import type { Job } from './job.js'
import { Leases, type JobClass } from './leases.js'
import type { Durability } from './options.js'
import { waitingForOthers } from './asking.js'
import { Seat } from './seat.js'
import { countOf, statsOf, type WorkStats } from './stats.js'
import { Syncer } from './syncer.js'
import type { WorkTraits } from './traits.js'
import type { SeenPlace } from './seen-place.js'
import type { Loop } from './working.js'

/**
 * Dead holders are looked for, and what is due, at most once in so many milliseconds: half of what a lookout lets pass, whose
 * timer may be early by a part of one.
 */
const lookMs = 10

/** @internal Where a handle stands. */
export interface Post<J extends Job> {
  /** For messages: "work queue 'x'". */
  readonly title: string
  /** Where its jobs come from, for messages. */
  readonly source: string
  /** The number of the stage that it takes jobs of. */
  readonly stage: number
  /** What a job is to whoever takes it. */
  readonly job: JobClass<J>
  /** Does what is done here go on to somebody else? */
  readonly moves: boolean
  /** What stages are called, by their numbers. */
  readonly stages: readonly string[]
}

export abstract class WorkHandle<J extends Job = Job> extends Handle<NativeWork> {
  /** The path of its memory, as `list` tells it. */
  readonly path: string
  /** Dead letters: the jobs that nobody is to try again. */
  readonly dead: DeadLetters
  /** @internal The waits for room; `waits` are those for jobs. */
  protected readonly roomWaits: WaitQueue
  /** @internal */
  protected readonly leases: Leases<J>
  /** @internal Where a push is confirmed when it is on the disk. */
  protected readonly syncer: Syncer
  /** @internal Did a push meet somebody in the middle of one? Nobody will wake it. */
  protected contended = false
  /** @internal The loops of `work`. */
  protected readonly running = new Set<Loop>()
  /** @internal Where its jobs come from, for messages. */
  protected readonly source: string
  readonly #stage: string | undefined
  readonly #facts: Int32Array
  #lookedAt = -Infinity
  /** Kinds of which somebody was woken who may not come. */
  #woken = 0
  /** `close()` was called, and handlers finish what they have in hand. */
  #ending: Promise<void> | undefined

  /** @internal */
  protected constructor(name: string, native: NativeWork, tuning: Tuning, post: Post<J>) {
    const seat = new Seat(native)
    const watch = () => !seat.isLookout
    super(name, post.title, native, watch, tuning, seat.waiter(jobsOf(post.stage)))
    this.path = native.path
    this.source = post.source
    this.#stage = post.stages[post.stage]
    this.roomWaits = new WaitQueue(
      seat.waiter(Kind.room),
      () => !this.contended && !seat.isLookout,
      (reason) => {
        this.leave(reason)
      },
      tuning,
    )
    this.#facts = native.facts
    this.syncer = new Syncer(() => native.flush())
    this.leases = new Leases(
      {
        name,
        title: post.source,
        moves: post.moves,
        fail: (outcome) => this.fail(outcome),
        settled: () => {
          this.settled()
        },
        isDamaged: () => this.waits.damage() !== undefined,
        certain: () => (this.durability === 'disk' ? this.syncer.sync() : undefined),
        becoming: (length, attempt, wait, waits) => this.becoming(length, attempt, wait, waits),
      },
      native,
      post.job,
    )
    this.dead = new DeadLetters({
      name,
      title: post.title,
      stages: post.stages,
      native,
      isClosed: () => super.closed,
      assertWhole: () => {
        this.assertOpen()
        this.assertWhole()
      },
      fail: (outcome) => this.fail(outcome),
      settled: () => {
        this.settled()
      },
    })
  }

  /** @internal For who looks on. */
  get seen(): SeenPlace {
    const kind = this.#stage === undefined ? 'work' : 'pipeline'
    return { kind, destination: this.name, source: this.#stage, maxBytes: this.maxBytes }
  }

  /** Jobs there may be at a time. */
  get jobs(): number {
    return this.native.jobs
  }
  /** Bytes for payloads that have no room in their slots. */
  get bytes(): number {
    return this.native.bytes
  }
  /** The longest payload there can be, in bytes. */
  get maxBytes(): number {
    return this.native.maxBytes
  }
  /** Priorities there are: 0 to one less. */
  get priorities(): number {
    return this.native.levels
  }
  /** Handles that may have it open at a time. */
  get seats(): number {
    return this.native.seats
  }
  /** Attempts until a job is a dead letter. */
  get maxAttempts(): number {
    return this.native.attempts === 0 ? Infinity : this.native.attempts
  }
  /** What jobs outlive. */
  get durability(): Durability {
    return durabilities[this.native.durability] ?? 'memory'
  }

  /** What the queue can do where it is: here, all of it. */
  get traits(): WorkTraits {
    return Object.freeze({
      local: true,
      inPlace: true,
      immediate: true,
      leases: 'process',
      death: 'exact',
      dedups: this.native.windowMs > 0,
      priorities: true,
      groups: true,
      redelivers: true,
    })
  }

  /**
   * Jobs that wait to be taken at this instant; `stats()` tells more. Counts them: a microsecond for a thousand jobs.
   *
   * @throws MillraceError `CLOSED`, `CORRUPT` (the memory was shortened)
   */
  get size(): number {
    return countOf(this.#counts(), 'ready')
  }

  /** What there is now, and what was counted. Errors as `size`. */
  stats(): WorkStats {
    return statsOf(this.#counts(), this.leases.unsettledCount)
  }

  /** Was it closed? From `close()` on nothing can be pushed or taken, also while handlers finish what they have in hand. */
  override get closed(): boolean {
    return this.#ending !== undefined || super.closed
  }

  /**
   * Resolves when all that this handle has done until now (pushed, settled) is on the disk, for a queue in a `MappedFile`; at once for
   * others. A thread of Node's pool waits for the disk; calls that come together share one sync, also those of other processes.
   *
   * @throws MillraceError (as rejection) `CLOSED`, `SYSTEM` or `NO_SPACE` (it could not be written: nothing is confirmed any more
   *   until the queue was closed everywhere and opened again)
   */
  async flush(): Promise<void> {
    this.assertOpen()
    await this.syncer.sync()
  }

  /** As `flush`, blocking this thread as long as the disk needs. */
  flushSync(): void {
    this.assertOpen()
    this.native.flushNow()
  }

  /** @internal Jobs of this handle that went back because nobody settled them. */
  get unsettledCount(): number {
    return this.leases.unsettledCount
  }

  override ref(): this {
    this.roomWaits.ref()
    return super.ref()
  }

  override unref(): this {
    this.roomWaits.unref()
    return super.unref()
  }

  /**
   * Gives the seat back; pending waits reject with `CLOSED`. What is in hand goes back to its place; attempts that have begun count.
   * Where `work` runs with `drainOnClose`, nothing is taken any more, and that comes when the handlers have finished, or their time
   * is over; `await using` waits for it. The last one to close removes the name, unless there are jobs or dead letters, or
   * an `id` whose `dedupWindow` is not over: those wait for whoever opens it next.
   */
  override close(): void {
    if (this.closed) return
    const drains = [...this.running].filter(({ drainMs, isBusy }) => drainMs > 0 && isBusy)
    if (drains.length === 0) {
      this.syncer.hurry()
      super.close()
      return
    }
    this.#ending = Promise.all(drains.map((loop) => loop.drained())).then(() => {
      this.syncer.hurry()
      super.close()
      tellOf('drained', this)
    })
    const error = (): MillraceError => this.fail(Outcome.closed)
    this.waits.evict(error)
    // Results that wait for room are in hand.
    this.roomWaits.evictLine(error)
  }

  /**
   * What `await using` calls at the end of its block: `close()`, and waits for handlers that have time to finish. A handler that
   * calls it waits for those only that do not wait for others themselves: it would wait for itself. The handle closes when all have
   * finished.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    this.close()
    if (this.#ending === undefined) return
    const ending = this.#ending
    const others = (): Promise<unknown> =>
      Promise.race([ending, Promise.all([...this.running].map((loop) => loop.othersDrained()))])
    await (waitingForOthers(others) ?? ending)
  }

  static {
    disposeInEveryContext(this.prototype, 'asyncDispose')
  }

  /** @internal What `console.log` shows. */
  [inspected](...how: Inspecting): string {
    return inspection('WorkQueue', how, () =>
      factsOf(
        this,
        ['name', 'path', 'jobs', 'bytes', 'priorities', 'maxAttempts', 'durability'],
        ['size'],
        this.isWhole(),
      ),
    )
  }

  /** @internal */
  protected override leave(reason: Error | (() => Error)): void {
    if (super.closed) return
    super.leave(reason)
    this.roomWaits.evict(reason)
  }

  /** @internal */
  protected override closeNative(): void {
    this.native.close()
    this.leases.close()
  }

  /** @internal */
  protected override assertOpen(): void {
    if (this.#ending !== undefined) throw this.fail(Outcome.closed)
    super.assertOpen()
  }

  #counts(): Float64Array {
    this.assertOpen()
    this.assertWhole()
    return this.native.counts()
  }

  /** @internal See `Holder`. */
  protected abstract becoming(
    length: number,
    attempt: () => number,
    wait: Wait,
    waits: () => void,
  ): Promise<number>

  /** @internal Looks for dead holders, and for what is due. */
  protected look(): void {
    const time = now()
    if (time - this.#lookedAt < lookMs) return
    this.#lookedAt = time
    this.native.look()
    this.settled()
  }

  /** @internal After every call that may have woken somebody. */
  protected settled(): void {
    if (this.#facts[WorkFact.woke] !== 0) this.#woke()
  }

  #woke(): void {
    this.#woken |= this.#facts[WorkFact.woke]!
    this.#facts[WorkFact.woke] = 0
    recheckSoon(this)
  }

  /** @internal Has whoever we woke come? */
  recheck(): boolean {
    if (super.closed || this.waits.damage() !== undefined) return false
    this.#woken = this.native.recheck(this.#woken)
    return this.#woken > 0
  }

  /** @internal An outcome below zero as an error; what is corrupt is closed. */
  protected fail(outcome: number): MillraceError {
    if (outcome !== Outcome.corrupt) return closedError(this.title)
    const error = corruptError(this.title)
    this.leave(error)
    return error
  }

  /** @internal */
  protected busy(call: string): MillraceError {
    return new MillraceError(
      'ERR_MILLRACE_BUSY',
      `${this.title} is busy: earlier calls of this handle wait, and ${call}Sync would overtake them; await those first`,
    )
  }
}
