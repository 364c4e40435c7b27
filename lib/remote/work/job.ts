// A job that is in the hands of a connection.

import { disposeInEveryContext } from '../../base/disposal.js'
import { reasonText } from '../../base/failure.js'
import { inspected, inspection, jsonOf, type Inspecting } from '../../base/inspection.js'
import { checkOptions } from '../../base/options.js'
import { inHand, traced } from '../../base/tracing.js'
import type { Bytes, PlainBuffer } from '../../base/view-constructor.js'
import { MillraceError } from '../../errors.js'
import type { ForwardOptions } from '../../work/forward.js'
import type { Job, ReleaseOptions, RetryOptions, Settled } from '../../work/job.js'
import type { PushResult } from '../../work/loan.js'
import { assertGiven, time } from '../../work/options.js'
import type { JobFacts, SettleFacts } from './contract.js'
import { unsupported } from '../unsupported.js'

/** Who has the jobs of a connection. */
export interface RemoteKeeper {
  /** For messages: "work queue 'tcp://…'". */
  readonly title: string
  readonly name: string
  readonly closed: boolean
  /** Resolves when the queue has it so. */
  settle(facts: SettleFacts): Promise<void>
  forget(job: RemoteJob): void
  unsettled(job: RemoteJob): void
  closedError(): MillraceError
}

/**
 * A {@link Job} whose queue is elsewhere. What settles it returns a promise, which resolves when the queue has it so; a program that is
 * to run anywhere awaits it.
 */
export class RemoteJob {
  readonly length: number
  readonly acquired: number
  readonly attempt: number
  readonly priority: number
  readonly id: string | undefined
  readonly group: string | undefined
  /** @internal Its number on its connection. */
  readonly lease: number
  /** @internal What it is called wherever it is carried; undefined: nobody can say. */
  readonly origin: string | undefined
  /** @internal What a gateway sent along, through an engine. */
  readonly headers: Readonly<Record<string, string>> | undefined
  readonly #keeper: RemoteKeeper
  readonly #bytes: Uint8Array
  readonly #facts: JobFacts
  #settled: Settled | undefined
  #begun = false
  #control: AbortController | undefined
  #lost: MillraceError | undefined

  constructor(keeper: RemoteKeeper, facts: JobFacts, bytes: Uint8Array) {
    this.#keeper = keeper
    this.#bytes = bytes
    this.#facts = facts
    this.length = bytes.length
    this.lease = facts.lease
    this.attempt = facts.attempt
    this.acquired = facts.acquired
    this.priority = facts.priority
    this.id = facts.id
    this.group = facts.group
    this.origin = facts.origin
    this.headers = facts.headers
  }

