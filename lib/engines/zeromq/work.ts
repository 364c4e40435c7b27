// Jobs over PUSH and PULL: each goes to one of those who are connected, in turn, and is with that process from then on. Nobody confirms
// anything: what is on its way when a connection breaks, or with a worker that dies, is lost.
//
//   [payload]              a job, also of somebody else's
//   [payload, beside]      the same, with what the job says of itself: JSON with id, group, priority, at, expires, headers
//
// Where the address of who pushes says so, many of one turn go in one message (packed.ts), which everybody here takes.
//
// What a worker gives back comes again to the same handle.

import { afterAllElse, startTimer } from '../../base/time.js'
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
  PushTold,
} from '../port.js'
import {
  besideFrame,
  isTooMuchBeside,
  mayBeTooMuch,
  rightOf,
  saidBeside,
  type Beside,
} from './envelope.js'
import type { Frames } from './library.js'
import { mostWaiting, ZmqLine } from './line.js'
import { isPacked, mostPacked, Packer, unpack } from './packed.js'
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

/** A push that waits for its turn. */
interface Pending {
  readonly bytes: Uint8Array
  readonly said: Beside
  readonly signal: AbortSignal
  /** Called once. */
  readonly told: PushTold
}

const pushed = { duplicate: false }
/** Does nobody want it any more? */
const isGiven = ({ signal }: Pending): boolean => signal.aborted

export class ZmqWork extends ZmqLine implements EngineWork {
  readonly facts: EngineQueueFacts
  readonly waitsFor: string
  readonly #packer: Packer | undefined
  /** Is what is taken only passed on? Then a job may lie where its message does. */
  readonly #isCarried: boolean
  /** The oldest in front. */
  #pending: Pending[] = []
  #isSending = false
  /** Came in one message with the last one that was taken. */
  #unpacked: ZmqJob[] = []
  /** What was given back. */
  readonly #back: ZmqJob[] = []
  #waitingBack = 0
  #taking: Promise<void> = Promise.resolve()
  #last = 0n
  #dropped = 0

  constructor(place: ZmqPlace, connection: EngineConnection, wanted: EngineQueueOptions) {
    super(place, connection)
    const { jobs = usualJobs, attempts = usualAttempts, ahead } = wanted
    this.#isCarried = ahead !== undefined
    this.facts = {
      jobs,
      bytes: Infinity,
      maxBytes: this.maxBytes,
      maxAttempts: attempts,
      durability: 'memory',
      dedups: false,
      priorities: 1,
    }
    const keys =
      connection.curve === undefined
        ? 'that it wants no keys'
        : 'that the other side has these keys, and allows them'
    this.waitsFor =
      'nobody is connected who takes jobs, or whoever is has enough of them: start workers, ' +
      `see that one side binds, and ${keys}, or allow more time`
    this.#packer = place.isPacked ? new Packer(this.maxBytes) : undefined
    void this.ended.then(() => {
      this.#fail(this.#pending.splice(0), this.gone())
    })
  }

  async push(
    bytes: Uint8Array,
    job: EngineJobOptions,
    signal: AbortSignal,
  ): Promise<{ readonly duplicate: boolean }> {
    return await new Promise((resolve, reject) => {
      this.pushTold(bytes, job, signal, (error) => {
        if (error === undefined) resolve(pushed)
        else reject(error) // eslint-disable-line @typescript-eslint/prefer-promise-reject-errors -- as it was told
      })
    })
  }

  pushTold(bytes: Uint8Array, job: EngineJobOptions, signal: AbortSignal, told: PushTold): void {
    try {
      this.#add({ bytes, said: this.#judged(bytes, job), signal, told })
    } catch (error) {
      told(error)
    }
  }

