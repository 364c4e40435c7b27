// A work queue over a stream of Redis. A job in hand has a lease, whose end the server keeps: a worker that lives makes it longer, for all
// it has in hand, three times in its time; what is over is given to somebody else by whoever takes next.
//
// What is there is taken by a script. Where nothing is, one is waited for on a connection of its own, which the server holds up: what it
// brings is given out as the script finds it.

import { now, startTimer, stopTimer, type Timer } from '../../base/time.js'
import { MillraceError } from '../../errors.js'
import { isSentAlong } from '../along.js'
import type {
  EngineConnection,
  EngineJob,
  EngineJobOptions,
  EngineQueueFacts,
  EngineQueueOptions,
  EngineSettle,
  EngineWork,
} from '../port.js'
import { Gathered } from '../gathered.js'
import { leaseLostError, longestLook, pause, shortestLook } from '../waiting.js'
import { redisConnect, RedisLine } from './connection.js'
import type { RedisClient } from './library.js'
import type { RedisPlace } from './place.js'
import { openQueue, run, type RedisQueue } from './queue.js'
import {
  completeScript,
  extendScript,
  group,
  pushed,
  pushScript,
  settleScript,
  takeScript,
} from './scripts.js'

/** Jobs that are taken, pushed or completed at a time: the server does nothing else meanwhile. */
const mostAtATime = 256
/** Bytes that are pushed at a time, if it is more than one job. */
const mostBytes = 1_048_576
/** Milliseconds for which the server is waited for at a time, at most: leases end meanwhile. */
const longestWait = 5000
/** Of the longest reason that goes with a dead letter, in UTF-16 units. */
const longestReason = 512
/** Milliseconds that a closed handle has to give back what is in hand. */
const lastWordsMs = 1000

/** A job that goes to the server: with others of the same turn. */
interface Pushing {
  readonly args: readonly (string | Buffer)[]
  readonly bytes: number
  resolve(answer: number): void
  reject(error: unknown): void
}

/** One that is done. */
interface Completing {
  readonly job: RedisJob
  resolve(isDone: boolean): void
  reject(error: unknown): void
}

const untold = (): void => undefined

/** Whoever waits for jobs. */
interface Taker {
  readonly most: number
  resolve(jobs: readonly EngineJob[]): void
  reject(error: Error): void
}

type Fields = readonly Buffer[]
type Taken = readonly [id: Buffer, token: Buffer, acquired: number, attempt: number, Fields]
type Read = readonly [stream: Buffer, entries: readonly (readonly [id: Buffer, Fields])[]]

/** @throws MillraceError (as rejection) as `redisConnect` and `openQueue` */
export async function redisWork(
  place: RedisPlace,
  wanted: EngineQueueOptions,
  connection: EngineConnection,
  signal: AbortSignal,
): Promise<EngineWork> {
  const client = await redisConnect(place, connection, signal, 2)
  return await RedisWork.open(client, place, wanted, connection, signal)
}

