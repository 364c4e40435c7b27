// The side of a work queue that pushes.

import { Outcome } from '../addon/outcome.js'
import type { NativeWork } from '../addon/work.js'
import { block, blockingNames, readBlocking } from '../base/blocking.js'
import { bytesOf, type ByteSource } from '../base/bytes.js'
import { fairly } from '../base/fairness.js'
import {
  readWait,
  show,
  wholeNumber,
  type Tuning,
  type Wait,
  type WaitOptions,
} from '../base/options.js'
import { sending } from '../base/tracing.js'
import type { Attempt } from '../base/waiter.js'
import { hasCode, invalidArgument, MillraceError, timeoutError } from '../errors.js'
import { offer } from './forward.js'
import type { Job } from './job.js'
import { duplicate, LoanWatch, pushed, WorkLoan, type Lender, type PushResult } from './loan.js'
import {
  assertGiven,
  assertUnchanged,
  checkJobOptions,
  readJob,
  readPush,
  readPushSync,
  type JobFacts,
  type JobOptions,
  type PushOptions,
  type PushSyncOptions,
} from './options.js'
import { tracedWork } from './tracing-work.js'
import { WorkHandle, type Post } from './work-handle.js'

export abstract class JobPusher<J extends Job = Job> extends WorkHandle<J> {
  /** @internal */
  protected constructor(name: string, native: NativeWork, tuning: Tuning, post: Post<J>) {
    super(name, native, tuning, post)
    offer(this, {
      native,
      onDisk: this.#onDisk,
      synced: () => this.syncer.sync(),
      fail: (outcome) => this.fail(outcome),
      forwarded: (length, attempt, wait, waits) => this.#forwarded(length, attempt, wait, waits),
    })
  }

  /**
   * Pushes a job, waiting for room without blocking the event loop. When it resolves the job is there, whatever becomes of this
   * process; with durability `disk`, also whatever becomes of the machine. Do not change the bytes before.
   *
   * @throws MillraceError (as rejection) `TOO_LARGE` (there could never be room: the message tells the limit), `CLOSED`,
   *   `ABORTED`, `TIMEOUT`, `INVALID_ARGUMENT`, `CORRUPT`; with durability `disk` `SYSTEM` or `NO_SPACE` (the disk has failed:
   *   the push that finds out has left its job in the queue, all later ones leave nothing; see `flush`)
   */
  push(payload: ByteSource, options?: PushOptions): Promise<PushResult> {
    return sending.yes
      ? tracedWork().tracedPush(this, payload, options, (those) => this.pushUnseen(payload, those))
      : this.pushUnseen(payload, options)
  }

