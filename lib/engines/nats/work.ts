// A work queue over JetStream. A job in hand is a message that is not acknowledged yet: the server gives it to somebody else when its
// worker has shown no sign of life for the time of a lease; a worker that lives shows one for all it has in hand, five times as often.
//
// A pull has an inbox, for what it brings says not whose it is. With one that nobody waits for any more goes its inbox, and what was on
// its way goes back: the server counts that as an attempt, so it must be rare.

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
import { Answers } from './answers.js'
import { natsConnect, NatsLine } from './connection.js'
import type { NatsConnection, NatsHeaders, NatsMessage, NatsSubscription } from './library.js'
import type { NatsPlace } from './place.js'
import { apiError, isNobody, notAnswered, openDead, openStream, type NatsQueue } from './stream.js'

/** Milliseconds for which the server keeps a pull. */
const pullMs = 30_000
/** Milliseconds between the server's signs that it has a pull still: whoever had it in a cluster may have died, and tells nobody. */
const pulseMs = 2000
const answerMs = 5000
/**
 * Milliseconds between the end of a queue that somebody removes and its making anew. The server tells that a queue has gone before it has
 * removed all of it, and what is made of that name meanwhile goes half with it (nats-server 2.9.10: its file, or its consumer).
 */
const removalMs = 1000
/** The server says the same of each failure to store something. */
const notStored = 10_077
const full = /maximum (messages|bytes)/
/** As the server says that nobody listens, and that it has the pull still. */
const nobody = 503
const pulse = 100

const names = {
  id: 'Nats-Msg-Id',
  due: 'Millrace-Due',
  expires: 'Millrace-Expires',
  pushedAt: 'Millrace-Pushed-At',
  ofDead: 'Millrace-Id',
  reason: 'Millrace-Reason',
  error: 'Millrace-Error',
  attempts: 'Millrace-Attempts',
} as const

/** Of the longest reason that goes with a dead letter, in UTF-16 units. */
const longestReason = 512

interface PubAck {
  readonly duplicate?: boolean
  readonly error?: {
    readonly code: number
    readonly err_code?: number
    readonly description?: string
  }
}

/** What becomes of what a pull brings. */
interface Pull {
  arrived(message: NatsMessage): void
  /** The server has it still. */
  heard(): void
  /** The server has no more for it. */
  over(code: number, description: string): void
}

interface Inbox {
  readonly subject: string
  readonly subscription: NatsSubscription
  pull: Pull | undefined
}

/** @throws MillraceError (as rejection) as `natsConnect` and `openStream` */
export async function natsWork(
  place: NatsPlace,
  wanted: EngineQueueOptions,
  connection: EngineConnection,
  signal: AbortSignal,
): Promise<EngineWork> {
  const nats = await natsConnect(place, connection, signal)
  return await NatsWork.open(nats, place, connection, wanted)
}

export class NatsWork extends NatsLine implements EngineWork {
  #queue!: NatsQueue
  readonly #answers: Answers
  readonly #inboxes = new Set<Inbox>()
  readonly #free: Inbox[] = []
  readonly #held = new Set<NatsJob>()
  #tellLoss: (job: EngineJob) => void = () => undefined
  #dead: Promise<string> | undefined
  #timer: Timer | undefined

