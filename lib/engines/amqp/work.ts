// A work queue over a quorum queue. A job in hand is a message that is not acknowledged yet: the server gives it to somebody else when the
// connection has ended.

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
import { clock } from '../clock.js'
import { leaseLostError, longestLook, pause, shortestLook } from '../waiting.js'
import { amqpConnect, AmqpLine } from './connection.js'
import type { AmqpConnection, AmqpMessage, AmqpPublish } from './library.js'
import type { AmqpPlace } from './place.js'
import { Publishing, type Published } from './publishing.js'
import { delayOf, openDead, openDelay, openQueue, type AmqpQueue } from './queue.js'
import { Room } from './room.js'
import type { Taken, Taker } from './lane.js'
import { TakingAhead } from './taking-ahead.js'
import { Taking } from './taking.js'

/** Of the longest reason that goes with a dead letter, in UTF-16 units. */
const longestReason = 512
/** Milliseconds that the server knows: of an expiration, of a queue's time. */
const mostMs = 4_294_967_295

const names = {
  pushedAt: 'Millrace-Pushed-At',
  /** What a job without an id is called. */
  name: 'Millrace-Name',
  expires: 'Millrace-Expires',
  /** How often it was given out before it was put by for later. */
  before: 'Millrace-Before',
  reason: 'Millrace-Reason',
  error: 'Millrace-Error',
  attempts: 'Millrace-Attempts',
} as const

/** @throws MillraceError (as rejection) as `amqpConnect` and `openQueue` */
export async function amqpWork(
  place: AmqpPlace,
  wanted: EngineQueueOptions,
  connection: EngineConnection,
  signal: AbortSignal,
): Promise<EngineWork> {
  const model = await amqpConnect(place, connection, signal)
  return await AmqpWork.open(model, place, connection, wanted)
}

class AmqpWork extends AmqpLine implements EngineWork {
  #queue!: AmqpQueue
  #taking!: Taker
  #room!: Room
  readonly #publishing = new Publishing(this)
  readonly #held = new Set<AmqpJob>()
  /** Is what is taken passed on at once, so that its bytes need no memory of their own? */
  #passesOn = false
  /** Of the jobs that this line pushes without an id, what their names begin with, and how many they are. */
  readonly #prefix = process.getBuiltinModule('node:crypto').randomUUID()
  #named = 0
  /** Queues of what is due later, which are there. */
  readonly #delays = new Map<number, Promise<string>>()
  #tellLoss: (job: EngineJob) => void = () => undefined

