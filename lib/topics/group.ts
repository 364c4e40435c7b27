// Queue groups: of those who subscribe with the same `queue`, one gets each message, as a job. The messages of the group's
// subscription are moved to a work queue, by whichever member is awake; what a job goes through is for that queue.
//
//   bus ── subscription of the group ──pumpBegin──► this process ──push, by id──► work queue BUS.GROUP ──► members
//                        ▲                                 │
//                        └────────────pumpEnd──────────────┘
//
// Who dies in between leaves the messages where they are, and the next member moves them again: those that are in the work queue
// by then are duplicates, by their ids.

import { Outcome } from '../addon/outcome.js'
import { IntakeFact, mostTaken, TopicFact } from '../addon/topics.js'
import { forgetAbort, whenAborted } from '../base/abort-signals.js'
import { disposeInEveryContext } from '../base/disposal.js'
import { inspected, inspection, jsonOf, type Inspecting } from '../base/inspection.js'
import { iterate, type Iteration, type IterationOptions } from '../base/iteration.js'
import type { WaitOptions } from '../base/options.js'
import { selectable, type Readiness } from '../base/selectable.js'
import { startTimer, stopTimer, type Timer } from '../base/time.js'
import { processing, receiving } from '../base/tracing.js'
import { WaitQueue } from '../base/wait-queue.js'
import { closedError, hasCode, timeoutError } from '../errors.js'
import type { Job } from '../work/job.js'
import type { WorkQueue } from '../work/work-queue.js'
import { contextOf, envelopeMost, envelopeOf, TopicJob, writeEnvelope } from './group-job.js'
import type { GroupParts } from './elsewhere.js'
import type { Wanted } from './options.js'
import type { Bus } from './subscription.js'

/** Whoever has moved a message and died before it said so is followed within so many milliseconds. */
const dedupWindow = 10_000
/** Room of a work queue for payloads, if nothing else is said. */
const leastBytes = 196_608
/** How long one that finds no room, or another member at work, leaves it to others. */
const againMs = 10
/** Nobody wakes the members when one dies in the middle of it. */
const lookMs = 50
const bufferBytes = 65_536

/**
 * A member of a queue group: `await bus.subscribe('orders.>', { queue: 'billing' })`. Each message is a job of one member: it is
 * worked on by one of them at a time, and what a killed member had in hand is taken by another, as a rule within 100 ms.
 *
 * @example
 * ```ts
 * for await (using order of await bus.subscribe('orders.>', { queue: 'billing' })) {
 *   await bill(order.subject, order.bytes)
 *   order.complete()
 * }
 * ```
 */