class RedisWork extends RedisLine implements EngineWork {
  #queue!: RedisQueue
  /** The connection that waits, and what the server calls it. */
  #waiting!: RedisClient
  #waitingId: string | undefined
  readonly #takers = new Set<Taker>()
  readonly #held = new Map<string, RedisJob>()
  /** Is what is taken passed on at once, so that its bytes need no memory of their own? */
  readonly #passesOn: boolean
  readonly #pushes = new Gathered<Pushing>((all) => {
    for (const some of batchesOf(all, ({ bytes }) => bytes)) void this.#pushAll(some)
  })
  readonly #completions = new Gathered<Completing>((all) => {
    for (const some of batchesOf(all, () => 0)) void this.#completeAll(some)
  })
  #tellLoss: (job: EngineJob) => void = () => undefined
  #isTaking = false
  #isWaiting = false
  /** An entry, and a ring of the bell, that the waiting connection has brought. */
  #read = ''
  #rung = ''
  #timer: Timer | undefined

  private constructor(
    client: RedisClient,
    place: RedisPlace,
    connection: EngineConnection,
    { ahead = 1 }: EngineQueueOptions,
  ) {
    super(client, place, connection)
    this.#passesOn = ahead > 1
  }

  static async open(
    client: RedisClient,
    place: RedisPlace,
    wanted: EngineQueueOptions,
    connection: EngineConnection,
    signal: AbortSignal,
  ): Promise<RedisWork> {
    const work = new RedisWork(client, place, connection, wanted)
    try {
      work.#queue = await openQueue(work, place.name, wanted, connection)
      work.#waiting = await redisConnect(place, connection, signal, 2)
      work.with(work.#waiting)
      work.#waitingId = await work.#waiting
        .sendCommand(['CLIENT', 'ID'])
        .then(String, () => undefined)
      return work
    } catch (error) {
      work.close()
      throw error
    }
  }

  get facts(): EngineQueueFacts {
    return this.#queue.facts
  }

  lost(told: (job: EngineJob) => void): void {
    this.#tellLoss = told
  }

  // Pushing

  async push(
    payload: Uint8Array,
    job: EngineJobOptions,
    signal: AbortSignal,
  ): Promise<{ readonly duplicate: boolean }> {
    const { name, jobs } = this.#queue
    if (payload.length > this.facts.maxBytes) throw this.#tooLong(payload.length)
    const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
    const fields: (string | Buffer)[] = ['data', bytes]
    const { id = '', group: its = '', delay, ttl, priority, headers } = job
    for (const name in headers) fields.push(name, headers[name]!)
    if (jobs === 0 && id === '' && delay === 0 && ttl === 0 && priority === 0) {
      // What any other client would do.
      const more = its === '' ? [] : ['group', its]
      this.#pushes.now()
      const made = await this.asked(['XADD', name, 'NOMKSTREAM', '*', ...fields, ...more])
      if (made === null) throw this.told(new Error('MILLRACEGONE there is no queue'))
      return { duplicate: false }
    }
    const numbers = [inWhole(delay), inWhole(ttl), String(priority)]
    const args = [String(fields.length), id, ...numbers, its, ...fields]
    for (let look = shortestLook; ; look = Math.min(look * 2, longestLook)) {
      const answer = await new Promise<number>((resolve, reject) => {
        this.#pushes.add({ args, bytes: bytes.length, resolve, reject })
      })
      if (answer !== pushed.full) return { duplicate: answer === pushed.duplicate }
      await pause(look, signal)
    }
  }

  /** All of them in one step, or none if the server refuses. Never rejects. */
  async #pushAll(all: readonly Pushing[]): Promise<void> {
    const { name, jobs, windowMs } = this.#queue
    const args = [String(jobs), String(windowMs), ...all.flatMap((one) => one.args)]
    try {
      const answers = (await run(this, name, pushScript, args)) as readonly number[]
      for (const [at, one] of all.entries()) one.resolve(answers[at]!)
    } catch (error) {
      for (const one of all) one.reject(error)
    }
  }

  // Taking

  take(most: number, signal: AbortSignal): Promise<readonly EngineJob[]> {
    return new Promise((resolve, reject) => {
      if (this.closed) {
        reject(this.gone('it was closed'))
        return
      }
      const end = (): void => {
        this.#takers.delete(taker)
        signal.removeEventListener('abort', onAbort)
      }
      const taker: Taker = {
        most,
        resolve: (jobs) => {
          end()
          resolve(jobs)
        },
        reject: (error) => {
          end()
          reject(error)
        },
      }
      const onAbort = (): void => {
        taker.reject(
          new MillraceError('ERR_MILLRACE_ABORTED', 'nobody waits for this job any more'),
        )
        if (this.#takers.size === 0 && this.#isWaiting) void this.#unblock()
      }
      if (signal.aborted) {
        onAbort()
        return
      }
      signal.addEventListener('abort', onAbort)
      this.#takers.add(taker)
      if (!this.#isTaking) void this.#give()
    })
  }

  /** For as long as somebody waits. */
  async #give(): Promise<void> {
    this.#isTaking = true
    try {
      while (this.#takers.size > 0 || this.#read !== '') {
        const left = await this.#fetch()
        if (left !== 0 && this.#takers.size > 0) await this.#wait(left)
      }
    } catch (error) {
      for (const taker of this.#takers) taker.reject(this.told(error))
    } finally {
      this.#isTaking = false
    }
  }

  /** Gives out what is there. Milliseconds until there may be more; -1: nobody knows; 0: look again. */
  async #fetch(): Promise<number> {
    const { name, attempts, dead, silenceMs } = this.#queue
    let want = 0
    for (const { most } of this.#takers) want = Math.min(want + most, mostAtATime)
    const numbers = [attempts, dead, silenceMs].map(String)
    const args = [String(want), this.#read, this.#rung, ...numbers]
    this.#read = this.#rung = ''
    const from = now()
    const answer = await run(this, name, takeScript, args)
    const [left, found] = answer as readonly [number, readonly Taken[]]
    const until = from + silenceMs
    const jobs = found.map((one) => new RedisJob(one, this, until, this.#passesOn))
    const isFound = jobs.length > 0
    for (const job of jobs) this.#hold(job)
    for (const taker of [...this.#takers]) {
      if (jobs.length === 0) break
      taker.resolve(jobs.splice(0, taker.most))
    }
    // Who wanted them is gone: somebody else gets them, as if nobody had had them.
    for (const job of jobs) this.#settled(job, 'unread', 0, '').catch(() => undefined)
    return isFound ? 0 : left
  }

  /** Until there is something, or its time is over. */
  async #wait(left: number): Promise<void> {
    const { name, silenceMs } = this.#queue
    const most = Math.min(Math.max(Math.ceil(silenceMs / 4), 50), longestWait)
    const ms = String(Math.ceil(left < 0 ? most : Math.min(left, most)))
    this.#isWaiting = true
    try {
      const read = ['XREADGROUP', 'GROUP', group, group, 'COUNT', '1', 'BLOCK', ms]
      const streams = [name, `millrace:${name}:bell`, '>', '>']
      const answer = (await this.#waiting.sendCommand([...read, ...['STREAMS', ...streams]])) as
        readonly Read[] | null
      for (const [stream, entries] of answer ?? []) {
        const id = entries[0]?.[0].toString() ?? ''
        if (stream.toString() === name) this.#read = id
        else this.#rung = id
      }
    } finally {
      this.#isWaiting = false
    }
  }

  /** Nobody waits any more, and no entry is to come here for nobody. */
  async #unblock(): Promise<void> {
    if (this.#waitingId === undefined) return
    await this.asked(['CLIENT', 'UNBLOCK', this.#waitingId]).catch(() => undefined) // it waits its time out
  }

  // What is in hand

  #hold(job: RedisJob): void {
    this.#held.set(job.entry, job)
    if (this.#held.size === 1) this.#beat()
  }

  /** Signs of life for what is in hand; and what had none for too long is somebody else's. */
  #beat(): void {
    stopTimer(this.#timer)
    const { silenceMs, leaseMs } = this.#queue
    this.#timer = startTimer(silenceMs / 3, () => {
      const time = now()
      for (const job of [...this.#held.values()]) if (job.until < time) this.#lose(job)
      if (leaseMs === 0) {
        this.#extended([...this.#held.values()], silenceMs).catch(() => undefined) // the line has ended, or the leases do
      }
      if (this.#held.size > 0) this.#beat()
    })
  }

  /** Those that are still held here are held longer; the others are somebody else's. */
  async #extended(jobs: readonly RedisJob[], milliseconds: number): Promise<void> {
    if (jobs.length === 0) return
    const from = now()
    const which = jobs.flatMap(({ entry, fencing }) => [entry, fencing])
    const args = [String(Math.ceil(milliseconds)), ...which]
    const answer = await run(this, this.#queue.name, extendScript, args)
    const lost = new Set((answer as readonly Buffer[]).map(String))
    for (const job of jobs) {
      if (!lost.has(job.entry)) job.until = Math.max(job.until, from + milliseconds)
      else if (this.#held.get(job.entry) === job) this.#lose(job)
    }
  }

  #lose(job: RedisJob): void {
    this.#held.delete(job.entry)
    this.#tellLoss(job)
  }

  async settle(job: RedisJob, settled: EngineSettle): Promise<void> {
    const { how } = settled
    const delay = 'delay' in settled ? settled.delay : 0
    const error = 'error' in settled ? settled.error.slice(0, longestReason) : ''
    await this.#settled(job, how, delay, error)
  }

  async completeAll(jobs: readonly RedisJob[]): Promise<void> {
    const ours = jobs.filter((job) => this.#held.get(job.entry) === job)
    for (const { entry } of ours) this.#held.delete(entry)
    // What became of each is of no interest to who asks like this.
    const all = ours.map((job) => ({ job, resolve: untold, reject: untold }))
    await Promise.all([...batchesOf(all, () => 0)].map((some) => this.#completeAll(some)))
  }

  async extend(job: RedisJob, milliseconds: number): Promise<void> {
    if (this.#held.get(job.entry) !== job) throw leaseLostError(this.shown)
    await this.#extended([job], milliseconds)
    if (this.#held.get(job.entry) !== job) throw leaseLostError(this.shown)
  }

  async #settled(job: RedisJob, how: string, delay: number, error: string): Promise<void> {
    const { name, attempts, dead } = this.#queue
    if (this.#held.get(job.entry) !== job) throw leaseLostError(this.shown)
    this.#held.delete(job.entry)
    if (how === 'complete') {
      const isDone = await new Promise<boolean>((resolve, reject) => {
        this.#completions.add({ job, resolve, reject })
      })
      if (!isDone) throw leaseLostError(this.shown)
      return
    }
    const args = [job.entry, job.fencing, how, String(Math.ceil(delay)), error]
    const done = await run(this, name, settleScript, [...args, String(attempts), String(dead)])
    if (done !== 1) throw leaseLostError(this.shown)
  }

  /** All of them in one step. Never rejects. */
  async #completeAll(all: readonly Completing[]): Promise<void> {
    if (all.length === 0) return
    const args = all.flatMap(({ job: { entry, fencing } }) => [entry, fencing])
    try {
      const answers = await run(this, this.#queue.name, completeScript, args)
      for (const [at, one] of all.entries()) one.resolve((answers as readonly number[])[at] === 1)
    } catch (error) {
      for (const one of all) one.reject(error)
    }
  }

  override async flush(): Promise<void> {
    this.#pushes.now()
    this.#completions.now()
    await super.flush()
  }

  /** What is in hand goes back at once, if the server can be told. */
  protected override async lastWords(): Promise<void> {
    stopTimer(this.#timer)
    this.#completions.now()
    for (const taker of this.#takers) taker.reject(this.gone('it was closed'))
    const { name } = this.#queue
    const told = [...this.#held.values()].map(({ entry, fencing }) =>
      run(this, name, settleScript, [entry, fencing, 'release', '0', '', '0', '0']),
    )
    this.#held.clear()
    if (told.length === 0) return
    let timer
    const late = new Promise<void>((resolve) => {
      timer = startTimer(lastWordsMs, resolve)
    })
    await Promise.race([Promise.allSettled(told), late])
    stopTimer(timer)
  }

  #tooLong(length: number): MillraceError {
    return new MillraceError(
      'ERR_MILLRACE_TOO_LARGE',
      `a payload of ${String(length)} bytes is more than the ${String(this.facts.maxBytes)} that '${this.shown}' takes: ` +
        'send less, or let it take more (maxBytes of the connection, proto-max-bulk-len of the server)',
      { executed: 'no' },
    )
  }
}

const inWhole = (milliseconds: number): string => String(Math.ceil(milliseconds))

/** So many at a time, and of so many bytes. */
function* batchesOf<T>(
  all: readonly T[],
  bytesOf: (one: T) => number,
): Generator<readonly T[], undefined> {
  let [from, bytes] = [0, 0]
  for (const [at, one] of all.entries()) {
    const length = bytesOf(one)
    if (at > from && (at - from === mostAtATime || bytes + length > mostBytes)) {
      yield all.slice(from, at)
      from = at
      bytes = 0
    }
    bytes += length
  }
  yield all.slice(from)
  return undefined
}

/** One entry of the stream, in hand. */
class RedisJob implements EngineJob {
  readonly entry: string
  readonly bytes: Uint8Array
  readonly attempt: number
  readonly acquired: number
  /** Its token, in decimal. */
  readonly fencing: string
  readonly pushedAt: number
  readonly priority: number
  readonly id: string | undefined
  readonly group: string | undefined
  readonly headers: Readonly<Record<string, string>> | undefined
  /** Which one it is, until it is settled. */
  readonly origin: string
  /** Until when it is certain that nobody else has it. */
  until: number
  readonly #work: RedisWork

  constructor(
    [id, token, acquired, attempt, raw]: Taken,
    work: RedisWork,
    until: number,
    passesOn: boolean,
  ) {
    this.#work = work
    this.until = until
    this.entry = this.origin = id.toString('latin1')
    this.fencing = token.toString('latin1')
    this.acquired = acquired
    this.attempt = attempt
    let bytes: Uint8Array | undefined
    let headers: Record<string, string> | undefined
    let [pushed, priority, its, group]: (string | undefined)[] = []
    for (let at = 0; at < raw.length; at += 2) {
      const name = raw[at]!.toString()
      const value = raw[at + 1]!
      if (name === 'data') bytes = passesOn ? value : new Uint8Array(value)
      else if (name === 'id') its = value.toString()
      else if (name === 'group') group = value.toString()
      else if (name === 'priority') priority = value.toString()
      else if (name === 'pushed') pushed = value.toString()
      else if (isSentAlong(name)) (headers ??= {})[name] = value.toString()
    }
    this.bytes = bytes ?? new Uint8Array(0)
    this.pushedAt = Number(pushed ?? this.entry.slice(0, this.entry.indexOf('-')))
    this.priority = Math.min(Math.max(Math.floor(Number(priority ?? 0)) || 0, 0), 31)
    this.id = its
    this.group = group
    this.headers = headers
  }

  get token(): bigint {
    return BigInt(this.fencing)
  }

  settle(how: EngineSettle): Promise<void> {
    return this.#work.settle(this, how)
  }

  extend(milliseconds: number): Promise<void> {
    return this.#work.extend(this, milliseconds)
  }
}