  private constructor(model: AmqpConnection, place: AmqpPlace) {
    super(model, place)
    void this.ended.then(() => {
      for (const job of this.#held) stopTimer(job.lease)
      this.#held.clear()
    })
  }

  static async open(
    model: AmqpConnection,
    place: AmqpPlace,
    { maxBytes }: EngineConnection,
    wanted: EngineQueueOptions,
  ): Promise<AmqpWork> {
    const work = new AmqpWork(model, place)
    try {
      work.#queue = await openQueue(work, place.name, wanted, maxBytes)
      work.#room = new Room(work, work.#queue)
      const { ahead = 1 } = wanted
      work.#passesOn = ahead > 1
      work.#taking =
        ahead > 1 ? new TakingAhead(work, place.name, ahead) : await Taking.open(work, place.name)
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

  async push(
    bytes: Uint8Array,
    job: EngineJobOptions,
    signal: AbortSignal,
  ): Promise<{ readonly duplicate: boolean }> {
    assertPossible(job, this.shown)
    if (bytes.length > this.facts.maxBytes) throw this.#tooLong(bytes.length)
    const { id, delay, ttl } = job
    const today = Math.floor(clock())
    const headers: Record<string, string> = { ...job.headers, [names.pushedAt]: String(today) }
    if (id === undefined) headers[names.name] = this.#nextName()
    if (ttl !== 0) headers[names.expires] = String(today + ttl)
    const options: AmqpPublish = {
      ...{ mandatory: true, persistent: true, timestamp: Math.floor(today / 1000) },
      ...{ messageId: id, headers },
      // Where it waits for its time it must not end before that.
      expiration: ttl === 0 || delay > 0 ? undefined : String(Math.ceil(ttl)),
    }
    for (let look = shortestLook; ; look = Math.min(look * 2, longestLook)) {
      const published =
        delay > 0
          ? await this.#later(bytes, options, delay)
          : this.#room.isEndless
            ? await this.#publishing.publish('', this.#queue.name, bytes, options)
            : await this.#room.use(bytes.length, signal, () =>
                this.#publishing.publish('', this.#queue.name, bytes, options),
              )
      if (published === 'taken') return { duplicate: false }
      if (published === 'nowhere') throw this.#removed()
      await pause(look, signal)
    }
  }

  async take(most: number, signal: AbortSignal): Promise<readonly EngineJob[]> {
    for (;;) {
      const jobs: AmqpJob[] = []
      for (const taken of await this.#taking.take(most, signal)) {
        const job = this.#jobOf(taken)
        if (job !== undefined) jobs.push(job)
      }
      if (jobs.length > 0) return jobs
    }
  }

  #nextName(): string {
    return `${this.#prefix}-${String(++this.#named)}`
  }

  async flush(): Promise<void> {
    await this.#publishing.flushed()
  }

  /** Undefined: nobody is to have it any more. */
  #jobOf(taken: Taken): AmqpJob | undefined {
    const { attempts, leaseMs, dead, name } = this.#queue
    const isDead = dead === undefined && name.endsWith('-dead')
    const job = new AmqpJob(taken, this, isDead, this.#passesOn)
    const why =
      job.expires <= clock()
        ? 'expired'
        : attempts > 0 && job.attempt > attempts
          ? 'attempts'
          : undefined
    if (why === undefined) {
      this.#held.add(job)
      if (leaseMs > 0) this.#lend(job, leaseMs)
      return job
    }
    // Nobody waits for that: if it fails, the job comes again.
    this.#bury(job, why, why === 'expired' ? '' : 'its worker died').catch(() => {
      this.#giveBack(job)
    })
    return undefined
  }

  #lend(job: AmqpJob, milliseconds: number): void {
    stopTimer(job.lease)
    job.lease = startTimer(milliseconds, () => {
      if (!this.#held.delete(job)) return
      this.#giveBack(job)
      this.#tellLoss(job)
    })
  }

  #giveBack({ taken }: AmqpJob): void {
    taken.lane.back(taken.message).catch(() => undefined) // the connection has ended: it is back
  }

  async settle(job: AmqpJob, settled: EngineSettle): Promise<void> {
    if (!this.#held.delete(job)) throw leaseLostError(this.shown)
    stopTimer(job.lease)
    const { attempts } = this.#queue
    switch (settled.how) {
      case 'complete':
        await this.#done(job)
        return
      case 'reject':
        await this.#bury(job, 'rejected', settled.error)
        return
      case 'retry':
        if (attempts > 0 && job.attempt >= attempts) {
          await this.#bury(job, 'attempts', settled.error)
          return
        }
        await this.#back(job, settled.delay)
        return
      case 'release':
        await this.#back(job, settled.delay)
    }
  }

  async completeAll(jobs: readonly AmqpJob[]): Promise<void> {
    const told = new Set<Promise<void>>()
    for (const job of jobs) {
      if (!this.#held.delete(job)) continue
      stopTimer(job.lease)
      told.add(job.taken.lane.ack(job.taken.message))
    }
    await Promise.allSettled(told)
  }

  extend(job: AmqpJob, milliseconds: number): Promise<void> {
    if (!this.#held.has(job)) return Promise.reject(leaseLostError(this.shown))
    if (job.lease !== undefined && now() + milliseconds > job.lease.due) {
      this.#lend(job, milliseconds)
    }
    return Promise.resolve()
  }

  async #done({ taken }: AmqpJob): Promise<void> {
    try {
      await taken.lane.ack(taken.message)
    } catch (error) {
      throw this.told(error, 'unknown')
    }
  }

  async #back(job: AmqpJob, delay: number): Promise<void> {
    if (delay === 0) {
      try {
        await job.taken.lane.back(job.taken.message)
      } catch (error) {
        throw this.told(error, 'unknown')
      }
      return
    }
    // First it is there, and then no more here: who dies in between leaves both.
    await this.#moved(job, async () => {
      const options: AmqpPublish = {
        ...sent(job.pushedAt, job.id),
        headers: {
          ...ownHeaders(job.taken.message),
          [names.pushedAt]: String(job.pushedAt),
          [names.before]: String(job.attempt),
        },
      }
      await this.#put(() => this.#later(job.bytes, options, delay))
    })
  }

  async #bury(job: AmqpJob, reason: string, error: string): Promise<void> {
    const { dead } = this.#queue
    if (dead === undefined) {
      await this.#done(job)
      return
    }
    await this.#moved(job, async () => {
      const options: AmqpPublish = {
        ...sent(job.pushedAt, job.id),
        headers: {
          ...job.headers,
          [names.pushedAt]: String(job.pushedAt),
          ...(job.origin === undefined ? {} : { [names.name]: job.origin }),
          [names.reason]: reason,
          [names.attempts]: String(job.attempt),
          ...(error === '' ? {} : { [names.error]: error.slice(0, longestReason) }),
        },
      }
      await this.#put(async () => {
        const published = await this.#publishing.publish('', dead, job.bytes, options)
        if (published !== 'nowhere') return published
        await openDead(this, dead)
        return 'full'
      })
    })
  }

  /** What could not be put elsewhere is here, and comes again. */
  async #moved(job: AmqpJob, move: () => Promise<void>): Promise<void> {
    try {
      await move()
    } catch (error) {
      this.#giveBack(job)
      throw error
    }
    await this.#done(job)
  }

  async #put(publish: () => Promise<Published>): Promise<void> {
    for (let look = shortestLook; ; look = Math.min(look * 2, longestLook)) {
      if ((await publish()) === 'taken') return
      await pause(look)
    }
  }

  /** To the queue of those that are due then. */
  async #later(bytes: Uint8Array, options: AmqpPublish, delay: number): Promise<Published> {
    const ms = delayOf(delay)
    let opening = this.#delays.get(ms)
    if (opening === undefined) {
      opening = openDelay(this, this.#queue, delay)
      this.#delays.set(ms, opening)
    }
    try {
      const queue = await opening
      const published = await this.#publishing.publish('', queue, bytes, options)
      if (published !== 'nowhere') return published
    } catch (error) {
      this.#delays.delete(ms)
      throw error
    }
    // Somebody has removed it: once more, with a new one.
    this.#delays.delete(ms)
    return 'full'
  }

  #removed(): MillraceError {
    const error = new MillraceError(
      'ERR_MILLRACE_UNREACHABLE',
      `there is no queue '${this.#queue.name}' at '${this.shown}' any more: somebody has removed it`,
      { executed: 'no' },
    )
    this.fail(error)
    return error
  }

  #tooLong(length: number): MillraceError {
    return new MillraceError(
      'ERR_MILLRACE_TOO_LARGE',
      `a payload of ${String(length)} bytes is more than the ${String(this.facts.maxBytes)} that the connection to '${this.shown}' takes: send less, or let it take more (connection.maxBytes)`,
      { executed: 'no' },
    )
  }
}

