// The jobs that one handle has in hand: the calls about them, and the account of those that the program forgot.
//
// A job that its program lost would stay in hand as long as the process lives, so it goes back when it is garbage collected, as
// held messages do. To watch a job costs more than to take it, so the newest one is not watched until another is asked for;
// most are settled before.

import { Outcome } from '../addon/outcome.js'
import { durabilities, WorkFact, type NativeWork } from '../addon/work.js'
import { tellDeaths } from '../base/life.js'
import type { Wait } from '../base/options.js'
import { now, startTimer, stopTimer, type Timer } from '../base/time.js'
import type { Bytes, PlainBuffer } from '../base/view-constructor.js'
import { Views } from '../base/views.js'
import { isRefusal, MillraceError } from '../errors.js'
import type { Forward } from './forward.js'
import { wideAt, type Job, type Keeper, type LeaseOf } from './job.js'
import { assertUnchanged } from './options.js'

/** Whose jobs they are. */
export interface Holder {
  readonly name: string
  /** For messages: "work queue 'x'". */
  readonly title: string
  /** Does what is done here go on to somebody else? */
  readonly moves: boolean
  /** Turns an outcome below zero into an error; what is corrupt is closed. */
  fail(outcome: number): MillraceError
  /** Somebody may have been woken. */
  settled(): void
  /**
   * Calls `attempt`, which makes a job of ours a result of that many bytes, until its outcome is another one than that there is
   * no room; calls `waits` before it waits.
   */
  becoming(length: number, attempt: () => number, wait: Wait, waits: () => void): Promise<number>
  /** When all that was done until now is on the disk, where that is promised. */
  certain(): Promise<void> | undefined
  /** Is the memory gone that nobody but a timer looks into now? Then the handle is closed. */
  isDamaged(): boolean
}

/** A job that is watched for being forgotten: what is needed to give it back, and nothing that keeps it. */
class Watched implements LeaseOf {
  readonly #facts = new Int32Array(3)