  private constructor(nats: NatsConnection, place: NatsPlace, connection: EngineConnection) {
    super(nats, place, connection)
    this.#answers = new Answers(nats, this.library, answerMs)
    void this.ended.then((why) => {
      stopTimer(this.#timer)
      this.#answers.end(why ?? this.gone())
      for (const { pull } of this.#inboxes) pull?.over(0, 'the connection has ended')
    })
  }

  static async open(
    nats: NatsConnection,
    place: NatsPlace,
    connection: EngineConnection,
    wanted: EngineQueueOptions,
  ): Promise<NatsWork> {
    const work = new NatsWork(nats, place, connection)
    try {
      work.#queue = await openStream(work, place, wanted)
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
    const { subject } = this.#queue
    assertPossible(job, this.shown)
    if (bytes.length > this.facts.maxBytes) throw this.#tooLong(bytes.length)
    const today = clock()
    const headers = this.headersOf([
      ...(job.id === undefined ? [] : [[names.id, job.id] as const]),
      ...(job.delay === 0 ? [] : [[names.due, String(today + job.delay)] as const]),
      ...(job.ttl === 0 ? [] : [[names.expires, String(today + job.ttl)] as const]),
      ...Object.entries(job.headers ?? {}),
    ])
    for (let look = shortestLook; ; look = Math.min(look * 2, longestLook)) {
      const answer = await this.#published(subject, bytes, headers)
      const { error } = answer
      if (error === undefined) return { duplicate: answer.duplicate === true }
      if (error.err_code !== notStored || !full.test(error.description ?? '')) {
        throw apiError(this, error)
      }
      await pause(look, signal)
    }
  }

  async take(most: number, signal: AbortSignal): Promise<readonly EngineJob[]> {
    const there = await this.#pull({ batch: most, no_wait: true }, signal)
    if (there.length > 0) return there
    for (;;) {
      const wanted = { batch: 1, expires: pullMs * 1e6, idle_heartbeat: pulseMs * 1e6 }
      const [first] = await this.#pull(wanted, signal)
      if (first === undefined) continue
      if (most === 1) return [first]
      return [first, ...(await this.#pull({ batch: most - 1, no_wait: true }, signal))]
    }
  }

  async flush(): Promise<void> {
    await this.flushed()
  }

  protected override refusedAt(subject: string, error: Error): void {
    this.#answers.refused(subject, error)
  }

  /** What one pull brings. None: there was nothing in its time. */
  #pull(
    wanted: {
      readonly batch: number
      readonly no_wait?: boolean
      readonly expires?: number
      readonly idle_heartbeat?: number
    },
    signal: AbortSignal,
  ): Promise<NatsJob[]> {
    return new Promise((resolve, reject) => {
      const inbox = this.#free.pop() ?? this.#newInbox()
      const jobs: NatsJob[] = []
      let left = wanted.batch
      const end = (error?: Error): void => {
        stopTimer(late)
        signal.removeEventListener('abort', onAbort)
        if (error === undefined) {
          for (const job of jobs) this.#hold(job)
          resolve(jobs)
        } else {
          for (const { reply } of jobs) this.#tell(reply, '-NAK')
          reject(error)
        }
      }
      const isFree = (): void => {
        inbox.pull = undefined
        this.#free.push(inbox)
      }
      const leave = (): void => {
        // The server gives nothing to an inbox that nobody listens to; what is on its way goes back.
        inbox.pull = {
          arrived: ({ reply = '' }) => {
            this.#tell(reply, '-NAK')
          },
          heard: () => undefined,
          over: () => undefined,
        }
        this.#inboxes.delete(inbox)
        inbox.subscription.drain().catch(() => undefined) // the connection has ended
      }
      const onAbort = (): void => {
        leave()
        end(new MillraceError('ERR_MILLRACE_ABORTED', 'nobody waits for this job any more'))
      }
      // What comes to a consumer in the moment that somebody removes it, the server answers never; nor what one of a cluster had that died.
      let late: Timer | undefined
      const listen = (): void => {
        stopTimer(late)
        late = startTimer(answerMs, () => {
          leave()
          end()
        })
      }
      listen()
      inbox.pull = {
        heard: listen,
        arrived: (message) => {
          const job = this.#jobOf(message)
          if (job !== undefined) jobs.push(job)
          if (--left > 0) return
          isFree()
          end()
        },
        over: (code, description) => {
          isFree()
          if (jobs.length > 0) end()
          else if (this.closed || code === 0) end(this.gone())
          // There is nothing, or not in that time.
          else if (code === 404 || code === 408) end()
          else void this.#noMore(code, description).then(end)
        },
      }
      if (signal.aborted) {
        isFree()
        end(new MillraceError('ERR_MILLRACE_ABORTED', 'nobody waits for this job any more'))
        return
      }
      signal.addEventListener('abort', onAbort)
      try {
        const options = { reply: inbox.subject }
        this.nats.publish(this.#queue.pulls, Buffer.from(JSON.stringify(wanted)), options)
      } catch (error) {
        isFree()
        end(this.told(error, 'no'))
      }
    })
  }

  #newInbox(): Inbox {
    const subject = this.library.createInbox()
    const subscription = this.nats.subscribe(subject, {
      callback: (error, message) => {
        if (error !== null) return
        const { headers } = message
        if (headers?.code === pulse) {
          inbox.pull?.heard()
        } else if (headers !== undefined && headers.code > 0) {
          inbox.pull?.over(headers.code, headers.description)
        } else {
          inbox.pull?.arrived(message)
        }
      },
    })
    const inbox: Inbox = { subject, subscription, pull: undefined }
    this.#inboxes.add(inbox)
    return inbox
  }

  /** Undefined: nobody is to have it now. */
  #jobOf(message: NatsMessage): NatsJob | undefined {
    const job = new NatsJob(message, this)
    const today = clock()
    if (job.due > today && job.delivered === 1) {
      this.#tell(job.reply, `-NAK {"delay": ${String(Math.ceil((job.due - today) * 1e6))}}`)
      return undefined
    }
    const { attempts } = this.#queue.kept
    const why =
      job.expires <= today
        ? 'expired'
        : attempts > 0 && job.attempt > attempts
          ? 'attempts'
          : undefined
    if (why === undefined) return job
    // Nobody waits for that: if it fails, the server gives the job once more.
    this.#bury(job, why, why === 'expired' ? '' : 'its worker died').catch(() => undefined)
    return undefined
  }

  #hold(job: NatsJob): void {
    this.#held.add(job)
    if (this.#held.size === 1) this.#beat()
  }

  /** Signs of life for what is in hand; and what had none for too long is somebody else's. */
  #beat(): void {
    stopTimer(this.#timer)
    const { ackWaitMs, kept } = this.#queue
    // Often: who stands still for less than four of five parts of a lease, as on a machine with too much to do, keeps what it has.
    this.#timer = startTimer(ackWaitMs / 5, () => {
      const time = now()
      for (const job of this.#held) {
        if (this.#isOver(job)) this.#lose(job)
        else if (kept.leaseMs === 0 || job.until > time) this.#renew(job)
      }
      if (this.#held.size > 0) this.#beat()
    })
  }

  #renew(job: NatsJob): void {
    job.renewed = now()
    this.#tell(job.reply, '+WPI')
  }

  #isOver({ renewed }: NatsJob): boolean {
    return now() - renewed > this.#queue.ackWaitMs
  }

  #lose(job: NatsJob): void {
    this.#held.delete(job)
    this.#tellLoss(job)
  }

