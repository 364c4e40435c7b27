// The connection of a queue that is elsewhere, and what is asked over it: pushing, taking, settling, and what becomes of them when it breaks.

import { forgetAbort, whenAborted } from '../../base/abort-signals.js'
import { heard } from '../../base/life-events.js'
import { facts as tellings } from '../../base/life.js'
import type { Wait } from '../../base/options.js'
import { now, startTimer, stopTimer } from '../../base/time.js'
import { traced } from '../../base/tracing.js'
import { abortedError, closedError, MillraceError, timeoutError } from '../../errors.js'
import type { Job } from '../../work/job.js'
import type { PushResult } from '../../work/loan.js'
import type { JobFacts } from '../../work/options.js'
import { durabilities } from '../../addon/work.js'
import type { WorkParts, WorkWanted } from '../../work/elsewhere.js'
import type { WorkTraits } from '../../work/traits.js'
import type { Backoff } from '../../net/backoff.js'
import type { ConnectionStatus } from '../../net/connection-status.js'
import type { Session } from '../../net/session.js'
import { nothing } from '../headed.js'
import { Liveness } from '../liveness.js'
import type { EngineJobOptions, PushTold } from '../../engines/port.js'
import type { QueueFacts, SettleFacts, TakenJob, WorkLine } from './contract.js'
import { asJob, RemoteJob, type RemoteKeeper } from './job.js'

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
  /** What is not as it is of a queue that a process shares. */
  readonly traits?: Partial<WorkTraits> | undefined
}

/** Milliseconds for which closing waits for what was settled to be confirmed. */
const lastWordsMs = 5000
const none = { facts: {}, bytes: nothing }

type Headers = Readonly<Record<string, string>>

/** One connection after the other; what is in hand ends with each. */
export class WorkSession {
  readonly #name: string
  readonly #title: string
  #death: 'exact' | 'timeout' = 'exact'
  readonly #session: Session<WorkLine>
  readonly #jobs = new Map<number, RemoteJob>()
  readonly #keeper: RemoteKeeper
  readonly #liveness = new Liveness()
  /** What was settled, and is not confirmed yet. */
  readonly #unconfirmed = new Set<Promise<unknown>>()
  #facts: QueueFacts | undefined
  #tickets = 0
  #unsettled = 0
  #closed = false

  constructor(options: RemoteWorkOptions) {
    const { address, title, backoff, dial, isLast, wanted } = options
    this.#name = address
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

  /** What the queue is, once there was a connection. */
  get facts(): QueueFacts | undefined {
    return this.#facts
  }
  get death(): 'exact' | 'timeout' {
    return this.#death
  }
  get status(): ConnectionStatus {
    return this.#session.status
  }
  get closed(): boolean {
    return this.#closed || this.#session.state === 'closed'
  }
  /** Jobs that left their `using` block and were not settled. */
  get unsettledCount(): number {
    return this.#unsettled
  }

  /** When the connection is there, and the queue is known. */
  async ready(wait: Wait): Promise<void> {
    await this.#session.ready(wait)
  }

  /** Does whoever waits for it keep the process alive? */
  keepAlive(alive: boolean): void {
    this.#session.keepAlive(alive)
    this.#liveness.keepAlive(alive)
  }

  async flush(): Promise<void> {
    await this.#asked((line) => line.flush(none), { signal: undefined, timeout: Infinity }, true)
  }

  /** What was settled is told to the queue, as far as there is time for that; then nothing is asked any more. */
  async end(): Promise<void> {
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
    for (let left = timeout; ; left = Math.max(end - now(), 0)) {
      const line = await this.#session.ready({ signal, timeout: left }).catch((error: unknown) => {
        throw this.#closed ? this.#cutOff('no') : error
      })
      this.#liveness.begun()
      try {
        return await ask(line, timeout === Infinity ? Infinity : Math.max(end - now(), 0))
      } catch (error) {
        if (!isBroken(error, line)) throw error
        if (this.#closed) throw this.#cutOff(error.executed)
        if (error.executed !== 'no' && !mayRepeat) throw error
        // The session may not have heard of it yet.
        await line.ended
      } finally {
        this.#liveness.ended()
      }
    }
  }