  constructor(job: Job) {
    job.put(this.#facts)
  }

  put(facts: Int32Array): void {
    facts.set(this.#facts)
  }
}

/** How often a lease that should be over is looked at again, if it was not taken away yet. */
const overdueMs = 50

/** @internal What jobs of a handle are made of. */
export type JobClass<J extends Job> = new (leases: Keeper, facts: Int32Array, begun: boolean) => J

/** What `NativeWork.promise` returns. */
const known = 2
const firstPromise = 3

export class Leases<J extends Job = Job> implements Keeper {
  readonly title: string
  readonly name: string
  readonly facts: Int32Array
  /** Only written here. */
  closed = false
  readonly #native: NativeWork
  readonly #holder: Holder
  readonly #job: JobClass<J>
  readonly #moves: boolean
  readonly #leaseMs: number
  #buffer: ArrayBuffer | undefined
  /** Of jobs that are settled before another is taken. */
  #views: Views | undefined
  #refused = false
  /** Whose signals were asked for. */
  readonly #signalled = new Set<Job>()
  #timer: Timer | undefined
  #newest: Job | undefined
  #registry: FinalizationRegistry<Watched> | undefined
  readonly #watched = new WeakSet<Job>()
  /** Keeps a job as long as somebody has its bytes. */
  #ofView: WeakMap<object, Job> | undefined
  #toldUnsettled = false
  /** Jobs that went back because nobody settled them. */
  unsettledCount = 0
  /** Does whoever takes here keep each job until it is settled? Then none need be watched, which costs as much as to take it. */
  areKept = false

  constructor(holder: Holder, native: NativeWork, job: JobClass<J>) {
    this.#holder = holder
    this.#native = native
    this.#job = job
    this.#moves = holder.moves
    this.title = holder.title
    this.name = holder.name
    this.facts = native.facts
    this.#leaseMs = native.leaseMs
  }

  get mayLose(): boolean {
    return this.#leaseMs > 0
  }

  get onDisk(): boolean {
    return durabilities[this.#native.durability] === 'disk'
  }

  /** The job that `take` has left in the facts. */
  taken(begun: boolean): J {
    if (this.#newest !== undefined && !this.areKept) this.#watch(this.#newest)
    const job = new this.#job(this, this.facts, begun)
    this.#newest = job
    return job
  }

  complete(job: Job): number {
    job.put(this.facts)
    return this.#settle(this.#moves ? this.#native.moveOn() : this.#native.complete())
  }

  drop(job: Job): number {
    job.put(this.facts)
    return this.#settle(this.#native.complete())
  }

  /** See `Keeper`. */
  forward(job: Job, wanted: Forward, waits: () => void): Promise<number> {
    const { target, bytes, facts, wait } = wanted
    const { level, delay, ttl, id, trace } = facts
    if (target.onDisk) return this.#forwardToDisk(job, wanted, waits)
    const attempt = (): number => {
      this.assertOpen()
      job.put(this.facts)
      const outcome = this.#native.forward(bytes, target.native, level, delay, ttl, id, trace)
      if (outcome > 0) wanted.certain = this.#holder.certain()
      return this.#settle(outcome)
    }
    return target.forwarded(bytes.length, attempt, wait, waits)
  }

  /** What the job became is on the disk before the job ends. */
  async #forwardToDisk(job: Job, wanted: Forward, waits: () => void): Promise<number> {
    const { target, bytes, facts, wait } = wanted
    const { level, delay, ttl, id, trace } = facts
    const attempt = (): number => {
      this.assertOpen()
      job.put(this.facts)
      const told = this.#native.promise(bytes, target.native, level, delay, ttl, id, trace)
      if (told > 0) waits()
      return this.#settle(told)
    }
    const told = await target.forwarded(bytes.length, attempt, wait, waits)
    if (told === 0) return told
    const promise = told === known ? undefined : told - firstPromise
    try {
      await target.synced()
      this.assertOpen()
    } catch (error) {
      if (promise !== undefined) target.native.withdraw(promise)
      throw error
    }
    job.put(this.facts)
    const outcome =
      promise === undefined
        ? this.#native.complete()
        : this.#native.keepPromise(target.native, promise)
    this.#settle(outcome)
    if (outcome < 0) throw target.fail(outcome)
    if (outcome > 0) wanted.certain = this.#holder.certain()
    return outcome > 0 && promise === undefined ? known : outcome
  }

  /** See `Keeper`. */
  become(job: Job, bytes: Uint8Array, wait: Wait, waits: () => void): Promise<number> {
    const { length } = bytes
    const attempt = (): number => {
      this.assertOpen()
      assertUnchanged(bytes, length, 'the result of a job')
      job.put(this.facts)
      return this.#settle(this.#native.become(bytes))
    }
    return this.#holder.becoming(length, attempt, wait, waits)
  }

  release(job: Job, delay: number): number {
    job.put(this.facts)
    return this.#settle(this.#native.release(delay))
  }

  retry(job: LeaseOf, delay: number, error: string): number {
    job.put(this.facts)
    return this.#failed(this.#native.retry(delay, error))
  }

  reject(job: Job, error: string): number {
    job.put(this.facts)
    return this.#failed(this.#native.reject(error))
  }

  extend(job: Job, milliseconds: number): number {
    job.put(this.facts)
    const outcome = this.#native.extend(milliseconds)
    if (this.#signalled.has(job)) this.#lookAtLeases(milliseconds)
    return outcome
  }

  start(job: Job): number {
    job.put(this.facts)
    return this.#native.start()
  }

  holds(job: Job): number {
    job.put(this.facts)
    return this.#native.holds()
  }

  texts(job: Job): readonly [string, string, Uint8Array?] | undefined {
    job.put(this.facts)
    return this.#native.texts()
  }

  /** What a loan, whose place is in the facts, shows. */
  loaned(length: number): Bytes {
    const offset = wideAt(this.facts, WorkFact.offset)
    return new Uint8Array((this.#buffer ??= this.#native.buffer()), offset, length)
  }

  view(job: Job, offset: number, length: number): Bytes {
    if (job === this.#newest) {
      this.#views ??= new Views((this.#buffer ??= this.#native.buffer()))
      return this.#views.of(offset, length)
    }
    const bytes = new Uint8Array((this.#buffer ??= this.#native.buffer()), offset, length)
    if (this.#watched.has(job)) this.#keepWith(bytes, job)
    return bytes
  }

  copy(job: Job, offset: number, length: number, target?: PlainBuffer): PlainBuffer {
    job.put(this.facts)
    return this.copyOf(offset, length, target)
  }

  /** The payload of the job in the facts, in memory that nothing else has, if none is given. */
  copyOf(
    offset: number,
    length: number,
    copy: PlainBuffer = Buffer.allocUnsafeSlow(length),
  ): PlainBuffer {
    const memory = this.#memory()
    if (memory !== undefined) {
      copy.set(new Uint8Array(memory, offset, length))
      return copy
    }
    const outcome = this.#native.copyOut(copy)
    if (outcome < 0) throw this.fail(outcome)
    return copy
  }

  /** Undefined where memory cannot be borrowed (Electron). */
  #memory(): ArrayBuffer | undefined {
    if (this.#buffer !== undefined || this.#refused) return this.#buffer
    try {
      this.#buffer = this.#native.buffer()
    } catch (error) {
      if (!isRefusal(error)) throw error
      this.#refused = true
    }
    return this.#buffer
  }

  /** It is settled; `signalled`: its signal was asked for. */
  forget(job: Job, signalled: boolean): void {
    if (this.#newest === job) this.#newest = undefined
    else if (this.#watched.delete(job)) this.#registry?.unregister(job)
    if (!signalled || !this.#signalled.delete(job)) return
    if (this.#signalled.size === 0) this.#endTimer()
  }

  /** Somebody wants to know when it is lost. */
  watch(job: Job): void {
    this.#signalled.add(job)
    if (this.#leaseMs > 0) this.#lookAtLeases(this.#leaseMs)
  }

  /** Nobody has settled it: it goes back. */
  unsettled(job: Job, how: string): void {
    this.#tellUnsettled(how)
    job.giveBack(this.retry(job, 0, `it ${how} without having been settled`))
  }

  /** All that were in hand went back, because the handle is closed. */
  close(): void {
    this.closed = true
    this.#buffer = undefined
    this.#views = undefined
    this.#newest = undefined
    this.#endTimer()
    if (this.#signalled.size === 0) return
    const error = this.closedError()
    const jobs = [...this.#signalled]
    this.#signalled.clear()
    for (const job of jobs) job.abort(error)
  }

  assertOpen(): void {
    if (this.closed) throw this.closedError()
  }

  closedError(): MillraceError {
    return new MillraceError(
      'ERR_MILLRACE_CLOSED',
      `${this.title} is closed here, which gave this job back: settle jobs before, or close with \`drainOnClose\``,
    )
  }

  lostError(attempt: number): MillraceError {
    return new MillraceError(
      'ERR_MILLRACE_LEASE_LOST',
      `this job of ${this.title} (attempt ${String(attempt)}) is not ours any more: its lease was over, and it went ` +
        'to somebody else; what was done for it may be done again. Call extend() in time, or open the queue with a longer ' +
        'leaseTimeout, or none',
    )
  }

  fail(outcome: number): MillraceError {
    return outcome === Outcome.closed ? this.closedError() : this.#holder.fail(outcome)
  }

  /** It may be a dead letter now. */
  #failed(outcome: number): number {
    tellDeaths()
    return this.#settle(outcome)
  }

  #settle(outcome: number): number {
    this.#holder.settled()
    return outcome
  }

  #lookAtLeases(inMs: number): void {
    if (this.#timer !== undefined && this.#timer.due <= now() + inMs) return
    this.#endTimer()
    this.#timer = startTimer(inMs, () => {
      this.#timer = undefined
      if (this.closed || this.#holder.isDamaged()) return
      // Whoever looks takes away what is over, also from ourselves.
      this.#native.look()
      this.#holder.settled()
      for (const job of [...this.#signalled]) {
        if (this.holds(job) === 1) continue
        job.abort(this.lostError(job.attempt))
        this.forget(job, true)
      }
      if (this.#signalled.size > 0) this.#lookAtLeases(Math.min(overdueMs, this.#leaseMs))
    })
  }

  #endTimer(): void {
    stopTimer(this.#timer)
    this.#timer = undefined
  }

  /** From now on it is for the garbage collector to say whether anybody still has it. */
  #watch(job: Job): void {
    this.#newest = undefined
    this.#registry ??= new FinalizationRegistry((lost) => {
      this.#forgotten(lost)
    })
    this.#registry.register(job, new Watched(job), job)
    this.#watched.add(job)
    if (job.shown === undefined) return
    // Who has that view has the job.
    this.#views?.leave(job.shown)
    this.#keepWith(job.shown, job)
  }

  #keepWith(view: object, job: Job): void {
    this.#ofView ??= new WeakMap()
    this.#ofView.set(view, job)
  }

  #forgotten(job: Watched): void {
    if (this.closed || this.#holder.isDamaged()) return
    this.#tellUnsettled('was garbage collected')
    this.retry(job, 0, 'it was garbage collected without having been settled')
  }

  #tellUnsettled(how: string): void {
    this.unsettledCount++
    if (this.#toldUnsettled) return
    this.#toldUnsettled = true
    process.emitWarning(
      `a job of ${this.title} ${how} without having been settled; it is tried again, which counts as an attempt: ` +
        'call complete(), release(), retry() or reject()',
      { code: 'MILLRACE_JOB_UNSETTLED' },
    )
  }
}
