// A job that was taken. leases.ts makes the calls; what a job knows of itself is what came with it.

import { WorkFact } from '../addon/work.js'
import { disposeInEveryContext } from '../base/disposal.js'
import { reasonText } from '../base/failure.js'
import { inspected, inspection, jsonOf, type Inspecting } from '../base/inspection.js'
import { checkOptions, type Wait } from '../base/options.js'
import { inHand, sending, traced } from '../base/tracing.js'
import type { Bytes, PlainBuffer } from '../base/view-constructor.js'
import { MillraceError } from '../errors.js'
import { readForward, type Forward, type ForwardOptions } from './forward.js'
import { duplicate, pushed, type PushResult } from './loan.js'
import { assertGiven, time } from './options.js'
import { tracedWork } from './tracing-work.js'

/** More of them are not counted. */
const mostAttempts = 255

/** @internal What the addon has to know of a job to make a call about it. */
export interface LeaseOf {
  /** Into the facts, for that call. */
  put(facts: Int32Array): void
}

/** @internal Who has the jobs of a handle. Calls return 1, 0 if the lease was lost, or an outcome below zero. */
export interface Keeper {
  /** Whose jobs they are, for messages: "work queue 'x'". */
  readonly title: string
  readonly name: string
  readonly facts: Int32Array
  readonly closed: boolean
  /** May jobs be taken away from a process that lives? */
  readonly mayLose: boolean
  /** Are they kept on disk? */
  readonly onDisk: boolean
  /** It is done here. */
  complete(job: Job): number
  /** It is done, and goes no further. */
  drop(job: Job): number
  /** The outcome when there was room for it, 1 or 2: what it became was pushed, or known there. Calls `waits` if it has to wait. */
  forward(job: Job, wanted: Forward, waits: () => void): Promise<number>
  /** The same: it goes on as these bytes. */
  become(job: Job, bytes: Uint8Array, wait: Wait, waits: () => void): Promise<number>
  release(job: Job, delay: number): number
  retry(job: Job, delay: number, error: string): number
  reject(job: Job, error: string): number
  extend(job: Job, milliseconds: number): number
  start(job: Job): number
  /** Is it still ours? */
  holds(job: Job): number
  texts(job: Job): readonly [id: string, group: string, trace?: Uint8Array] | undefined
  view(job: Job, offset: number, length: number): Bytes
  copy(job: Job, offset: number, length: number, target?: PlainBuffer): PlainBuffer
  /** It is settled; `signalled`: its signal was asked for. */
  forget(job: Job, signalled: boolean): void
  /** Somebody wants to know when it is lost. */
  watch(job: Job): void
  /** Nobody has settled it: it goes back. */
  unsettled(job: Job, how: string): void
  assertOpen(): void
  closedError(): MillraceError
  lostError(attempt: number): MillraceError
  fail(outcome: number): MillraceError
}

/** How a job was settled. */
export type Settled = 'completed' | 'released' | 'retried' | 'rejected' | 'dropped' | 'lost'

/**
 * What settling a job returns. In memory it is done by then, and there is nothing to wait for. Over a connection it is a promise, which resolves
 * when the queue has it so, and rejects with `LEASE_LOST` or `CLOSED` if the job was somebody else's by then. Who does not await it goes on, and
 * does not hear of that: `await job.complete()` is right everywhere.
 */
export type Settling = void | PromiseLike<void>

/** How a job goes back. */
export interface ReleaseOptions {
  /** Milliseconds in which nobody gets it. Default 0. */
  readonly delay?: number | undefined
}

/** How a job that failed goes back. */
export interface RetryOptions extends ReleaseOptions {
  /** Why it failed: an error (its message), text, or whatever was thrown. Dead letters tell that of their last attempt. */
  readonly error?: unknown
}

/**
 * A job of a {@link WorkQueue}, in the hands of this process until it is settled: by `complete`, `release`, `retry` or `reject`,
 * or by the end of its `using` block, which is a `retry`. Nobody else gets it as long as this process lives, unless the queue
 * has a `leaseTimeout`; if the process dies it is taken again, by whoever is there.
 *
 * Whatever settles throws `ERR_MILLRACE_LEASE_LOST` if the job is somebody else's by then, `RELEASED` if it was settled before,
 * and `CLOSED` if the handle of the queue was closed, which gave it back; over a connection it rejects with them.
 *
 * @example
 * ```ts
 * for await (using job of jobs.take()) {
 *   await resize(job.bytes, job.signal)
 *   await job.complete()
 * }
 * ```
 */