  async settle(job: NatsJob, settled: EngineSettle): Promise<void> {
    if (!this.#held.delete(job) || this.#isOver(job)) throw leaseLostError(this.shown)
    const { attempts } = this.#queue.kept
    switch (settled.how) {
      case 'complete':
        await this.#confirmed(job, '+ACK')
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

  /** The server knows one time for all jobs: it is renewed for as long as it takes. */
  extend(job: NatsJob, milliseconds: number): Promise<void> {
    if (!this.#held.has(job) || this.#isOver(job)) return Promise.reject(leaseLostError(this.shown))
    job.until = Math.max(job.until, now() + milliseconds)
    this.#renew(job)
    return Promise.resolve()
  }

  async #back(job: NatsJob, delay: number): Promise<void> {
    await this.#confirmed(
      job,
      delay > 0 ? `-NAK {"delay": ${String(Math.round(delay * 1e6))}}` : '-NAK',
    )
  }

  /** First it is there, and then no more here: who dies in between leaves both, and the id makes one of them. */
  async #bury(job: NatsJob, reason: string, error: string): Promise<void> {
    if (this.#queue.kept.dead > 0) {
      this.#dead ??= openDead(this, this.#queue)
      let subject: string
      try {
        subject = await this.#dead
      } catch (failure) {
        this.#dead = undefined
        throw failure
      }
      const headers = this.headersOf([
        [names.id, `dead ${this.#queue.stream} ${String(job.sequence)}`],
        [names.reason, reason],
        [names.attempts, String(job.attempt)],
        [names.pushedAt, String(job.pushedAt)],
        ...(job.id === undefined ? [] : [[names.ofDead, job.id] as const]),
        ...(error === '' ? [] : [[names.error, oneLine(error)] as const]),
      ])
      const answer = await this.#published(subject, job.bytes, headers)
      if (answer.error !== undefined) throw apiError(this, answer.error)
    }
    await this.#confirmed(job, '+TERM')
  }

  async #published(
    subject: string,
    bytes: Uint8Array,
    headers: ReturnType<NatsLine['headersOf']>,
  ): Promise<PubAck> {
    let answer: Uint8Array
    try {
      answer = await this.#answers.ask(subject, bytes, headers)
    } catch (error) {
      const { message } = error as Error
      if (message.includes('max_payload')) throw this.#tooLong(bytes.length)
      if (isNobody(error as Error)) throw await this.#removed(error as Error)
      throw notAnswered(this, error as Error)
    }
    const { buffer, byteOffset, byteLength } = answer
    return JSON.parse(Buffer.from(buffer, byteOffset, byteLength).toString()) as PubAck
  }