  /** What was asked and has no answer, because this side has closed. */
  #cutOff(executed: MillraceError['executed']): MillraceError {
    const { code, message } = closedError(this.#title)
    return new MillraceError(code, message, { executed })
  }

  /** `along`: what a gateway sends along, through an engine. */
  async push(bytes: Uint8Array, job: JobFacts, wait: Wait, along?: Headers): Promise<PushResult> {
    const headers = withContext(along, job)
    const facts = {
      ...(job.level === 0 ? {} : { priority: job.level }),
      ...(job.delay === 0 ? {} : { delay: job.delay }),
      ...(job.ttl === 0 ? {} : { ttl: job.ttl }),
      ...(job.id === '' ? {} : { id: job.id }),
      ...(job.group === '' ? {} : { group: job.group }),
      ...(headers === undefined ? {} : { headers }),
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

  /** As `push`, of a gateway: through an engine without what stands between processes. */
  carry(
    bytes: Uint8Array,
    job: JobFacts,
    along: Headers | undefined,
    signal: AbortSignal,
    told: PushTold,
  ): void {
    const headers = withContext(along, job)
    const again = (): void => {
      const wait = { signal, timeout: Infinity }
      this.push(bytes, job, wait, headers).then((pushed) => {
        told(undefined, pushed)
      }, told)
    }
    const { line } = this.#session
    const { direct } = line ?? {}
    if (direct === undefined) {
      again()
      return
    }
    if (signal.aborted) {
      told(abortedError(signal))
      return
    }
    const { level: priority, delay, ttl, id, group } = job
    const options: EngineJobOptions = {
      ...{ priority, delay, ttl, headers },
      id: id === '' ? undefined : id,
      group: group === '' ? undefined : group,
    }
    this.#liveness.begun()
    direct.push(bytes, options, signal, (error, pushed) => {
      this.#liveness.ended()
      if (error === undefined) told(undefined, pushed)
      else if (!isBroken(error, line!)) told(error)
      else if (this.#closed) told(this.#cutOff(error.executed))
      else if (error.executed !== 'no' && !(id !== '' && this.#facts?.dedups === true)) told(error)
      else void line!.ended.then(again)
    })
  }

  /** They are done. Resolves when the queue has it so, as far as they were ours; never rejects. */
  async complete(jobs: readonly RemoteJob[]): Promise<void> {
    const leases = jobs.filter((job) => job.completed()).map(({ lease }) => lease)
    if (leases.length === 0) return
    const direct = this.#session.line?.direct
    if (direct === undefined) {
      await Promise.allSettled(leases.map((lease) => this.#settle({ how: 'complete', lease })))
      return
    }
    await this.#confirmed(direct.complete(leases))
  }

  async take(most: number, wait: Wait): Promise<Job[]> {
    const ticket = ++this.#tickets
    const { signal, timeout = Infinity } = wait
    const end = now() + timeout
    for (let left = timeout; ; left = Math.max(end - now(), 0)) {
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

  #taken(facts: readonly TakenJob[], bytes: Uint8Array): RemoteJob[] {
    let at = 0
    const jobs = facts.map((one) => {
      if (one.bytes !== undefined) return new RemoteJob(this.#keeper, one, one.bytes)
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
    for (const job of jobs) {
      this.#jobs.set(job.lease, job)
      const { attempt, acquired } = job
      if (acquired > 1 && heard('redelivered') !== undefined)
        tellings().tell('redelivered', this.#name, 'work', { attempt, acquired })
    }
    return jobs
  }

  #keeperOf(): RemoteKeeper {
    const isClosed = (): boolean => this.#closed
    return {
      title: this.#title,
      name: this.#name,
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
    return this.#confirmed(told)
  }

  /** Whoever closes waits for it, for a while. */
  #confirmed(told: Promise<void>): Promise<void> {
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

/** With the context of its trace, if it has one. */
function withContext(along: Headers | undefined, { trace }: JobFacts): Headers | undefined {
  const traceparent = trace === undefined ? undefined : traced().unpackTrace(trace)
  return traceparent === undefined ? along : { ...along, traceparent }
}
