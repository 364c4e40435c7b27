// Jobs over PUSH and PULL: each goes to one of those who are connected, in turn, and is with that process from then on. Nobody confirms
// anything: what is on its way when a connection breaks, or with a worker that dies, is lost.
//
//   [payload]              a job, also of somebody else's
//   [payload, beside]      the same, with what the job says of itself: JSON with id, group, priority, at, expires, headers
//
// What a worker gives back comes again to the same handle.

import { startTimer } from '../../base/time.js'
import { MillraceError } from '../../errors.js'
import { clock } from '../clock.js'
import type {
  EngineConnection,
  EngineJob,
  EngineJobOptions,
  EngineQueueFacts,
  EngineQueueOptions,
  EngineSettle,
  EngineWork,
} from '../port.js'
import { besideFrame, isTooMuchBeside, readBeside } from './envelope.js'
import type { Frames } from './library.js'
import { ZmqLine } from './line.js'
import type { ZmqPlace } from './place.js'

/** For each connection, if nothing is said. */
const usualJobs = 1000
const usualAttempts = 5
/** Jobs that were given back, and wait for their time. */
const mostBack = 65_536

/** @throws MillraceError `UNSUPPORTED` */
export function assertWanted(wanted: EngineQueueOptions, shown: string): void {
  const { bytes, dead, deadBytes, windowMs, leaseMs, durability } = wanted
  const what =
    durability !== undefined && durability !== 'memory'
      ? [`durability ${durability}`, 'nobody keeps anything']
      : (leaseMs ?? 0) > 0
        ? ['leaseTimeout', 'a job is with its worker until that has settled it']
        : (dead ?? 0) > 0 || deadBytes !== undefined
          ? ['dead letters', 'nobody keeps them']
          : windowMs !== undefined
            ? ['dedupWindow', 'nobody knows ids again']
            : bytes !== undefined
              ? ['bytes', 'it counts messages alone: say jobs']
              : undefined
  if (what === undefined) return
  throw new MillraceError(
    'ERR_MILLRACE_UNSUPPORTED',
    `${what[0]!} of '${shown}': between PUSH and PULL of ZeroMQ ${what[1]!}. A queue that keeps its jobs is one in memory that is shared, at unix://, tcp:// or tls://`,
  )
}

export class ZmqWork extends ZmqLine implements EngineWork {
  readonly facts: EngineQueueFacts
  /** What was given back. */
  readonly #back: ZmqJob[] = []
  #waitingBack = 0
  #taking: Promise<void> = Promise.resolve()
  #last = 0n
  #dropped = 0

  constructor(place: ZmqPlace, connection: EngineConnection, wanted: EngineQueueOptions) {
    super(place, connection)
    const { jobs = usualJobs, attempts = usualAttempts } = wanted
    this.facts = {
      jobs,
      bytes: Infinity,
      maxBytes: this.maxBytes,
      maxAttempts: attempts,
      durability: 'memory',
      dedups: false,
      priorities: 1,
    }
  }

  async push(
    bytes: Uint8Array,
    job: EngineJobOptions,
    signal: AbortSignal,
  ): Promise<{ readonly duplicate: boolean }> {
    const { delay, ttl, id, group, priority, headers } = job
    if (delay > 0) {
      throw new MillraceError(
        'ERR_MILLRACE_UNSUPPORTED',
        `a job of '${this.shown}' cannot have a delay: ZeroMQ keeps nothing for later; push it when it is due`,
        { executed: 'no' },
      )
    }
    this.assertFits(bytes.length)
    const beside = besideFrame({
      ...(id === undefined ? {} : { id }),
      ...(group === undefined ? {} : { group }),
      ...(priority === 0 ? {} : { priority }),
      ...(ttl === 0 ? {} : { expires: clock() + ttl }),
      ...(headers === undefined ? {} : { headers }),
    })
    if (isTooMuchBeside(beside)) {
      throw new MillraceError(
        'ERR_MILLRACE_TOO_LARGE',
        `the id, group and headers of a job of '${this.shown}' are ${String(beside!.length)} bytes as JSON: there is room for 64,512`,
        { executed: 'no' },
      )
    }
    await this.#open('Push')
    // It is read later, by a thread of the library.
    const payload = Buffer.from(bytes)
    await this.send(beside === undefined ? [payload] : [payload, beside], signal)
    return { duplicate: false }
  }

