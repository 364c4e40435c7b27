// A work queue whose memory is elsewhere: the same class to its user, over a connection to a process that shares the queue.

import { bytesOf, type ByteSource } from '../../base/bytes.js'
import { disposeInEveryContext } from '../../base/disposal.js'
import { inspected, inspection, jsonOf, type Inspecting } from '../../base/inspection.js'
import { iterate, type Iteration, type IterationOptions } from '../../base/iteration.js'
import { checkFunction, readWait, show, wholeNumber, type WaitOptions } from '../../base/options.js'
import { selectable, type Readiness } from '../../base/selectable.js'
import { now } from '../../base/time.js'
import { processing, receiving, sending } from '../../base/tracing.js'
import type { PlainBuffer } from '../../base/view-constructor.js'
import type { PushTold } from '../../engines/port.js'
import { closedError, hasCode, invalidArgument, MillraceError } from '../../errors.js'
import type { DeadLetters } from '../../work/dead-letters.js'
import type { Job } from '../../work/job.js'
import type { PushResult, WorkLoan } from '../../work/loan.js'
import {
  assertGiven,
  readJob,
  readPush,
  type Durability,
  type JobFacts,
  type JobOptions,
  type PushOptions,
} from '../../work/options.js'
import type { SeenPlace } from '../../work/seen-place.js'
import { tracedWork } from '../../work/tracing-work.js'
import type { WorkStats } from '../../work/stats.js'
import type { WorkTraits } from '../../work/traits.js'
import type { WorkQueue } from '../../work/work-queue.js'
import type { WorkParts } from '../../work/elsewhere.js'
import type { JobHandler, Loop, WorkOptions } from '../../work/working.js'
import type { ConnectionStatus } from '../../net/connection-status.js'
import { unsupported } from '../unsupported.js'
import type { QueueFacts } from './contract.js'
import type { RemoteJob } from './job.js'
import { RemoteLoan } from './loan.js'
import { WorkSession, type RemoteWorkOptions } from './session.js'

const limits = { levels: 32, groups: Infinity }
type Face = Omit<
  Pick<WorkQueue, keyof WorkQueue>,
  'recheck' | 'tryTakeBatch' | 'ref' | 'unref' | 'pushAtOnce' | 'keepJobs'
>

/** Made by `WorkQueue.open` with an address that is not this machine's memory. */
export class RemoteWorkQueue implements Face {
  readonly name: string
  readonly path: string
  readonly #title: string
  readonly #parts: WorkParts
  readonly #traits: Partial<WorkTraits> | undefined
  readonly #session: WorkSession
  readonly #running = new Set<Loop>()
  #ending: Promise<void> | undefined

  constructor(options: RemoteWorkOptions) {
    const { address, title, parts, traits } = options
    this.#parts = parts
    this.#traits = traits
    this.name = this.path = address
    this.#title = title
    this.#session = new WorkSession(options)
  }

  static {
    Object.defineProperty(this.prototype, Symbol.for('millrace.work-queue'), { value: true })
  }

  // What the queue is

  get jobs(): number {
    return this.#known('jobs').jobs
  }
  get bytes(): number {
    return this.#known('bytes').bytes
  }
  get maxBytes(): number {
    return this.#known('maxBytes').maxBytes
  }
  get priorities(): number {
    return this.#known('priorities').priorities
  }
  get seats(): number {
    return this.#known('seats').seats
  }
  get maxAttempts(): number {
    const { maxAttempts } = this.#known('maxAttempts')
    return maxAttempts === 0 ? Infinity : maxAttempts
  }
  get durability(): Durability {
    return this.#known('durability').durability
  }
  get traits(): WorkTraits {
    return Object.freeze({
      local: false,
      inPlace: false,
      immediate: false,
      leases: 'connection',
      death: this.#session.death,
      dedups: this.#session.facts?.dedups ?? false,
      priorities: true,
      groups: true,
      redelivers: true,
      ...this.#traits,
    })
  }
  /** How the connection stands. */
  get connection(): ConnectionStatus {
    return this.#session.status
  }
  get closed(): boolean {
    return this.#ending !== undefined || this.#session.closed
  }
  get unsettledCount(): number {
    return this.#session.unsettledCount
  }

  get size(): number {
    throw this.#immediate('size')
  }
  stats(): WorkStats {
    throw this.#immediate('stats()')
  }
  get dead(): DeadLetters {
    throw this.#immediate('dead')
  }

  /** When the connection is there, and the queue is known. */
  async connected(options?: WaitOptions): Promise<void> {
    const wait = readWait(options)
    this.#assertOpen()
    await this.#session.ready(wait)
  }

  // Pushing

  push(payload: ByteSource, options?: PushOptions): Promise<PushResult> {
    return sending.yes
      ? tracedWork().tracedPush(this, payload, options, (those) => this.pushUnseen(payload, those))
      : this.pushUnseen(payload, options)
  }