  get token(): bigint {
    return BigInt(this.#facts.token)
  }

  get pushedAt(): Date {
    return new Date(this.#facts.pushedAt)
  }

  get traceparent(): string | undefined {
    const traceparent = this.headers?.['traceparent']
    // What others have written there may be none.
    const isContext = traceparent !== undefined && traced().packTrace(traceparent) !== undefined
    return isContext ? traceparent : undefined
  }

  /** @internal The bytes, for whoever carries the job elsewhere, and does not work on it: no attempt begins. */
  carried(): Uint8Array {
    return this.#bytes
  }

  get bytes(): Bytes {
    this.begin()
    return this.#bytes as Bytes
  }

  copy(): PlainBuffer {
    this.begin()
    const copy = Buffer.allocUnsafeSlow(this.length)
    copy.set(this.#bytes)
    return copy
  }

  get settled(): Settled | undefined {
    return this.#settled
  }

  get signal(): AbortSignal {
    if (this.#control === undefined) {
      this.#control = new AbortController()
      if (this.#lost !== undefined) this.#control.abort(this.#lost)
    }
    return this.#control.signal
  }

  complete(): Promise<void>
  complete(forward: ForwardOptions): Promise<PushResult>
  complete(forward?: ForwardOptions): Promise<void | PushResult> {
    if (forward !== undefined) {
      return Promise.reject(
        unsupported(
          `complete({ to }) of ${this.#keeper.title}`,
          'the two queues are not in the memory of one machine: push the result with an id that follows from the job, and complete() the job then',
        ),
      )
    }
    return this.#end('completed', { how: 'complete', lease: this.lease })
  }

  release(options?: ReleaseOptions): Promise<void> {
    const delay = time(checkOptions(options, ['delay']), 'delay')
    return this.#end('released', { how: 'release', lease: this.lease, delay })
  }

  retry(options?: RetryOptions): Promise<void> {
    const given = checkOptions(options, ['delay', 'error'])
    const delay = time(given, 'delay')
    const error = reasonText(given.error)
    return this.#end('retried', { how: 'retry', lease: this.lease, delay, error })
  }

  reject(reason?: unknown): Promise<void> {
    return this.#end('rejected', { how: 'reject', lease: this.lease, error: reasonText(reason) })
  }

  extend(milliseconds: number): Promise<void> {
    assertGiven(milliseconds, 'milliseconds')
    const more = time({ milliseconds }, 'milliseconds')
    const over = this.#over()
    if (over !== undefined) return over
    return this.#tell({ how: 'extend', lease: this.lease, milliseconds: more })
  }

  [Symbol.dispose](): void {
    if (this.#settled !== undefined || this.#keeper.closed) return
    this.#keeper.unsettled(this)
    void this.retry({ error: 'its worker left it unsettled' })
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
    return inspection('Job', how, () => ({
      queue: this.#keeper.name,
      length: this.length,
      attempt: this.attempt,
      acquired: this.acquired,
      priority: this.priority,
      pushedAt: this.pushedAt.toISOString(),
      state: this.#settled ?? (this.#keeper.closed ? 'void' : 'held'),
    }))
  }

  /** @internal It is done, which whoever has the jobs says of several at a time. False: it is not ours any more. */
  completed(): boolean {
    if (this.#lost !== undefined || this.#settled !== undefined || this.#keeper.closed) return false
    this.#settled = 'completed'
    inHand.told?.get(this)?.('completed')
    this.#keeper.forget(this)
    return true
  }

  /** @internal From now on this attempt counts, whatever becomes of the connection. */
  begin(): void {
    this.#assertHeld()
    if (this.#begun) return
    this.#begun = true
    void this.#tell({ how: 'begin', lease: this.lease })
  }

  /** @internal It is not in our hands any more. */
  lose(reason: MillraceError): void {
    if (this.#settled !== undefined || this.#lost !== undefined) return
    this.#lost = reason
    if (reason.code === 'ERR_MILLRACE_LEASE_LOST') this.#settled = 'lost'
    inHand.told?.get(this)?.('lost')
    this.#control?.abort(reason)
  }

  #end(how: Settled, facts: SettleFacts): Promise<void> {
    const over = this.#over()
    if (over !== undefined) return over
    this.#settled = how
    inHand.told?.get(this)?.(how)
    this.#keeper.forget(this)
    return this.#tell(facts)
  }

  #tell(facts: SettleFacts): Promise<void> {
    const told = this.#keeper.settle(facts).catch((error: unknown) => {
      if (error instanceof MillraceError && error.code === 'ERR_MILLRACE_LEASE_LOST') {
        this.#settled = 'lost'
        this.#lost ??= error
        this.#control?.abort(error)
      }
      throw error
    })
    // Who does not wait for it takes it for what a job of this machine's does, and is told by the signal.
    told.catch(() => undefined)
    return told
  }

  /**
   * What settling comes to when the job is not ours any more. It may have become so at any moment, so that is told as everything else about
   * settling is: who does not wait for it goes on with the next job, and this one is done by somebody else.
   */
  #over(): Promise<never> | undefined {
    const error = this.#lost ?? (this.#keeper.closed ? this.#keeper.closedError() : undefined)
    if (error === undefined) {
      this.#assertHeld()
      return undefined
    }
    const over = Promise.reject(error)
    over.catch(() => undefined)
    return over
  }

  #assertHeld(): void {
    if (this.#lost !== undefined) throw this.#lost
    if (this.#settled !== undefined) {
      throw new MillraceError(
        'ERR_MILLRACE_RELEASED',
        `this job of ${this.#keeper.title} was ${this.#settled} before: settle a job once, and take what you need of it before that`,
      )
    }
    if (this.#keeper.closed) throw this.#keeper.closedError()
  }
}

/** What a program sees of a job. */
export type PublicOfJob = Exclude<
  keyof Job,
  'put' | 'shown' | 'abort' | 'giveBack' | 'begin' | 'origin' | 'carried' | typeof inspected
>

/** What a program sees of one is what it sees of the other. */
export function asJob(job: RemoteJob): Pick<Job, PublicOfJob> {
  return job
}