export class GroupSubscription implements AsyncIterable<TopicJob> {
  /** The name of the group. */
  readonly group: string
  /** What is subscribed to. */
  readonly filters: readonly string[]
  /** Where the jobs are: for dead letters, numbers, and whatever else a {@link WorkQueue} can do. */
  readonly queue: WorkQueue
  readonly #bus: Bus
  readonly #entry: number
  readonly #waits: WaitQueue
  readonly #signal: AbortSignal | undefined
  readonly #abort = {
    aborted: (): void => {
      this.close()
    },
  }
  readonly #buffer = new Uint8Array(bufferBytes)
  #timer: Timer | undefined
  #closed = false
  #pumps = false

  readonly #linger: () => void

  /** @internal `linger`: sees to it that an empty queue goes away once nobody is a member any more. */
  constructor(bus: Bus, entry: number, wanted: Wanted, queue: WorkQueue, linger: () => void) {
    this.#linger = linger
    this.#bus = bus
    this.#entry = entry
    this.group = wanted.queue
    this.filters = wanted.filters
    this.queue = queue
    const waiter = bus.seat.waiter(entry)
    this.#waits = new WaitQueue(
      waiter,
      () => !bus.seat.isLookout(waiter),
      (reason) => {
        bus.leave(reason)
      },
      bus.tuning,
    )
    // What keeps the process alive is that somebody takes jobs.
    this.#waits.unref()
    this.#waits
      .wait(this.#never, () => {
        this.#pumped()
      })
      .catch(() => undefined)
    this.#lookLater(lookMs)
    this.#signal = wanted.signal
    if (wanted.signal !== undefined) whenAborted(wanted.signal, this.#abort)
  }

  /** Was it closed, or its bus? */
  get closed(): boolean {
    return this.#closed || this.#bus.closed
  }

  /**
   * The next message, as a job that is this process's until it is settled.
   *
   * @throws MillraceError (as rejection) as `WorkQueue.takeOne`; `CORRUPT` once for a job that is no message of a bus, which is a dead
   *   letter then
   */
  async receive(options?: WaitOptions): Promise<TopicJob> {
    this.#pump()
    return jobOf(await this.queue.takeOne(options), this.queue, this.#title)
  }

  /** The next message if there is one now. Never blocks. */
  tryReceive(): TopicJob | undefined {
    this.#pump()
    const job = this.queue.tryTake()
    return job === undefined ? undefined : jobOf(job, this.queue, this.#title)
  }

  /** The messages as jobs, until this member or its bus is closed. Leaving the loop closes nothing. */
  messages(options?: IterationOptions): Iteration<TopicJob> {
    return iterate(
      {
        take: (wait) => this.receive(wait),
        takeNow: () => (receiving.yes || processing.yes ? undefined : this.tryReceive()),
        handle: this.queue,
      },
      options,
    )
  }

  /** As `messages`. */
  [Symbol.asyncIterator](): Iteration<TopicJob> {
    return this.messages()
  }

  /** What `select` asks. */
  [selectable](): Readiness {
    const jobs = this.queue[selectable]()
    return {
      look: (thorough) => {
        this.#pump()
        return jobs.look(thorough)
      },
      // What comes to the bus is moved by whoever is awake, and wakes those who wait for jobs.
      watch: (told, failed) => jobs.watch(told, failed),
    }
  }

  /**
   * Leaves the group; pending waits reject with `CLOSED`, and what is in hand goes back to the others. The group ends with its last
   * member; jobs that are left wait for the next one.
   */
  close(): void {
    if (this.#closed) return
    const isWhole = this.#bus.whole()
    this.#bus.left(this)
    if (isWhole) {
      this.#bus.native.unsubscribe(this.#entry)
    }
    this.end(() => closedError(this.#title))
  }

  /** What `using` calls at the end of its block: `close()`. */
  [Symbol.dispose](): void {
    this.close()
  }

  static {
    disposeInEveryContext(this.prototype)
  }

  /** Lets pending waits keep the process alive (the default). */
  ref(): this {
    this.queue.ref()
    return this
  }

  /** Lets the process end although waits are pending. */
  unref(): this {
    this.queue.unref()
    return this
  }

  /** For `JSON.stringify`: what `console.log` shows. Never throws. */
  toJSON(): object {
    return jsonOf(this)
  }

  /** @internal What `console.log` shows. */
  [inspected](...how: Inspecting): string {
    return inspection('GroupSubscription', how, () => ({
      topics: this.#bus.name,
      group: this.group,
      filters: this.filters,
      closed: this.#closed,
    }))
  }

  /** @internal Its bus was closed, or it was. */
  end(reason: Error | (() => Error)): void {
    if (this.#closed) return
    this.#closed = true
    stopTimer(this.#timer)
    this.#timer = undefined
    if (this.#signal !== undefined) forgetAbort(this.#signal, this.#abort)
    this.#waits.evict(reason)
    if (!this.queue.closed) this.#linger()
    this.queue.close()
  }

  get #title(): string {
    return `the group ${this.group} of ${this.#bus.title}`
  }

  /** Looks for as long as it is a member: nothing that comes ends this wait. */
  #pumped(): undefined {
    this.#pump()
    return undefined
  }

  /** Moves what there is to the work queue. All of it is done in this turn: a member that is busy holds nobody up. */
  #pump(): void {
    if (this.#pumps || this.#closed || this.#bus.closed) return
    // Whoever closed its queue has nowhere to move messages to, and publishers would wait for it.
    if (this.queue.closed) {
      this.close()
      return
    }
    this.#pumps = true
    try {
      while (this.#moveSome()) {
        // There may be more.
      }
    } catch {
      // What is broken has told those who wait for jobs. Messages are for members that can do better.
      this.close()
    } finally {
      this.#pumps = false
    }
  }

  /** False: there is nothing more to be moved, or not now. */
  #moveSome(): boolean {
    const { native, source } = this.#bus
    let buffer = this.#buffer
    let count = native.pumpBegin(this.#entry, mostTaken, buffer, 0)
    if (count === 0 && native.facts[TopicFact.needed]! > 0) {
      buffer = new Uint8Array(native.facts[TopicFact.needed]!)
      count = native.pumpBegin(this.#entry, 1, buffer, 0)
    }
    if (count === Outcome.busy) {
      this.#lookLater(againMs)
      return false
    }
    if (count < 0) throw source.fail(count)
    if (count === 0) return false
    const facts = native.facts.slice(TopicFact.intake, TopicFact.intake + count * IntakeFact.count)
    // Of none, where the first does not fit.
    let next = facts[IntakeFact.index]!
    try {
      for (let at = 0; at < facts.length; at += IntakeFact.count) {
        const index = facts[at + IntakeFact.index]!
        const subject = source.subjectOf(facts[at + IntakeFact.subject]!)
        const payload = writeEnvelope(subject, facts, at, buffer)
        const traceparent = contextOf(facts, at, buffer)
        const id = `${native.instance}.${String(index)}`
        if (!this.queue.tryPush(payload, { id, traceparent })) {
          this.#lookLater(againMs)
          return false
        }
        next = index + 1
      }
    } finally {
      native.pumpEnd(this.#entry, next)
    }
    this.#bus.read()
    return true
  }

  #lookLater(milliseconds: number): void {
    if (this.#closed) return
    stopTimer(this.#timer)
    this.#timer = startTimer(milliseconds, () => {
      this.#timer = undefined
      if (this.#closed || this.#waits.damage() !== undefined) return
      this.#lookLater(lookMs)
      this.#pump()
    })
  }

  readonly #never = (timeout: number): Error =>
    timeoutError(`an end of ${this.#title}`, timeout, 'close it')
}

/** One that is no message, which somebody else has pushed, becomes a dead letter: whoever gets the error could not settle it. */
function jobOf(job: Job, queue: WorkQueue, title: string): TopicJob {
  try {
    return new TopicJob(job, title)
  } catch (error) {
    if (hasCode(error, 'ERR_MILLRACE_CORRUPT') && !queue.closed) job.reject(error)
    throw error
  }
}

/** What a group elsewhere needs of this room, and of that below. */
export function groupParts(): GroupParts {
  const work = require('../work/working.js') as typeof import('../work/working.js')
  return { work: { readWork: work.readWork, workAt: work.workAt }, jobOf, envelopeOf }
}

/** How the work queue of a group is opened: as its bus. */
interface Opening {
  readonly name: string
  readonly maxBytes: number
  readonly options: object
}

/**
 * The work queue of that group. It may be there already, with options of its own.
 *
 * @throws MillraceError `INVALID_ARGUMENT`, and what `WorkQueue.open` throws
 */
export function openQueue({ name, maxBytes, options }: Opening, group: string): WorkQueue {
  const { WorkQueue } = require('../work/work-queue.js') as typeof import('../work/work-queue.js')
  const largest = maxBytes + envelopeMost
  return WorkQueue.open(`${name}.${group}`, {
    ...options,
    dedupWindow,
    bytes: Math.max(leastBytes, 2 * largest),
  })
}

/** Queues of groups that members of this thread have left, by their names. */
const left = new Map<string, { readonly queue: WorkQueue; readonly timer: Timer }>()

/**
 * Holds the queue of a group that is left for as long as its ids are remembered: whoever closes a queue last before that leaves its
 * memory behind, and after it takes an empty one away.
 */
export function lingerOn(opening: Opening, group: string): void {
  const name = `${opening.name}.${group}`
  try {
    const queue = openQueue(opening, group).unref()
    letGo(name)
    const timer = startTimer(dedupWindow + againMs, () => {
      letGo(name)
    })
    left.set(name, { queue, timer })
  } catch {
    // There is no seat, or it is broken: then it stays for members to come.
  }
}

/**
 * With a handle of the bus nothing of it stays open here. With the last one of all its ids mean nothing any more: what is empty, and nobody
 * else's, need not stay for them.
 */
export function letGoWithBus(name: string, isLast: boolean): void {
  const queue = left.get(name)?.queue
  if (queue === undefined) return
  try {
    if (isLast) unlinkUnused(name, queue)
  } catch {
    // It is damaged, or somebody else's: closing it is all that can be done.
  }
  letGo(name)
}

function unlinkUnused(name: string, queue: WorkQueue): void {
  const { handles, ready, leased, delayed, grouped, dead } = queue.stats()
  if (handles > 1 || ready + leased + delayed + grouped + dead > 0) return
  const { WorkQueue } = require('../work/work-queue.js') as typeof import('../work/work-queue.js')
  WorkQueue.unlink(name)
}

function letGo(name: string): void {
  const held = left.get(name)
  if (held === undefined) return
  left.delete(name)
  stopTimer(held.timer)
  held.queue.close()
}