  /** @internal For who looks on. */
  get seen(): SeenPlace {
    const { maxBytes = Infinity } = this.#session.facts ?? {}
    return { kind: 'work', destination: this.name, source: undefined, maxBytes }
  }

  /** @internal As `push`, and nobody who looks on sees it. */
  pushUnseen(payload: ByteSource, options?: PushOptions): Promise<PushResult> {
    try {
      const { facts, wait } = readPush(options, limits)
      const bytes = bytesOf(payload, 'the payload')
      this.#assertOpen()
      return this.#session.push(bytes, facts, wait)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** @internal As `push`, of a gateway: with what that sends along, through an engine alone. `told` hears of it once. */
  carry(
    bytes: Uint8Array,
    job: JobOptions,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
    told: PushTold,
  ): void {
    if (!sending.yes) {
      this.#carry(bytes, job, headers, signal, told)
      return
    }
    const seen = tracedWork().tracedPush(
      this,
      bytes,
      job,
      (those) =>
        new Promise<PushResult>((resolve, reject) => {
          this.#carry(bytes, those ?? job, headers, signal, (error, pushed) => {
            if (pushed !== undefined) resolve(pushed)
            else reject(error)
          })
        }),
    )
    seen.then((pushed) => {
      told(undefined, pushed)
    }, told)
  }