/** One message that is not acknowledged. */
class AmqpJob implements EngineJob {
  readonly taken: Taken
  readonly bytes: Uint8Array
  readonly attempt: number
  readonly acquired: number
  readonly pushedAt: number
  readonly priority = 0
  readonly id: string | undefined
  readonly group = undefined
  readonly origin: string | undefined
  readonly headers: Readonly<Record<string, string>> | undefined
  /** Milliseconds since 1970. */
  readonly expires: number
  lease: Timer | undefined
  readonly #work: AmqpWork

  readonly #token = nextToken()

  constructor(taken: Taken, work: AmqpWork, isDead: boolean, passesOn: boolean) {
    this.taken = taken
    this.#work = work
    const { content, properties } = taken.message
    const all = properties.headers
    const text = (name: string): string | undefined => {
      const value = all?.[name]
      return isPlain(value) ? String(value) : undefined
    }
    this.bytes = passesOn ? content : new Uint8Array(content)
    const before = isDead ? 0 : Number(text(names.before) ?? 0)
    this.attempt = before + Number(text('x-delivery-count') ?? 0) + 1
    this.acquired = this.attempt
    this.expires = isDead ? Infinity : Number(text(names.expires) ?? Infinity)
    const { timestamp } = properties
    const seconds = timestamp === undefined ? clock() : timestamp * 1000
    this.pushedAt = Number(text(names.pushedAt) ?? seconds)
    this.id = properties.messageId
    this.origin = text(names.name)
    this.headers = sentAlong(all)
  }

  get token(): bigint {
    return BigInt(this.#token)
  }

  settle(how: EngineSettle): Promise<void> {
    return this.#work.settle(this, how)
  }

  extend(milliseconds: number): Promise<void> {
    return this.#work.extend(this, milliseconds)
  }
}

function isPlain(value: unknown): value is string | number {
  return typeof value === 'string' || typeof value === 'number'
}

let lastToken = 0

/** The time of day, in microseconds: a server of AMQP has nothing that grows. */
function nextToken(): number {
  return (lastToken = Math.max(Math.round(clock() * 1000), lastToken + 1))
}

/** Of all that is published for a queue. */
function sent(pushedAt: number, id: string | undefined): AmqpPublish {
  return {
    mandatory: true,
    persistent: true,
    timestamp: Math.floor(pushedAt / 1000),
    ...(id === undefined ? {} : { messageId: id }),
  }
}

/** Without what the server has added. */
function ownHeaders({ properties }: AmqpMessage): Record<string, unknown> {
  const entries = Object.entries(properties.headers ?? {})
  return Object.fromEntries(entries.filter(([name]) => !name.startsWith('x-')))
}

/** The rest is RabbitMQ's own, and what this file writes. */
function sentAlong(
  headers: Readonly<Record<string, unknown>> | undefined,
): Readonly<Record<string, string>> | undefined {
  let along: Record<string, string> | undefined
  for (const name in headers) {
    const value = headers[name]
    if (isSentAlong(name) && isPlain(value)) (along ??= {})[name] = String(value)
  }
  return along
}

function assertPossible(
  { priority, group, delay, ttl, id }: EngineJobOptions,
  shown: string,
): void {
  const what =
    priority > 0
      ? 'a priority, which quorum queues have not: take a queue for each priority'
      : group !== undefined
        ? 'a group, which quorum queues have not: take a queue for each group, with one worker'
        : Math.max(delay, ttl) > mostMs
          ? `a delay or a ttl of more than ${String(mostMs)} ms: push it later`
          : id !== undefined && Buffer.byteLength(id) > 255
            ? 'an id of more than 255 bytes: take a shorter one'
            : undefined
  if (what === undefined) return
  throw new MillraceError('ERR_MILLRACE_UNSUPPORTED', `a job of '${shown}' cannot have ${what}`, {
    executed: 'no',
  })
}