  /** @internal The same, and nobody who looks on sees it. */
  pushUnseen(payload: ByteSource, options?: PushOptions): Promise<PushResult> {
    try {
      if (options === undefined) {
        const bytes =
          payload instanceof Uint8Array && payload.length > 0 ? payload : asBytes(payload)
        // What costs least is what is asked for most.
        if (!this.roomWaits.occupied && !this.closed) {
          const outcome = this.native.tryPush(bytes)
          if (outcome === 0) {
            this.settled()
            return this.#confirmed(pushed)
          }
        }
        return this.#push(bytes, plain, readWait(undefined))
      }
      const { facts, wait } = readPush(options, this.native)
      return this.#push(asBytes(payload), facts, wait)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** @internal A gateway takes here: it keeps each job until it is settled, and asks for no views. */
  keepJobs(): void {
    this.leases.areKept = true
  }

  /**
   * @internal As `push` without a group, of a gateway that has judged the id, without a promise. Undefined: that cannot be done at once;
   * `push` waits for it, or says why it cannot be done at all.
   */
  pushAtOnce(bytes: Uint8Array, level: number, id: string): PushResult | undefined {
    if (sending.yes || this.#onDisk || this.roomWaits.occupied || this.closed) return undefined
    const outcome = this.native.tryPushWith(bytes, level, 0, 0, id, '', undefined)
    this.settled()
    if (outcome === 0) return pushed
    return outcome === 1 ? duplicate : undefined
  }

  /**
   * Pushes a job if there is room now, and no earlier `push` of this handle waits for some. Never blocks. True: it is there, or
   * its `id` was pushed before within the `dedupWindow` (`push` tells the difference). With durability `disk` `flush` tells when
   * it is on the disk.
   *
   * @throws MillraceError `TOO_LARGE`, `CLOSED`, `INVALID_ARGUMENT`, `CORRUPT`; with durability `disk` `SYSTEM` or `NO_SPACE`
   *   (the disk has failed; nothing was pushed)
   */
  tryPush(payload: ByteSource, options?: JobOptions): boolean {
    const facts = options === undefined ? plain : readJob(checkJobOptions(options), this.native)
    const bytes = asBytes(payload)
    this.assertOpen()
    return !this.roomWaits.occupied && this.#pushNow(bytes, facts) !== undefined
  }

  /** As `push`, blocking this thread; for Workers. Errors are thrown; `BUSY` while `push` calls of this handle wait. */
  pushSync(payload: ByteSource, options: PushSyncOptions = {}): PushResult {
    const facts = readPushSync(options, this.native)
    const wait = readBlocking(only(options, blockingNames))
    const bytes = asBytes(payload)
    this.assertOpen()
    if (this.roomWaits.occupied) throw this.busy('push')
    let result: PushResult | undefined
    const done = block(
      this.roomWaits,
      this.#full,
      wait,
      this.#looking(() => result ?? this.#pushNow(bytes, facts)),
      (spin, timeout) => {
        const { level, delay, ttl, id, group, trace } = facts
        const outcome = this.native.waitForRoom(
          ...([bytes, level, delay, ttl, id, group] as const),
          ...([spin, timeout, trace] as const),
        )
        this.settled()
        result = this.#pushedOr(outcome, bytes.length)
        return result !== undefined
      },
    )
    if (this.#onDisk) this.native.flushNow()
    return done
  }

  /**
   * Pushes all of them in order, each as `push` does, with the same options (an `id` would make all but the first duplicates, so
   * there is none). Resolves with how many there are. If it is aborted or fails while it waits, the first part was pushed.
   *
   * @throws MillraceError (as rejection) as `push`; the message begins with the place of the one that was refused: `payloads[2]: …`
   */
  async pushBatch(
    payloads: readonly ByteSource[],
    options?: Omit<PushOptions, 'id'>,
  ): Promise<number> {
    if (!sending.yes) return await this.#pushBatch(payloads, options)
    const { tracedBatch } = tracedWork()
    return await tracedBatch(this, payloads, options, (those) => this.#pushBatch(payloads, those))
  }

  async #pushBatch(
    payloads: readonly ByteSource[],
    options?: Omit<PushOptions, 'id'>,
  ): Promise<number> {
    const { facts, wait } = readPush(options, this.native)
    if (facts.id !== '') {
      throw invalidArgument('id: jobs of one batch cannot have the same one; push them one by one')
    }
    if (!Array.isArray(payloads)) {
      throw invalidArgument(`payloads must be an array of payloads, not ${show(payloads)}`)
    }
    const all = (payloads as readonly ByteSource[]).map((payload, i) =>
      ofPayload(i, () => {
        const bytes = asBytes(payload)
        if (bytes.length > this.native.maxBytes) throw this.#tooLarge(bytes.length)
        return bytes
      }),
    )
    const lengths = all.map(({ length }) => length)
    this.assertOpen()
    let done = 0
    const some = (): number | undefined => {
      for (; done < all.length; done++) {
        const bytes = all[done]!
        const result = ofPayload(done, () => {
          assertUnchanged(bytes, lengths[done]!)
          return this.#pushNow(bytes, facts)
        })
        if (result === undefined) break
      }
      return done === all.length ? done : undefined
    }
    if (!this.roomWaits.occupied && some() !== undefined) return await this.#confirmed(done)
    const count = await this.#whenRoom(some, wait)
    if (this.#onDisk) await this.syncer.sync()
    return count
  }

  /**
   * Room for a payload of that many bytes, to be written in place, if there is some now.
   *
   * @throws MillraceError `TOO_LARGE`, `CLOSED`, `INVALID_ARGUMENT`, `UNSUPPORTED_RUNTIME`, `CORRUPT`; with durability `disk`
   *   `SYSTEM` or `NO_SPACE` (the disk has failed)
   */
  tryLoan(length: number): WorkLoan | undefined {
    assertGiven(length, 'length')
    const bytes = wholeNumber({ length }, 'length', 0, [0, Number.MAX_SAFE_INTEGER])
    this.assertOpen()
    return this.roomWaits.occupied ? undefined : this.#loanNow(bytes)
  }

  /** As `tryLoan`, waiting for room. Rejects `ABORTED` and `TIMEOUT` as well. */
  async loan(length: number, options?: WaitOptions): Promise<WorkLoan> {
    const wait = readWait(options)
    const found = this.tryLoan(length)
    if (found !== undefined) return await fairly(found)
    return await this.#whenRoom(() => this.#loanNow(length), wait)
  }

  /** Is a push confirmed only when it is on the disk? */
  readonly #onDisk = this.durability === 'disk'
  /** Made with the first loan. */
  #loans: LoanWatch | undefined
  #toldForgotten = false
  /** Of what fills loans. */
  readonly #onClose = new Set<() => void>()

  /** Made once, so that a loan costs no closure. */
  readonly #lender: Lender = {
    name: this.name,
    isClosed: () => this.closed,
    pushLoan: (loan, length, options, judged) => this.#pushLoan(loan, length, options, judged),
    cancelLoan: (loan) => {
      this.native.cancelLoan(loan)
      this.settled()
    },
    assertOpen: () => {
      this.assertOpen()
    },
    ended: (loan) => {
      this.#loans?.end(loan)
    },
    onClose: (callback) => {
      this.#onClose.add(callback)
      return () => this.#onClose.delete(callback)
    },
  }

  /** @internal What fills a loan ends before its memory goes. */
  protected override closeNative(): void {
    for (const told of [...this.#onClose]) told()
    super.closeNative()
  }

  #push(bytes: Uint8Array, facts: JobFacts, wait: Wait): Promise<PushResult> {
    this.assertOpen()
    if (!this.roomWaits.occupied) {
      const result = this.#pushNow(bytes, facts)
      if (result !== undefined) return this.#confirmed(result)
    }
    const { length } = bytes
    const done = this.#whenRoom(() => {
      assertUnchanged(bytes, length)
      return this.#pushNow(bytes, facts)
    }, wait)
    return this.#onDisk ? done.then((result) => this.#confirmed(result)) : done
  }

  /** What was done, when it is certain: on the disk where that is promised. */
  #confirmed<T>(result: T): Promise<T> {
    return this.#onDisk ? this.syncer.sync().then(() => result) : fairly(result)
  }

  /** What `attempt` finds when there is room for it; those who wait are served in order. */
  #whenRoom<T>(attempt: () => ReturnType<Attempt<T>>, wait: Wait): Promise<T> {
    return this.roomWaits.wait(this.#full, this.#looking(attempt), wait)
  }

  #looking<T>(attempt: () => ReturnType<Attempt<T>>): Attempt<T> {
    return (thorough) => {
      if (thorough) this.look()
      return attempt()
    }
  }

  /** Undefined: there is no room now. */
  #pushNow(bytes: Uint8Array, facts: JobFacts): PushResult | undefined {
    const { native: handle } = this
    const outcome = facts === plain ? handle.tryPush(bytes) : this.#pushAs(bytes, facts)
    this.settled()
    return this.#pushedOr(outcome, bytes.length)
  }

