// A work queue whose memory is elsewhere: the same class to its user, over a connection to a process that shares the queue.

import { forgetAbort, whenAborted } from '../../base/abort-signals.js'
import { bytesOf, type ByteSource } from '../../base/bytes.js'
import { disposeInEveryContext } from '../../base/disposal.js'
import { inspected, inspection, jsonOf, type Inspecting } from '../../base/inspection.js'
import { iterate, type Iteration, type IterationOptions } from '../../base/iteration.js'
import {
  checkFunction,
  readWait,
  show,
  wholeNumber,
  type Wait,
  type WaitOptions,
} from '../../base/options.js'
import { selectable, type Readiness } from '../../base/selectable.js'
import { now, startTimer, stopTimer } from '../../base/time.js'
import type { PlainBuffer } from '../../base/view-constructor.js'
import {
  abortedError,
  closedError,
  hasCode,
  invalidArgument,
  MillraceError,
  timeoutError,
} from '../../errors.js'
import type { DeadLetters } from '../../work/dead-letters.js'
import type { Job } from '../../work/job.js'
import type { PushResult, WorkLoan } from '../../work/loan.js'
import {
  assertGiven,
  readPush,
  type Durability,
  type JobFacts,
  type PushOptions,
} from '../../work/options.js'
import type { WorkStats } from '../../work/stats.js'
import type { WorkTraits } from '../../work/traits.js'
import type { WorkQueue } from '../../work/work-queue.js'
import { durabilities } from '../../addon/work.js'
import type { WorkParts, WorkWanted } from '../../work/elsewhere.js'
import type { JobHandler, Loop, WorkOptions } from '../../work/working.js'
import type { Backoff } from '../../net/backoff.js'
import type { ConnectionStatus } from '../../net/connection-status.js'
import type { Session } from '../../net/session.js'
import { nothing } from '../headed.js'
import { Liveness } from '../liveness.js'
import { unsupported } from '../unsupported.js'
import type { QueueFacts, SettleFacts, WorkLine, JobFacts as JobOfLine } from './contract.js'
import { asJob, RemoteJob, type RemoteKeeper } from './job.js'
import { RemoteLoan } from './loan.js'

/** How a queue elsewhere is reached. */
export interface RemoteWorkOptions {
  readonly address: string
  /** For messages. */
  readonly title: string
  readonly backoff: Backoff | undefined
  /** Makes a connection to who shares it. `death`: how that of the other side is noticed. */
  readonly dial: (signal: AbortSignal) => Promise<{
    readonly line: WorkLine
    readonly death: 'exact' | 'timeout'
    readonly hold: (alive: boolean) => void
  }>
  /** Is a connection that could not be made the last one? */
  readonly isLast?: () => boolean
  readonly wanted: WorkWanted
  readonly parts: WorkParts
}

const limits = { levels: 32, groups: Infinity }
/** Milliseconds for which closing waits for what was settled to be confirmed. */
const lastWordsMs = 5000
const none = { facts: {}, bytes: nothing }

type JobOfTake = JobOfLine & { readonly length: number }
type Face = Omit<Pick<WorkQueue, keyof WorkQueue>, 'recheck' | 'tryTakeBatch' | 'ref' | 'unref'>

/** Made by `WorkQueue.open` with an address that is not this machine's memory. */
export class RemoteWorkQueue implements Face {
  readonly name: string
  readonly path: string
  readonly #title: string
  #death: 'exact' | 'timeout' = 'exact'
  readonly #parts: WorkParts
  readonly #session: Session<WorkLine>
  readonly #jobs = new Map<number, RemoteJob>()
  readonly #keeper: RemoteKeeper
  readonly #liveness = new Liveness()
  readonly #running = new Set<Loop>()
  /** What was settled, and is not confirmed yet. */
  readonly #unconfirmed = new Set<Promise<unknown>>()
  #facts: QueueFacts | undefined
  #tickets = 0
  #unsettled = 0
  #closed = false
  #ending: Promise<void> | undefined