export class Job {
  /** Bytes of the payload. */
  readonly length: number
  /**
   * How often somebody had it in hand, this time included: attempts, and those that gave it back uncounted. Exact up to 2³² - 1; after
   * a power cut (durability `disk`) it begins anew.
   */
  readonly acquired: number
  readonly #leases: Keeper
  readonly #slot: number
  #low: number
  readonly #high: number
  readonly #offset: number
  readonly #pushedLow: number
  readonly #pushedHigh: number
  /** Bits: see `WorkFact.texts`. */
  readonly #has: number
  #begun: boolean
  #settled: Settled | undefined
  #bytes: Bytes | undefined
  #texts: readonly [id: string, group: string, trace?: Uint8Array] | undefined
  #control: AbortController | undefined

  /**
   * Of the facts that `take` has left. `begun`: does this attempt count already?
   *
   * @internal
   */
  constructor(leases: Keeper, facts: Int32Array, begun: boolean) {
    this.#leases = leases
    this.#slot = facts[WorkFact.slot]!
    this.#low = facts[WorkFact.word]!
    this.#high = facts[WorkFact.word + 1]!
    this.#offset = wideAt(facts, WorkFact.offset)
    this.length = facts[WorkFact.length]!
    this.acquired = facts[WorkFact.acquired]!
    this.#pushedLow = facts[WorkFact.pushedAt]!
    this.#pushedHigh = facts[WorkFact.pushedAt + 1]!
    this.#has = facts[WorkFact.texts]!
    this.#begun = begun
  }