  /** @throws MillraceError `UNSUPPORTED`, `TOO_LARGE` */
  #judged(
    bytes: Uint8Array,
    { delay, ttl, id, group, priority, headers }: EngineJobOptions,
  ): Beside {
    if (delay > 0) {
      throw new MillraceError(
        'ERR_MILLRACE_UNSUPPORTED',
        `a job of '${this.shown}' cannot have a delay: ZeroMQ keeps nothing for later; push it when it is due`,
        { executed: 'no' },
      )
    }
    this.assertFits(bytes.length)
    const said: { -readonly [K in keyof Beside]: Beside[K] } = {}
    if (id !== undefined) said.id = id
    if (group !== undefined) said.group = group
    if (priority !== 0) said.priority = priority
    if (ttl !== 0) said.expires = clock() + ttl
    if (headers !== undefined) said.headers = headers
    const beside = mayBeTooMuch(said) ? besideFrame(said) : undefined
    if (!isTooMuchBeside(beside)) return said
    throw new MillraceError(
      'ERR_MILLRACE_TOO_LARGE',
      `the id, group and headers of a job of '${this.shown}' are ${String(beside!.length)} bytes as JSON: there is room for 64,512`,
      { executed: 'no' },
    )
  }

  #add(pending: Pending): void {
    if (this.#pending.length >= mostWaiting) throw this.tooManyWait()
    this.#pending.push(pending)
    if (this.#isSending) return
    this.#isSending = true
    // What is pushed in one turn goes together.
    afterAllElse(() => void this.#sendAll())
  }

  /** Never rejects. */
  async #sendAll(): Promise<void> {
    try {
      await this.#open('Push')
    } catch (error) {
      this.#fail(this.#pending.splice(0), error as Error)
    }
    while (this.#pending.length > 0) {
      if (this.#pending.some(isGiven)) {
        const given = this.#pending.filter(isGiven)
        this.#pending = this.#pending.filter((one) => !isGiven(one))
        for (const { signal, told } of given) told(signal.reason as Error)
        continue
      }
      await this.#sendSome()
    }
    this.#isSending = false
  }

  /** The first message of what waits, if there is room for it. */
  async #sendSome(): Promise<void> {
    const { bytes, said } = this.#pending[0]!
    const { count, frames } = this.#packer?.pack(this.#pending) ?? {
      count: 1,
      frames: framesOf(bytes, said),
    }
    try {
      if (!(await this.trySend(frames))) return
    } catch (error) {
      // Of what the socket does not take nothing was sent.
      this.#fail(this.#pending.splice(0, count), error as Error)
      return
    }
    for (const { told } of this.#pending.splice(0, count)) told(undefined, pushed)
  }

  #fail(pending: readonly Pending[], error: Error): void {
    for (const { told } of pending) told(error)
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

  /** Nobody has to be told. */
  completeAll(): Promise<void> {
    return Promise.resolve()
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
    const { isBound, isPacked } = this.place
    const { jobs } = this.facts
    // It counts messages, each of which may have so many.
    const highWaterMark = isPacked ? Math.max(Math.floor(jobs / mostPacked), 1) : jobs
    await this.socket(kind, { isBound, highWaterMark })
  }

  async #taken(most: number, signal: AbortSignal): Promise<readonly EngineJob[]> {
    const jobs: ZmqJob[] = []
    // What is there already comes along with the first.
    while (jobs.length < most) {
      const job = this.#here() ?? (await this.#arrived(jobs.length > 0, signal))
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

  /** What was given back, and what came before it was asked for. */
  #here(): ZmqJob | undefined {
    const back = this.#back.shift()
    if (back !== undefined) return back
    for (;;) {
      const job = this.#unpacked.shift()
      if (job === undefined || job.expires > clock()) return job
      this.#drop('its time was over when it was taken')
    }
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
      this.#unpacked = this.#jobsOf(frames)
      const job = this.#here()
      if (job !== undefined) return job
    }
  }

  #jobsOf([payload = empty, more]: Frames): ZmqJob[] {
    const said = saidBeside(more)
    const at = clock()
    if (!isPacked(said)) return [new ZmqJob(this, payload, ++this.#last, at, rightOf(said))]
    const unpacked = unpack(payload, said)
    if (typeof unpacked !== 'string') {
      return unpacked.map(({ bytes, said: its }) => {
        const own = this.#isCarried ? bytes : new Uint8Array(bytes)
        return new ZmqJob(this, own, ++this.#last, at, its)
      })
    }
    this.#drop(unpacked)
    return []
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

const empty = new Uint8Array(0)

/** What is read later, by a thread of the library, is a copy. */
function framesOf(bytes: Uint8Array, said: Beside): Buffer[] {
  const payload = Buffer.from(bytes)
  const beside = besideFrame(said)
  return beside === undefined ? [payload] : [payload, beside]
}

class ZmqJob implements EngineJob {
  readonly bytes: Uint8Array
  readonly token: bigint
  readonly pushedAt: number
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
    at: number,
    { id, group, priority = 0, expires = Infinity, headers }: Beside,
  ) {
    this.#work = work
    this.bytes = bytes
    this.token = token
    this.pushedAt = at
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