  #pushAs(bytes: Uint8Array, { level, delay, ttl, id, group, trace }: JobFacts): number {
    return this.native.tryPushWith(bytes, level, delay, ttl, id, group, trace)
  }

  #pushedOr(outcome: number, length: number): PushResult | undefined {
    if (outcome === 0) return pushed
    if (outcome === 1) return duplicate
    this.contended = outcome === Outcome.busy
    if (outcome === Outcome.wouldBlock || outcome === Outcome.busy) return undefined
    throw outcome === Outcome.tooLarge ? this.#tooLarge(length) : this.fail(outcome)
  }

  /** See `Target`. */
  async #forwarded(
    length: number,
    attempt: () => number,
    wait: Wait,
    waits: () => void,
  ): Promise<number> {
    this.assertOpen()
    const now = (): number | undefined => {
      const outcome = attempt()
      this.settled()
      if (outcome >= 0) return outcome
      this.#pushedOr(outcome, length)
      return undefined
    }
    if (!this.roomWaits.occupied) {
      const outcome = now()
      if (outcome !== undefined) return outcome
    }
    waits()
    return await this.#whenRoom(now, wait)
  }

  /**
   * @internal See `Holder`. Results do not wait for one another, nor for pushes: what one of them has room for may be what lets the
   * others go on.
   */
  protected override async becoming(
    length: number,
    attempt: () => number,
    wait: Wait,
    waits: () => void,
  ): Promise<number> {
    const now = (): number | undefined => {
      const outcome = attempt()
      if (outcome === Outcome.wouldBlock) return undefined
      if (outcome >= 0) return outcome
      if (outcome === Outcome.tooLarge) throw this.#resultTooLarge(length)
      if (outcome === Outcome.invalid) throw this.#noResult()
      throw this.fail(outcome)
    }
    const outcome = now()
    if (outcome !== undefined) return outcome
    waits()
    return await this.roomWaits.waitAside(this.#noResultRoom, this.#looking(now), wait)
  }

  #loanNow(length: number): WorkLoan | undefined {
    const loan = this.native.tryLoan(length)
    this.settled()
    if (loan < 0) {
      this.#pushedOr(loan, length)
      return undefined
    }
    try {
      const bytes = this.leases.loaned(length)
      const lent = new WorkLoan(this.#lender, loan, bytes)
      this.#loans ??= new LoanWatch((index) => {
        this.#forgotten(index)
      })
      this.#loans.add(lent, loan, bytes)
      return lent
    } catch (error) {
      this.native.cancelLoan(loan)
      throw error
    }
  }

  #forgotten(loan: number): void {
    if (this.closed || this.roomWaits.damage() !== undefined) return
    this.native.cancelLoan(loan)
    this.settled()
    // Nobody wakes a handle for room that it has made itself.
    if (this.roomWaits.occupied) this.roomWaits.lookAgain()
    if (this.#toldForgotten) return
    this.#toldForgotten = true
    process.emitWarning(
      `a loan of ${this.title} was garbage collected, neither pushed nor cancelled; its room was given back: ` +
        '`using loan = await queue.loan(length)` does that when the code throws',
      { code: 'MILLRACE_LOAN_FORGOTTEN' },
    )
  }

  #pushLoan(loan: number, length: number, options: JobOptions, judged: () => void): boolean {
    const { level, delay, ttl, id, group, trace } = readJob(checkJobOptions(options), this.native)
    judged()
    const outcome = this.native.pushLoan(loan, length, level, delay, ttl, id, group, trace)
    this.settled()
    if (outcome === Outcome.tooLarge) throw this.#textsTooLong()
    const result = this.#pushedOr(outcome, length)
    if (result === undefined) throw this.#contendedError()
    return !result.duplicate
  }

  #tooLarge(length: number): MillraceError {
    return new MillraceError(
      'ERR_MILLRACE_TOO_LARGE',
      `a job of ${String(length)} bytes (with its id and group) does not fit ${this.title}, whose limit is ` +
        `${String(this.maxBytes)} bytes; create it with more \`bytes\`, or push where the bytes are`,
    )
  }

  #resultTooLarge(length: number): MillraceError {
    return new MillraceError(
      'ERR_MILLRACE_TOO_LARGE',
      `a result of ${String(length)} bytes (with the id and group of its job) is too large for what comes after ${this.source}, ` +
        `whose limit is ${String(this.native.resultMost ?? 0)} bytes; create the pipeline with more \`bytes\`, of which each stage has a ` +
        'share, or hand on where the bytes are',
    )
  }

  #noResult(): MillraceError {
    return invalidArgument(
      `${this.source} is the last one, and nobody takes what a job becomes there: complete() it`,
    )
  }

  #textsTooLong(): MillraceError {
    return new MillraceError(
      'ERR_MILLRACE_TOO_LARGE',
      `the id and the group do not fit this loan of ${this.title}, beside whose bytes there is room for 240 bytes of them, and ` +
        'none beside the largest: take shorter ones, or `push` the bytes instead',
    )
  }

  #contendedError(): MillraceError {
    return new MillraceError(
      'ERR_MILLRACE_BUSY',
      `${this.title} is busy: another process is in the middle of a push with an id or a group like this; try again`,
    )
  }

  readonly #full = (timeout: number): MillraceError =>
    timeoutError(
      `room in ${this.title}`,
      timeout,
      this.contended
        ? 'another process is in the middle of a push with an id or a group like this: see whether it is stopped'
        : 'its workers settle too little of what is in it: start more of them, or create it with more jobs and bytes',
    )

  readonly #noResultRoom = (timeout: number): MillraceError =>
    timeoutError(
      `room for a result of ${this.source}`,
      timeout,
      'the stages behind it settle too little: start more workers for them, or create the pipeline with more bytes',
    )
}

const plain: JobFacts = { level: 0, delay: 0, ttl: 0, id: '', group: '', trace: undefined }

/** Says of which payload of a batch an error is that is about it, and not about the queue. */
function ofPayload<T>(index: number, act: () => T): T {
  try {
    return act()
  } catch (error) {
    if (
      !hasCode(error, 'ERR_MILLRACE_INVALID_ARGUMENT') &&
      !hasCode(error, 'ERR_MILLRACE_TOO_LARGE')
    ) {
      throw error
    }
    const { code, message } = error as MillraceError
    throw new MillraceError(code, `payloads[${String(index)}]: ${message}`, { cause: error })
  }
}

const asBytes = (payload: ByteSource): Uint8Array => bytesOf(payload, 'a payload')

/** Those of the options that another reader knows. */
function only(options: object, names: readonly string[]): object {
  const all = options as Readonly<Record<string, unknown>>
  return Object.fromEntries(names.map((name) => [name, all[name]]))
}