  /** One after the other: a socket is asked for one at a time. */
  async take(most: number, signal: AbortSignal): Promise<readonly EngineJob[]> {
    const before = this.#taking
    let done!: () => void
    this.#taking = new Promise((resolve) => {
      done = resolve
    })
    try {
      await before
      await this.#open('Pull')
      return await this.#taken(most, signal)
    } finally {
      done()
    }
  }

  /** What was sent is the library's, and whether it has arrived it does not say. */
  flush(): Promise<void> {
    return Promise.resolve()
  }

  lost(): void {
    // A job is with its worker until that has settled it.
  }

  settle(job: ZmqJob, settled: EngineSettle): void {
    const { maxAttempts } = this.facts
    switch (settled.how) {
      case 'complete':
        return
      case 'reject':
        this.#drop(`it was rejected: ${settled.error}`)
        return
      case 'retry':
        if (maxAttempts > 0 && job.attempt >= maxAttempts) {
          this.#drop(`it has failed ${String(job.attempt)} times: ${settled.error}`)
        } else {
          this.#giveBack(job, settled.delay)
        }
        return
      case 'release':
        job.attempt--
        this.#giveBack(job, settled.delay)
    }
  }

  async #open(kind: 'Push' | 'Pull'): Promise<void> {
    const { isBound } = this.place
    await this.socket(kind, { isBound, highWaterMark: this.facts.jobs })
  }

  async #taken(most: number, signal: AbortSignal): Promise<readonly EngineJob[]> {
    const jobs: ZmqJob[] = []
    // What is there already comes along with the first.
    while (jobs.length < most) {
      const job = this.#back.shift() ?? (await this.#arrived(jobs.length > 0, signal))
      if (job === undefined) break
      jobs.push(job)
    }
    for (const job of jobs) {
      job.attempt++
      job.acquired++
    }
    if (!signal.aborted && jobs.length > 0) return jobs
    for (const job of jobs) job.attempt--
    this.#back.unshift(...jobs)
    throw signal.aborted ? (signal.reason as Error) : this.gone()
  }

  async #arrived(isMore: boolean, signal: AbortSignal): Promise<ZmqJob | undefined> {
    for (;;) {
      const isOver = (): boolean =>
        signal.aborted || this.#back.length > 0 || (isMore && !this.isReadable)
      const frames = await this.next(isOver)
      if (frames === undefined) {
        const back = this.#back.shift()
        if (back !== undefined || isMore || signal.aborted || this.closed) return back
        continue
      }
      const job = this.#jobOf(frames)
      if (job.expires > clock()) return job
      this.#drop('its time was over when it came')
    }
  }

  #jobOf([payload, more]: Frames): ZmqJob {
    const { id, group, priority = 0, expires = Infinity, headers } = readBeside(more)
    const said = { id, group, priority, expires, headers }
    return new ZmqJob(this, payload ?? new Uint8Array(0), ++this.#last, said)
  }

  #giveBack(job: ZmqJob, delay: number): void {
    if (this.#back.length + this.#waitingBack >= mostBack) {
      this.#drop('too many wait to be tried again')
      return
    }
    const back = (): void => {
      this.#back.push(job)
      this.wake()
    }
    if (delay <= 0) {
      back()
      return
    }
    this.#waitingBack++
    startTimer(delay, () => {
      this.#waitingBack--
      if (!this.closed) back()
    })
  }

  #drop(why: string): void {
    if (this.#dropped++ > 0) return
    process.emitWarning(
      `a job of '${this.shown}' is dropped, for there are no dead letters with ZeroMQ: ${why}; this is said once`,
      { code: 'MILLRACE_JOBS_DROPPED' },
    )
  }
}

interface Said {
  readonly id: string | undefined
  readonly group: string | undefined
  readonly priority: number
  readonly expires: number
  readonly headers: Readonly<Record<string, string>> | undefined
}

class ZmqJob implements EngineJob {
  readonly bytes: Uint8Array
  readonly token: bigint
  readonly pushedAt = clock()
  readonly id: string | undefined
  readonly group: string | undefined
  readonly priority: number
  readonly expires: number
  readonly headers: Readonly<Record<string, string>> | undefined
  attempt = 0
  acquired = 0
  readonly #work: ZmqWork

  constructor(
    work: ZmqWork,
    bytes: Uint8Array,
    token: bigint,
    { id, group, priority, expires, headers }: Said,
  ) {
    this.#work = work
    this.bytes = bytes
    this.token = token
    this.id = id
    this.group = group
    this.priority = priority
    this.expires = expires
    this.headers = headers
  }

  settle(how: EngineSettle): Promise<void> {
    this.#work.settle(this, how)
    return Promise.resolve()
  }

  extend(): Promise<void> {
    return Promise.resolve()
  }
}