  /**
   * The payload, where it lies: nothing was copied. A plain Uint8Array, no Buffer: its `toString` lists numbers. Do not keep it
   * beyond settling: views read whatever comes to lie there then.
   * A call that goes on in the background (`fs.write`, `zlib`, `crypto`) must have ended before, or be given a copy. When the
   * handle of the queue closes, all views become empty.
   *
   * @throws MillraceError `RELEASED` (it was settled), `LEASE_LOST`, `CLOSED`, `UNSUPPORTED_RUNTIME` (Electron: use `copy`)
   */
  get bytes(): Bytes {
    this.#begin()
    this.#assertOurs()
    return (this.#bytes ??= this.#leases.view(this, this.#offset, this.length))
  }

  /** A copy of the payload, which can be kept. Works in every runtime. Errors as `bytes`. */
  copy(): PlainBuffer {
    this.#begin()
    const copy = this.#leases.copy(this, this.#offset, this.length)
    // Of a job that went to somebody else before, or meanwhile, it may be the payload of another.
    this.#assertOurs()
    return copy
  }

  /**
   * Attempts that have begun, this one included: 1 the first time. A death counts, a `release` does not. At most 255, the largest
   * `maxAttempts` there is: with `maxAttempts: Infinity` it stays there, and `acquired` goes on.
   */
  get attempt(): number {
    return Math.min(((this.#low >>> 24) & 0xff) + (this.#begun ? 0 : 1), mostAttempts)
  }

  /** As it was pushed: 0 to 31, the higher ones first. */
  get priority(): number {
    return (this.#low >>> 4) & 31
  }

  /**
   * A number that grows with each lease of the job: for what stands outside the queue and is to refuse whoever comes late with
   * an older one (a fencing token).
   */
  get token(): bigint {
    return BigInt(this.#high >>> 0)
  }

  /** When it was pushed. */
  get pushedAt(): Date {
    return new Date(Math.floor(wide(this.#pushedLow, this.#pushedHigh) / 1e6))
  }

  /** The `id` it was pushed with. */
  get id(): string | undefined {
    return this.#text(0)
  }

  /** The `group` it was pushed with. */
  get group(): string | undefined {
    return this.#text(1)
  }

  /** The context of the trace that it belongs to, as W3C writes it: what it was pushed with, or what whoever looks on has put there. */
  get traceparent(): string | undefined {
    return (this.#has & 2) === 0 ? undefined : traced().unpackTrace(this.#allTexts()[2])
  }

  /** How it was settled; undefined as long as it is in hand. */
  get settled(): Settled | undefined {
    return this.#settled
  }

  /** Aborts when the job is not ours any more before it was settled: the lease was lost, or the handle closed. */
  get signal(): AbortSignal {
    if (this.#control === undefined) {
      this.#control = new AbortController()
      if (this.#settled === 'lost') this.#control.abort(this.#lostError())
      else if (this.#leases.closed) this.#control.abort(this.#leases.closedError())
      else if (this.#settled === undefined) this.#leases.watch(this)
    }
    return this.#control.signal
  }

  /** The job is done: in memory it is gone for good when this returns. Never blocks. */
  complete(): Settling
  /**
   * The job is done, and what it became is a job of `to`, in one step: a process that dies meanwhile has done both, or nothing,
   * so no result is there twice and none is missing. Waits for room in `to`; meanwhile the job is in hand, and nothing else can
   * settle it. If it rejects before the job is `settled`, nothing was done, and the job can be settled otherwise.
   *
   * Both queues need names or files, and this process has both open. Where `to` has durability `disk`, the job ends when its result is on
   * the disk; where this queue has, the call resolves when its end is, too. `signal` and `timeout` end the wait for room, not that for the
   * disk. After a power cut at any moment the result is there, or the job again, or both: never neither. Then the job is done once more; if
   * `to` has a `dedupWindow`, an `id` that follows from the job (`job.id`) makes its result a duplicate, unless the first one has been
   * completed before the cut. A process that is killed doubles nothing, on disk as elsewhere.
   *
   * @throws MillraceError (as rejection) `LEASE_LOST`, `RELEASED`, `CLOSED` (of either queue), `TOO_LARGE`, `TIMEOUT`, `ABORTED`,
   *   `INVALID_ARGUMENT`, `CORRUPT`; with durability `disk` `SYSTEM` or `NO_SPACE` (a disk has failed; if it is that of this queue, the job
   *   is `settled`: it ended, and may come again after a power cut)
   */
  complete(forward: ForwardOptions): Promise<PushResult>
  complete(forward?: ForwardOptions): Settling | Promise<PushResult> {
    if (forward !== undefined) return this.#forward(forward)
    if (this.#settled !== undefined) throw this.#settledError()
    this.#end(this.#leases.complete(this), 'completed')
  }

  /** "I cannot now": it goes back to its old place, and this attempt does not count. */
  release(options?: ReleaseOptions): Settling {
    const delay = time(checkOptions(options, ['delay']), 'delay')
    this.#assertHeld()
    this.#end(this.#leases.release(this, delay), 'released')
  }

  /** "It failed": it goes back to its old place, or becomes a dead letter if this was the last attempt. */
  retry(options?: RetryOptions): Settling {
    const given = checkOptions(options, ['delay', 'error'])
    const delay = time(given, 'delay')
    this.#begin()
    this.#end(this.#leases.retry(this, delay, reasonText(given.error)), 'retried')
  }

  /** "Never again": it becomes a dead letter at once. `reason`: as the `error` of `retry`. */
  reject(reason?: unknown): Settling {
    this.#begin()
    this.#end(this.#leases.reject(this, reasonText(reason)), 'rejected')
  }

  /** The lease ends so many milliseconds from now. In a queue without a `leaseTimeout` it does not end anyway. */
  extend(milliseconds: number): Settling {
    assertGiven(milliseconds, 'milliseconds')
    const more = time({ milliseconds }, 'milliseconds')
    this.#assertHeld()
    this.#still(this.#leases.extend(this, more))
  }

  /**
   * What `using` calls at the end of its block: nothing if the job was settled, otherwise a `retry`. That is a mistake unless an
   * error is on its way, so the process is warned (`MILLRACE_JOB_UNSETTLED`, once for each handle), and `stats().unsettled` counts it.
   */
  [Symbol.dispose](): void {
    if (this.#settled !== undefined || this.#leases.closed) return
    this.#leases.unsettled(this, 'left its `using` block')
  }

  static {
    disposeInEveryContext(this.prototype)
  }

  /** For `JSON.stringify`: what `console.log` shows, without the payload. Never throws. */
  toJSON(): object {
    return jsonOf(this)
  }

  /** @internal What `console.log` shows. */
  [inspected](...how: Inspecting): string {
    return inspection(this.shownAs(), how, () => ({
      queue: this.#leases.name,
      length: this.length,
      attempt: this.attempt,
      acquired: this.acquired,
      priority: this.priority,
      pushedAt: this.pushedAt.toISOString(),
      state: this.#settled ?? (this.#leases.closed ? 'void' : 'held'),
    }))
  }

  /** @internal What it is called there. */
  protected shownAs(): string {
    return 'Job'
  }

  /** @internal Into the facts, for a call about this job. */
  put(facts: Int32Array): void {
    facts[WorkFact.slot] = this.#slot
    facts[WorkFact.word] = this.#low
    facts[WorkFact.word + 1] = this.#high
  }

  /** @internal The view that was made of it, which is watched instead: who has that and lost the job is still reading. */
  get shown(): Bytes | undefined {
    return this.#bytes
  }

  /** @internal What it is called wherever it is carried: the same each time that somebody has it in hand. */
  get origin(): string {
    const when = [this.#pushedHigh, this.#pushedLow]
    // On disk a job may have another slot after a crash of the machine; when it was pushed tells it from all others there.
    return (this.#leases.onDisk ? when : [...when, this.#slot]).join('.')
  }

  /** @internal A copy for whoever carries it elsewhere, and does not work on it: no attempt begins. */
  carried(): PlainBuffer {
    // Nobody transfers it, so it may lie beside others.
    const beside = Buffer.allocUnsafe(this.length)
    const copy = this.#leases.copy(this, this.#offset, this.length, beside)
    this.#assertOurs()
    return copy
  }

  /** @internal Its handler begins: from now on this attempt counts. Throws as settling does. */
  begin(): void {
    this.#begin()
  }

  /** @internal Has somebody asked for its signal, who is to be told? */
  abort(reason: MillraceError): void {
    if (reason.code === 'ERR_MILLRACE_LEASE_LOST') {
      this.#settled ??= 'lost'
      inHand.told?.get(this)?.('lost')
    }
    this.#control?.abort(reason)
  }

  /** @internal It was settled by the queue itself, as far as it was still ours. */
  giveBack(outcome: number): void {
    this.#settled = outcome === 1 ? 'retried' : 'lost'
    this.#forget()
  }

  async #forward(given: ForwardOptions): Promise<PushResult> {
    // What it becomes belongs to the same trace.
    const { traceparent } = this
    const isGiven =
      traceparent === undefined || (given as ForwardOptions | null)?.traceparent !== undefined
    const options = isGiven ? given : { ...given, traceparent }
    if (!sending.yes) return await this.#forwardAs(options)
    const { tracedForward } = tracedWork()
    return await tracedForward(options, (those) => this.#forwardAs(those))
  }

  async #forwardAs(options: ForwardOptions): Promise<PushResult> {
    const wanted = readForward(options)
    const outcome = await this.settleWhenRoom((leases, waits) =>
      leases.forward(this, wanted, waits),
    )
    if (wanted.certain !== undefined) await wanted.certain
    return outcome === 2 ? duplicate : pushed
  }

  /** @internal By a call that is final when it returns. */
  protected settleBy(call: (leases: Keeper) => number, how: Settled): void {
    if (this.#settled !== undefined) throw this.#settledError()
    this.#end(call(this.#leases), how)
  }

  /** @internal By a call that may wait for room: then it calls `waits`, and nothing else can settle the job meanwhile. */
  protected async settleWhenRoom(
    call: (leases: Keeper, waits: () => void) => Promise<number>,
  ): Promise<number> {
    this.#begin()
    let outcome: number
    try {
      outcome = await call(this.#leases, () => {
        this.#settled = 'completed'
      })
    } finally {
      // What has waited was as good as settled for everybody else.
      if (this.#settled === 'completed') this.#settled = undefined
    }
    this.#end(outcome === 2 ? 1 : outcome, 'completed')
    return outcome
  }

  /** The attempt counts from now on. */
  #begin(): void {
    this.#assertHeld()
    if (this.#begun) return
    this.#still(this.#leases.start(this))
    this.#low = this.#leases.facts[WorkFact.word]!
    this.#begun = true
  }

  #text(which: 0 | 1): string | undefined {
    if ((this.#has & 1) === 0) return undefined
    const text = this.#allTexts()[which]
    return text === '' ? undefined : text
  }

  #allTexts(): readonly [id: string, group: string, trace?: Uint8Array] {
    if (this.#texts === undefined) {
      this.#assertHeld()
      this.#texts = this.#leases.texts(this)
      if (this.#texts === undefined) throw this.#lose()
    }
    return this.#texts
  }

  #assertHeld(): void {
    if (this.#settled !== undefined) throw this.#settledError()
    this.#leases.assertOpen()
  }

  /** Where time takes jobs away, what lies there may be another one's by now. */
  #assertOurs(): void {
    if (this.#leases.mayLose) this.#still(this.#leases.holds(this))
  }

  #end(outcome: number, how: Settled): void {
    this.#still(outcome)
    this.#settled = how
    this.#forget()
  }

  /** `outcome`: of a call about the lease. */
  #still(outcome: number): void {
    if (outcome === 1) return
    if (outcome === 0) throw this.#lose()
    throw this.#leases.fail(outcome)
  }

  #lose(): MillraceError {
    this.#settled = 'lost'
    const error = this.#lostError()
    this.#control?.abort(error)
    this.#forget()
    return error
  }

  #forget(): void {
    this.#leases.forget(this, this.#control !== undefined)
    inHand.told?.get(this)?.(this.#settled!)
  }

  #lostError(): MillraceError {
    return this.#leases.lostError(this.attempt)
  }

  #settledError(): MillraceError {
    if (this.#settled === 'lost') return this.#lostError()
    return new MillraceError(
      'ERR_MILLRACE_RELEASED',
      `this job of ${this.#leases.title} was ${this.#settled!} before: settle a job once, and take what you need ` +
        'of it before that',
    )
  }
}

/** @internal The number whose halves are there; small ones stay integers to the engine. */
export function wideAt(facts: Int32Array, at: number): number {
  const low = facts[at]!
  const high = facts[at + 1]!
  return high === 0 && low >= 0 ? low : wide(low, high)
}

function wide(low: number, high: number): number {
  return (high >>> 0) * 2 ** 32 + (low >>> 0)
}