  #carry(
    bytes: Uint8Array,
    job: JobOptions,
    headers: Readonly<Record<string, string>>,
    signal: AbortSignal,
    told: PushTold,
  ): void {
    try {
      const facts = factsOf(job)
      this.#assertOpen()
      const along = this.#traits === undefined ? undefined : headers
      this.#session.carry(bytes, facts, along, signal, told)
    } catch (error) {
      told(error)
    }
  }

  /** @internal They are done. Resolves when the queue has it so, as far as they were ours; never rejects. */
  async completeAll(jobs: readonly RemoteJob[]): Promise<void> {
    await this.#session.complete(jobs)
  }

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
    const { facts, wait } = readPush(options, limits)
    if (facts.id !== '') {
      throw invalidArgument('id: jobs of one batch cannot have the same one; push them one by one')
    }
    if (!Array.isArray(payloads)) {
      throw invalidArgument(`payloads must be an array of payloads, not ${show(payloads)}`)
    }
    const all = (payloads as readonly ByteSource[]).map((payload, at) =>
      bytesOf(payload, `payloads[${String(at)}]`),
    )
    this.#assertOpen()
    // One after the other: what is refused in the middle must be the last one, as it is where the queue is.
    let done = 0
    const { signal, timeout = Infinity } = wait
    const end = now() + timeout
    for (const bytes of all) {
      const left = timeout === Infinity ? Infinity : Math.max(end - now(), 0)
      try {
        await this.#session.push(bytes, facts, { signal, timeout: left })
      } catch (error) {
        throw told(error, `payloads[${String(done)}]: `)
      }
      done++
    }
    return done
  }

  async loan(length: number, options?: WaitOptions): Promise<WorkLoan> {
    readWait(options)
    assertGiven(length, 'length')
    const most = this.#session.facts?.maxBytes ?? Number.MAX_SAFE_INTEGER
    const bytes = wholeNumber({ length }, 'length', 0, [0, most])
    this.#assertOpen()
    await this.#session.ready(readWait(options))
    return new RemoteLoan(this.name, bytes, {
      isClosed: () => this.closed,
      push: (view, given) => this.push(view, given),
    }) as unknown as WorkLoan
  }

  tryPush(): never {
    throw this.#immediate('tryPush()', 'push()')
  }
  pushSync(): never {
    throw this.#immediate('pushSync()', 'push()')
  }
  tryLoan(): never {
    throw this.#immediate('tryLoan()', 'loan()')
  }

  // Taking

  take(options?: IterationOptions): Iteration<Job> {
    return iterate({ take: (wait) => this.takeOne(wait), handle: this }, options)
  }

  async takeOne(options?: WaitOptions): Promise<Job> {
    if (!isSeen()) return await this.takeUnseen(options)
    return await tracedWork().tracedTake(this, 'take', () => this.takeUnseen(options))
  }

  /** @internal As `takeOne`, and nobody who looks on sees it. */
  async takeUnseen(options?: WaitOptions): Promise<Job> {
    const wait = readWait(options)
    this.#assertOpen()
    const [job] = await this.#session.take(1, wait)
    return job!
  }

  async takeBatch(max: number, options?: WaitOptions): Promise<Job[]> {
    if (!isSeen()) return await this.takeBatchUnseen(max, options)
    return await tracedWork().tracedTake(this, 'takeBatch', () =>
      this.takeBatchUnseen(max, options),
    )
  }

  /** @internal As `takeBatch`, and nobody who looks on sees it. */
  async takeBatchUnseen(max: number, options?: WaitOptions): Promise<Job[]> {
    assertGiven(max, 'max')
    const most = wholeNumber({ max }, 'max', NaN, [1, 2 ** 20])
    const wait = readWait(options)
    this.#assertOpen()
    return await this.#session.take(most, wait)
  }

  /** @internal What `work` takes: its attempts begin when the handler does. */
  async takeAhead(wait: WaitOptions): Promise<Job> {
    return await this.takeUnseen(wait)
  }

  async work(handler: JobHandler, options?: WorkOptions): Promise<void> {
    const given = this.#parts.readWork(options)
    checkFunction('the handler', handler)
    this.#assertOpen()
    const isClosed = (): boolean => this.closed
    const place = {
      seen: this.seen,
      takeAhead: (wait: WaitOptions): Promise<Job> => this.takeAhead(wait),
      // There is none before the queue was asked.
      tryTake: (): undefined => undefined,
      get closed(): boolean {
        return isClosed()
      },
    }
    await this.#parts.workAt(place, handler, given, this.#running)
  }

  tryTake(): never {
    throw this.#immediate('tryTake()', 'takeOne()')
  }
  takeSync(): never {
    throw this.#immediate('takeSync()', 'takeOne()')
  }

  async receive(options?: WaitOptions): Promise<PlainBuffer> {
    if (!receiving.yes) return await this.#receive(options)
    return await tracedWork().tracedReceive(this, () => this.takeUnseen(options))
  }

  async #receive(options?: WaitOptions): Promise<PlainBuffer> {
    const wait = readWait(options)
    for (;;) {
      const job = await this.takeUnseen(wait)
      const message = job.copy()
      try {
        await (job as unknown as RemoteJob).complete()
        return message
      } catch (error) {
        // Somebody else's by now: it will be received there, or come again.
        if (!hasCode(error, 'ERR_MILLRACE_LEASE_LOST')) throw error
      }
    }
  }

  messages(options?: IterationOptions): Iteration<PlainBuffer> {
    return iterate({ take: (wait) => this.receive(wait), handle: this }, options)
  }

  tryReceive(): never {
    throw this.#immediate('tryReceive()', 'receive()')
  }
  receiveSync(): never {
    throw this.#immediate('receiveSync()', 'receive()')
  }

  async flush(): Promise<void> {
    this.#assertOpen()
    await this.#session.flush()
  }
  flushSync(): never {
    throw this.#immediate('flushSync()', 'flush()')
  }

  share(): never {
    throw unsupported(`share() of ${this.#title}`, 'share the queue where it is')
  }

  [selectable](): Readiness {
    throw this.#immediate('select()', 'takeOne()')
  }

  // Its end

  ref(): this {
    this.#session.keepAlive(true)
    return this
  }

  unref(): this {
    this.#session.keepAlive(false)
    return this
  }

  /** Pending calls reject with `CLOSED`; what is in hand goes back. What was settled is told to the queue first. */
  close(): void {
    if (this.closed) return
    const drains = [...this.#running].filter(({ drainMs, isBusy }) => drainMs > 0 && isBusy)
    this.#ending = this.#end(drains)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close()
    await this.#ending
  }

  [Symbol.dispose](): void {
    this.close()
  }

  static {
    disposeInEveryContext(this.prototype, 'asyncDispose')
  }

  /** For `JSON.stringify`: what `console.log` shows. Never throws. */
  toJSON(): object {
    return jsonOf(this)
  }

  /** @internal What `console.log` shows. */
  [inspected](...how: Inspecting): string {
    return inspection('WorkQueue', how, () => ({
      name: this.name,
      connection: this.connection.state,
      ...this.#session.facts,
      closed: this.closed,
    }))
  }

  async #end(drains: readonly Loop[]): Promise<void> {
    await Promise.all(drains.map((loop) => loop.drained()))
    await this.#session.end()
  }

  #known(what: string): QueueFacts {
    if (this.#session.facts !== undefined) return this.#session.facts
    throw new MillraceError(
      'ERR_MILLRACE_BUSY',
      `${what} of ${this.#title} is not known before the first connection: await queue.connected() first`,
    )
  }

  #assertOpen(): void {
    if (this.closed) throw closedError(this.#title)
  }

  #immediate(what: string, instead?: string): MillraceError {
    return unsupported(
      `${what} of ${this.#title}`,
      instead === undefined
        ? 'ask where the queue is; queue.traits.immediate says in code whether it can be had'
        : `it takes a while to get an answer; await ${instead}`,
    )
  }
}

/** Of a gateway, whose ids are judged: to read all else that can be takes as long as to push. */
function factsOf({ priority, delay, ttl, id, group, traceparent }: JobOptions): JobFacts {
  const isPlain = group === undefined && traceparent === undefined && (priority ?? 0) === 0
  if (isPlain && id !== undefined && id !== '' && delay === undefined && ttl === undefined) {
    return { level: 0, delay: 0, ttl: 0, id, group: '', trace: undefined }
  }
  return readJob({ priority, delay, ttl, id, group, traceparent }, limits)
}

function told(error: unknown, where: string): unknown {
  if (!(error instanceof MillraceError)) return error
  return new MillraceError(error.code, where + error.message, { cause: error })
}

const isSeen = (): boolean => receiving.yes || processing.yes