  async #confirmed({ reply }: NatsJob, what: string): Promise<void> {
    try {
      await this.#answers.ask(reply, Buffer.from(what))
    } catch (error) {
      // With its stream the job is gone.
      if (isNobody(error as Error)) {
        void this.#removed(error as Error)
        throw leaseLostError(this.shown)
      }
      throw this.told(error, 'unknown')
    }
  }

  #tell(reply: string, what: string): void {
    try {
      this.nats.publish(reply, Buffer.from(what))
    } catch {
      // The connection has ended: the server gives the job to somebody else when its time is over.
    }
  }

  /** What ends the pull. Never rejects. */
  async #noMore(code: number, description: string): Promise<MillraceError> {
    if (/shutdown|leadership/i.test(description)) {
      this.close()
      return this.gone()
    }
    if (code === nobody || /deleted/i.test(description)) return await this.#removed()
    return new MillraceError(
      'ERR_MILLRACE_UNREACHABLE',
      `the queue at '${this.shown}' gives no jobs: ${description} (${String(code)})`,
      { executed: 'no' },
    )
  }

  /** Whoever needs it makes a connection anew, and the queue with it, as soon as there is JetStream. Never rejects. */
  async #removed(cause?: Error): Promise<MillraceError> {
    const error = new MillraceError(
      'ERR_MILLRACE_UNREACHABLE',
      `nobody has the queue at '${this.shown}' now: somebody has removed it, or JetStream is starting`,
      { cause, executed: 'no' },
    )
    await pause(removalMs)
    this.fail(error)
    return error
  }

  #tooLong(length: number): MillraceError {
    return new MillraceError(
      'ERR_MILLRACE_TOO_LARGE',
      `a payload of ${String(length)} bytes, with its headers, is more than the ${String(this.facts.maxBytes)} that '${this.shown}' takes: ` +
        'send less, or let the server take more (max_payload)',
      { executed: 'no' },
    )
  }
}

/** One message that is not acknowledged. */
class NatsJob implements EngineJob {
  readonly bytes: Uint8Array
  readonly attempt: number
  readonly acquired: number
  readonly token: bigint
  readonly pushedAt: number
  readonly priority = 0
  readonly id: string | undefined
  readonly group = undefined
  readonly origin: string
  readonly headers: Readonly<Record<string, string>> | undefined
  readonly reply: string
  readonly sequence: number
  /** How often the server has given it out. */
  readonly delivered: number
  /** Milliseconds since 1970. */
  readonly due: number
  readonly expires: number
  /** When the server heard of it the last time, as far as is certain. */
  renewed = now()
  /** Until when its lease was made longer. */
  until = 0
  readonly #work: NatsWork

  constructor({ data, reply = '', headers }: NatsMessage, work: NatsWork) {
    this.#work = work
    this.reply = reply
    this.bytes = new Uint8Array(data)
    // $JS.ACK.stream.consumer.delivered.sequence.delivery.time.pending, or with a domain and an account before the stream
    const tokens = reply.split('.')
    const at = tokens.length === 9 ? 4 : 6
    const text = (name: string): string | undefined => {
      const value = headers?.get(name)
      return value === undefined || value === '' ? undefined : value
    }
    this.delivered = Number(tokens[at])
    this.sequence = Number(tokens[at + 1])
    this.due = Number(text(names.due) ?? 0)
    this.expires = Number(text(names.expires) ?? Infinity)
    this.pushedAt = Number(text(names.pushedAt) ?? Number(tokens[at + 3]) / 1e6)
    this.id = text(names.ofDead) ?? (text(names.reason) === undefined ? text(names.id) : undefined)
    // A stream that is made anew counts from 1 again.
    this.origin = `${String(this.sequence)}.${tokens[at + 3] ?? ''}`
    this.headers = sentAlong(headers)
    this.acquired = this.delivered
    // What was not due yet was given out once before anybody had it in hand.
    this.attempt = Math.max(this.delivered - (this.due > 0 ? 1 : 0), 1)
    this.token = BigInt(tokens[at + 2] ?? 0)
  }

  settle(how: EngineSettle): Promise<void> {
    return this.#work.settle(this, how)
  }

  extend(milliseconds: number): Promise<void> {
    return this.#work.extend(this, milliseconds)
  }
}

function assertPossible({ priority, group }: EngineJobOptions, shown: string): void {
  const what =
    priority > 0
      ? ['a priority', 'take a queue for each priority']
      : group !== undefined
        ? ['a group', 'take a queue for each group, with one worker']
        : undefined
  if (what === undefined) return
  throw new MillraceError(
    'ERR_MILLRACE_UNSUPPORTED',
    `a job of '${shown}' cannot have ${what[0]!}: JetStream gives jobs out in one order; ${what[1]!}`,
    { executed: 'no' },
  )
}

/** What begins with `millrace-`: the rest is NATS's own, and what this file writes. */
function sentAlong(headers: NatsHeaders | undefined): Readonly<Record<string, string>> | undefined {
  const names = headers?.keys().filter(isSentAlong) ?? []
  return names.length === 0
    ? undefined
    : Object.fromEntries(names.map((name) => [name, headers!.get(name)]))
}

function oneLine(text: string): string {
  return text.slice(0, longestReason).replaceAll(/[\r\n]+/g, ' ')
}