  constructor({ address, title, backoff, dial, isLast, wanted, parts }: RemoteWorkOptions) {
    this.#parts = parts
    this.name = address
    this.path = address
    this.#title = title
    const { Session } = require('../../net/session.js') as typeof import('../../net/session.js')
    this.#session = new Session<WorkLine>({
      title: this.#title,
      address,
      backoff,
      dial: async (signal) => {
        const { line, death, hold } = await dial(signal)
        try {
          const { facts } = await line.about(none, { signal })
          this.#judge(facts, wanted)
          this.#facts = facts
          this.#death = death
          this.#liveness.attach(hold)
        } catch (error) {
          line.close()
          throw error
        }
        return line
      },
      opened: (line) => void this.#hearOfLosses(line),
      lost: (reason) => {
        this.#lose(reason)
        return {}
      },
      ...(isLast === undefined ? {} : { isLast }),
      failed: (reason) => {
        this.#lose(reason)
      },
    })
    this.#keeper = this.#keeperOf()
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
      death: this.#death,
      dedups: this.#facts?.dedups ?? false,
    })
  }
  /** How the connection stands. */
  get connection(): ConnectionStatus {
    return this.#session.status
  }
  get closed(): boolean {
    return this.#closed || this.#ending !== undefined || this.#session.state === 'closed'
  }
  get unsettledCount(): number {
    return this.#unsettled
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
  async connected(options?: WaitOptions): Promise<this> {
    const wait = readWait(options)
    this.#assertOpen()
    await this.#session.ready(wait)
    return this
  }

  // Pushing

  push(payload: ByteSource, options?: PushOptions): Promise<PushResult> {
    try {
      const { facts, wait } = readPush(options, limits)
      const bytes = bytesOf(payload, 'the payload')
      this.#assertOpen()
      return this.#push(bytes, facts, wait)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  async pushBatch(
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
        await this.#push(bytes, facts, { signal, timeout: left })
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
    const most = this.#facts?.maxBytes ?? Number.MAX_SAFE_INTEGER
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
    const [job] = await this.#take(1, readWait(options))
    return job!
  }

  async takeBatch(max: number, options?: WaitOptions): Promise<Job[]> {
    assertGiven(max, 'max')
    const most = wholeNumber({ max }, 'max', NaN, [1, 2 ** 20])
    return await this.#take(most, readWait(options))
  }

  /** @internal What `work` takes: its attempts begin when the handler does. */
  async takeAhead(wait: WaitOptions): Promise<Job> {
    return await this.takeOne(wait)
  }

  async work(handler: JobHandler, options?: WorkOptions): Promise<void> {
    const given = this.#parts.readWork(options)
    checkFunction('the handler', handler)
    this.#assertOpen()
    const isClosed = (): boolean => this.closed
    const place = {
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
    const wait = readWait(options)
    for (;;) {
      const job = await this.takeOne(wait)
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
    await this.#asked((line) => line.flush(none), readWait(undefined), true)
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
    this.#liveness.keepAlive(true)
    return this
  }

  unref(): this {
    this.#session.keepAlive(false)
    this.#liveness.keepAlive(false)
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
      ...this.#facts,
      closed: this.closed,
    }))
  }

  // Asking

  /**
   * What the queue answers; a connection that is not there yet is waited for. A question that was not sent when the connection broke is
   * asked again; one that was sent only if it `mayRepeat`.
   */
  async #asked<T>(
    ask: (line: WorkLine, left: number) => Promise<T>,
    { signal, timeout = Infinity }: Wait,
    mayRepeat: boolean,
  ): Promise<T> {
    const end = now() + timeout
    for (;;) {
      const left = timeout === Infinity ? Infinity : Math.max(end - now(), 0)
      const line = await this.#session.ready({ signal, timeout: left })
      this.#liveness.begun()
      try {
        return await ask(line, timeout === Infinity ? Infinity : Math.max(end - now(), 0))
      } catch (error) {
        if (!isBroken(error, line)) throw error
        if (this.#closed) throw closedError(this.#title)
        if (error.executed !== 'no' && !mayRepeat) throw error
        // The session may not have heard of it yet.
        await line.ended
      } finally {
        this.#liveness.ended()
      }
    }
  }

  async #push(bytes: Uint8Array, job: JobFacts, wait: Wait): Promise<PushResult> {
    const facts = {
      ...(job.level === 0 ? {} : { priority: job.level }),
      ...(job.delay === 0 ? {} : { delay: job.delay }),
      ...(job.ttl === 0 ? {} : { ttl: job.ttl }),
      ...(job.id === '' ? {} : { id: job.id }),
      ...(job.group === '' ? {} : { group: job.group }),
    }
    const mayRepeat = job.id !== '' && this.#facts?.dedups === true
    const options = wait.signal === undefined ? {} : { signal: wait.signal }
    const { facts: result } = await this.#asked(
      (line, left) =>
        line.push({ facts, bytes }, left === Infinity ? options : { ...options, timeout: left }),
      wait,
      mayRepeat,
    )
    return { duplicate: result.duplicate }
  }

  async #take(most: number, wait: Wait): Promise<Job[]> {
    this.#assertOpen()
    const ticket = ++this.#tickets
    const { signal, timeout = Infinity } = wait
    const end = now() + timeout
    for (;;) {
      const left = timeout === Infinity ? Infinity : Math.max(end - now(), 0)
      const line = await this.#session.ready({ signal, timeout: left })
      this.#liveness.begun()
      try {
        const answer = await this.#answered(line, ticket, most, signal, end, timeout)
        return answer.map((job) => asJob(job) as Job)
      } catch (error) {
        if (!isBroken(error, line)) throw error
        if (this.#closed) throw closedError(this.#title)
        await line.ended // and what it was to bring is back in the queue
      } finally {
        this.#liveness.ended()
      }
    }
  }

  /** The jobs of a ticket. Whoever gives it up says so, and what it brings afterwards goes back. */
  #answered(
    line: WorkLine,
    ticket: number,
    most: number,
    signal: AbortSignal | undefined,
    end: number,
    timeout: number,
  ): Promise<RemoteJob[]> {
    return new Promise((resolve, reject) => {
      let isOver = false
      const over = (): boolean => {
        if (isOver) return false
        isOver = true
        stopTimer(timer)
        if (signal !== undefined) forgetAbort(signal, onAbort)
        return true
      }
      const giveUp = (error: Error): void => {
        if (!over()) return
        line.leave({ facts: { ticket }, bytes: nothing }).catch(() => undefined)
        reject(error)
      }
      const onAbort = {
        aborted: (): void => {
          giveUp(abortedError(signal!))
        },
      }
      const timer =
        timeout === Infinity
          ? undefined
          : startTimer(Math.max(end - now(), 0), () => {
              giveUp(this.#late(timeout))
            })
      if (signal !== undefined) whenAborted(signal, onAbort)
      line.take({ facts: { ticket, most }, bytes: nothing }).then(
        ({ facts, bytes }) => {
          if (over()) resolve(this.#taken(facts.jobs, bytes))
        },
        (error: unknown) => {
          // An answer that could not be sent has left jobs in our hands.
          if (!line.closed) line.leave({ facts: { ticket }, bytes: nothing }).catch(() => undefined)
          if (over()) reject(error)
        },
      )
    })
  }

  #taken(facts: readonly JobOfTake[], bytes: Uint8Array): RemoteJob[] {
    let at = 0
    const jobs = facts.map((one) => {
      // Memory of its own: it may be kept, and transferred.
      const own = facts.length === 1 ? bytes : Uint8Array.from(bytes.subarray(at, at + one.length))
      at += one.length
      return new RemoteJob(this.#keeper, one, own)
    })
    if (at !== bytes.length) {
      throw new MillraceError(
        'ERR_MILLRACE_CORRUPT',
        `whoever shares ${this.#title} has sent jobs whose lengths are wrong: see that both sides are of the same version`,
      )
    }
    for (const job of jobs) this.#jobs.set(job.lease, job)
    return jobs
  }

  #keeperOf(): RemoteKeeper {
    const isClosed = (): boolean => this.#closed
    return {
      title: this.#title,
      name: this.name,
      get closed() {
        return isClosed()
      },
      settle: (facts) => this.#settle(facts),
      forget: (job) => {
        this.#jobs.delete(job.lease)
      },
      unsettled: () => {
        if (this.#unsettled++ > 0) return
        process.emitWarning(
          `a job of ${this.#title} left its \`using\` block and was not settled; it is tried again: call complete(), release(), ` +
            'retry() or reject() in all branches',
          { code: 'MILLRACE_JOB_UNSETTLED' },
        )
      },
      closedError: () => closedError(this.#title),
    }
  }

  /** Never on another connection: there the job is somebody else's. */
  #settle(facts: SettleFacts): Promise<void> {
    const { line } = this.#session
    if (line === undefined) return Promise.reject(this.#lostError())
    const told = line.settle({ facts, bytes: nothing }).then(
      () => undefined,
      (error: unknown) => {
        throw isBroken(error, line) ? this.#unconfirmedError(facts.how, error) : error
      },
    )
    this.#unconfirmed.add(told)
    this.#liveness.begun()
    const confirmed = (): void => {
      this.#unconfirmed.delete(told)
      this.#liveness.ended()
    }
    told.then(confirmed, confirmed)
    return told
  }

  async #hearOfLosses(line: WorkLine): Promise<void> {
    try {
      for await (const { facts } of line.losses(none)) {
        const job = this.#jobs.get(facts.lease)
        this.#jobs.delete(facts.lease)
        job?.lose(
          new MillraceError(
            'ERR_MILLRACE_LEASE_LOST',
            `the lease of this job of ${this.#title} ran out before it was settled: somebody else may have it; extend() it in time`,
          ),
        )
      }
    } catch {
      // The connection has ended, and the session hears of it.
    }
  }

  /** The connection is gone, and with it all that was in hand. */
  #lose(_reason: Error): void {
    for (const job of this.#jobs.values()) job.lose(this.#lostError())
    this.#jobs.clear()
  }

  async #end(drains: readonly Loop[]): Promise<void> {
    await Promise.all(drains.map((loop) => loop.drained()))
    let timer
    const inTime = new Promise<void>((resolve) => {
      timer = startTimer(lastWordsMs, resolve, { alive: true })
    })
    if (this.#unconfirmed.size > 0) {
      await Promise.race([Promise.allSettled([...this.#unconfirmed]), inTime])
    }
    stopTimer(timer)
    this.#closed = true
    const error = closedError(this.#title)
    for (const job of this.#jobs.values()) job.lose(error)
    this.#jobs.clear()
    this.#session.close(error)
  }

  /** What the program says of the queue must be so, as it must where the queue is. */
  #judge(facts: QueueFacts, wanted: WorkWanted): void {
    const differences = [
      ['jobs', facts.jobs, wanted.jobs],
      ['bytes', facts.bytes, wanted.bytes],
      ['priorities', facts.priorities, wanted.levels],
      ['seats', facts.seats, wanted.seats],
      ['maxAttempts', facts.maxAttempts, wanted.attempts],
      ['durability', durabilities.indexOf(facts.durability), wanted.durability],
    ] as const
    const wrong = differences.filter(([, is, said]) => said !== undefined && said !== is)
    if (wrong.length === 0) return
    throw new MillraceError(
      'ERR_MILLRACE_GEOMETRY',
      `${this.#title} was created with other options: ${wrong.map(([what, is, said]) => `${what} ${String(is)}, not ${String(said)}`).join('; ')}: ` +
        'leave them out, or say what it has',
    )
  }

  #known(what: string): QueueFacts {
    if (this.#facts !== undefined) return this.#facts
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

  #lostError(): MillraceError {
    return new MillraceError(
      'ERR_MILLRACE_LEASE_LOST',
      `the connection to ${this.#title} broke while this job was in hand: it went back, and somebody else may have it`,
    )
  }

  #unconfirmedError(how: string, cause: unknown): MillraceError {
    return new MillraceError(
      'ERR_MILLRACE_PEER_GONE',
      `the connection to ${this.#title} broke before ${how}() was confirmed: the job is settled, or somebody else gets it once more`,
      { cause, executed: 'unknown' },
    )
  }

  #late(timeout: number): MillraceError {
    return timeoutError(
      `a job in ${this.#title}`,
      timeout,
      'nobody has pushed one that can be taken now: start who is to do it, or allow more time',
    )
  }
}

/** Did the connection break under it? */
function isBroken(error: unknown, line: WorkLine): error is MillraceError {
  return line.closed && error instanceof MillraceError && error.executed !== undefined
}

function told(error: unknown, where: string): unknown {
  if (!(error instanceof MillraceError)) return error
  return new MillraceError(error.code, where + error.message, { cause: error })
}
