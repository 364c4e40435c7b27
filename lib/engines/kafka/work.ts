// A work queue over a topic. All workers are one consumer group: each partition is with one of them, which gives its records out as jobs,
// several at a time, one of each group. What comes back stays with this process, before its group's next one. Kafka is told how far a
// partition is done; who has it next begins there.
//
// Before the group is joined anew, nothing more is given out, and what is in hand has a while to be settled. Partitions that are with
// somebody else then take their jobs with them. A commit says in which generation of the group it was made, and Kafka refuses older ones.
//
// Who takes alone joins no group, whose dead members he would have to wait for. The offsets are those of the group all the same: Kafka takes
// them from anybody while the group has no members.

import { now, startTimer, stopTimer } from '../../base/time.js'
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
import { bottomOf, comesLater, kafkaError, typeOf } from './errors.js'
import { KafkaJob, recordOf } from './job.js'
import { Lane } from './lane.js'
import { kafkaConnect, KafkaLine } from './line.js'
import { Outbox } from './outbox.js'
import type { KafkaPlace } from './place.js'
import {
  rebalancing,
  type KafkaArrival,
  type KafkaConnection,
  type KafkaLibrary,
  type KafkaMember,
  type KafkaShare,
} from './port.js'

const usualAttempts = 5
/** How often a commit is tried, and the milliseconds between. */
const mostCommits = 6
const commitPauseMs = 250

/** @throws MillraceError (as rejection) as `kafkaConnect` */
export async function kafkaWork(
  library: KafkaLibrary,
  place: KafkaPlace,
  wanted: EngineQueueOptions,
  connection: EngineConnection,
  signal: AbortSignal,
): Promise<EngineWork> {
  const kafka = await kafkaConnect(library, place, connection, signal)
  return new KafkaWork(kafka, place, wanted, connection)
}

class KafkaWork extends KafkaLine implements EngineWork {
  readonly facts: EngineQueueFacts
  readonly #leaseMs: number
  readonly #keepsDead: boolean
  readonly #isAlone: boolean
  readonly #outbox: Outbox
  readonly #dead: Outbox
  #isMember = false
  #member: KafkaMember | undefined
  #share: KafkaShare | undefined
  readonly #lanes = new Map<number, Lane<KafkaJob>>()
  /** Jobs that can be given out, in their order. */
  readonly #ready: KafkaJob[] = []
  /** By groups that have a job which is ready, in hand, or on its way back: those behind it. */
  readonly #behind = new Map<string, KafkaJob[]>()
  readonly #inHand = new Set<KafkaJob>()
  readonly #waiting = new Set<() => void>()
  /** The group is being joined anew: nothing is given out. */
  #isLeaving = false
  #settled: (() => void) | undefined
  /** Kafka refuses commits until the group is joined anew. */
  #rejoining: Promise<void> | undefined
  #rejoined: (() => void) | undefined
  #committing: Promise<void> | undefined
  /** By brokers, though nobody else is said to take. */
  #refusedSince: number | undefined
  #given = 0n
  #tellLoss: (job: EngineJob) => void = () => undefined

  constructor(
    kafka: KafkaConnection,
    place: KafkaPlace,
    wanted: EngineQueueOptions,
    connection: EngineConnection,
  ) {
    super(kafka, place, connection)
    this.#leaseMs = wanted.leaseMs ?? 0
    this.#keepsDead = wanted.dead !== 0
    this.#isAlone = wanted.alone === true
    this.#outbox = new Outbox(kafka, this, this.topic)
    this.#dead = new Outbox(kafka, this, `${this.topic}-dead`)
    this.facts = {
      jobs: Infinity,
      bytes: Infinity,
      maxBytes: connection.maxBytes,
      maxAttempts: wanted.attempts ?? usualAttempts,
      durability: 'file',
      dedups: false,
      priorities: 1,
    }
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
    const { maxBytes } = this.facts
    if (bytes.length > maxBytes) {
      throw new MillraceError(
        'ERR_MILLRACE_TOO_LARGE',
        `a payload of ${String(bytes.length)} bytes is more than the ${String(maxBytes)} of 'maxBytes' of the connection: send less, or say more`,
        { executed: 'no' },
      )
    }
    await this.#outbox.put(recordOf(bytes, job), signal)
    return { duplicate: false }
  }

  async take(most: number, signal: AbortSignal): Promise<readonly EngineJob[]> {
    this.#join()
    for (;;) {
      if (this.closed) throw this.gone('unknown')
      if (signal.aborted) {
        throw new MillraceError('ERR_MILLRACE_ABORTED', 'nobody waits for this job any more')
      }
      const jobs = this.#isLeaving ? [] : this.#give(most)
      if (jobs.length > 0) return jobs
      await new Promise<void>((woken) => {
        const wake = (): void => {
          this.#waiting.delete(wake)
          signal.removeEventListener('abort', wake)
          woken()
        }
        this.#waiting.add(wake)
        signal.addEventListener('abort', wake)
      })
    }
  }

  async flush(): Promise<void> {
    await Promise.all([this.#outbox.flushed(), this.#dead.flushed()])
    await this.#committing
  }

  protected override over(): void {
    this.#outbox.end()
    this.#dead.end()
    for (const lane of this.#lanes.values()) this.#lose(lane)
    this.#lanes.clear()
    this.#settled?.()
    this.#rejoined?.()
    this.#wake()
  }

  // The group

  /** Who only pushes is no member of the group: it would get jobs. */
  #join(): void {
    if (this.#isMember) return
    this.#isMember = true
    const failed = (error: unknown): void => {
      this.fail(kafkaError(this.shown, error, 'unknown'))
    }
    const joined = this.kafka.consume({
      topic: this.topic,
      // Members of one group must all read the same topics.
      group: `millrace-${this.topic}`,
      from: 'begin',
      keeps: true,
      alone: this.#isAlone,
      sessionMs: this.sessionMs,
      leaving: () => this.#leave(),
      joined: (share) => this.#joined(share),
      arrived: (partition, records) => this.#arrived(partition, records),
      failed,
    })
    joined.then((member) => {
      this.#member = member
    }, failed)
  }

  /** What is in hand has a third of the time after which this process counts as dead. */
  async #leave(): Promise<void> {
    if (this.#isLeaving || this.closed) return
    this.#isLeaving = true
    if (this.#inHand.size > 0) {
      await new Promise<void>((resolve) => {
        const timer = startTimer(this.sessionMs / 3, resolve)
        this.#settled = () => {
          stopTimer(timer)
          resolve()
        }
      })
      this.#settled = undefined
    }
    await this.#committing?.catch(() => undefined) // whoever waits for it is told
  }

  #joined(share: KafkaShare): ReadonlyMap<number, bigint> {
    // Nobody else had a partition in between if no generation was missed.
    const isNext = this.#share !== undefined && share.generation === this.#share.generation + 1
    for (const [partition, lane] of this.#lanes) {
      if (isNext && share.partitions.includes(partition)) continue
      this.#lanes.delete(partition)
      this.#lose(lane)
    }
    for (const partition of share.partitions) {
      if (!this.#lanes.has(partition)) this.#lanes.set(partition, new Lane(partition))
    }
    this.#share = share
    this.#isLeaving = false
    this.#rejoined?.()
    this.#wake()
    return new Map(
      [...this.#lanes].flatMap(([partition, { next }]) =>
        next === undefined ? [] : [[partition, next] as const],
      ),
    )
  }

  #lose(lane: Lane<KafkaJob>): void {
    const jobs = new Set(lane.jobs)
    lane.lose()
    for (const job of jobs) {
      stopTimer(job.timer)
      this.#behind.delete(groupOf(job))
      if (this.#inHand.delete(job)) this.#tellLoss(job)
    }
    const left = this.#ready.filter((job) => !jobs.has(job))
    this.#ready.splice(0, Infinity, ...left)
  }

  #arrived(partition: number, records: readonly KafkaArrival[]): Promise<void> {
    const lane = this.#lanes.get(partition)
    if (lane === undefined) return Promise.resolve()
    for (const record of records) {
      // After a rebalance some come again that are here.
      if (lane.next !== undefined && record.offset < lane.next) continue
      if (lane.next === undefined) lane.committed = record.offset
      lane.next = record.offset + 1n
      const job = new KafkaJob(this, lane, this.topic, record)
      lane.add(job)
      const behind = this.#behind.get(groupOf(job))
      if (behind !== undefined) {
        behind.push(job)
        continue
      }
      if (job.group !== undefined) this.#behind.set(groupOf(job), [])
      this.#ready.push(job)
    }
    this.#wake()
    return lane.room()
  }

  // Jobs

  #give(most: number): KafkaJob[] {
    const jobs: KafkaJob[] = []
    const today = clock()
    while (jobs.length < most) {
      const job = this.#ready.shift()
      if (job === undefined) break
      if (job.expires <= today) {
        this.#buryLater(job, 'expired', '')
        continue
      }
      job.attempt++
      job.acquired++
      job.token = (BigInt(this.#share?.generation ?? 0) << 32n) | ++this.#given
      this.#inHand.add(job)
      if (this.#leaseMs > 0) this.#lease(job, this.#leaseMs)
      jobs.push(job)
    }
    return jobs
  }

  #lease(job: KafkaJob, milliseconds: number): void {
    stopTimer(job.timer)
    job.timer = startTimer(milliseconds, () => {
      this.#inHand.delete(job)
      this.#tellLoss(job)
      if (this.#isLastAttempt(job)) this.#buryLater(job, 'attempts', 'its lease was over')
      else this.#back(job, 0)
    })
  }

  extend(job: KafkaJob, milliseconds: number): Promise<void> {
    if (!this.#inHand.has(job)) return Promise.reject(this.#lostError())
    if (job.timer !== undefined && job.timer.due < now() + milliseconds) {
      this.#lease(job, milliseconds)
    }
    return Promise.resolve()
  }

  async settle(job: KafkaJob, settled: EngineSettle): Promise<void> {
    if (!this.#inHand.delete(job)) throw this.#lostError()
    stopTimer(job.timer)
    try {
      switch (settled.how) {
        case 'complete':
          await this.#done(job)
          return
        case 'reject':
          await this.#bury(job, 'rejected', settled.error)
          return
        case 'retry':
          if (this.#isLastAttempt(job)) await this.#bury(job, 'attempts', settled.error)
          else this.#back(job, settled.delay)
          return
        case 'release':
          job.attempt--
          this.#back(job, settled.delay)
      }
    } finally {
      if (this.#inHand.size === 0) this.#settled?.()
    }
  }

  #isLastAttempt({ attempt }: KafkaJob): boolean {
    const { maxAttempts } = this.facts
    return maxAttempts > 0 && attempt >= maxAttempts
  }

  /** Before all others: it is the oldest. Those of its group are behind it. */
  #back(job: KafkaJob, delay: number): void {
    const back = (): void => {
      if (job.lane.isLost) return
      this.#ready.unshift(job)
      this.#wake()
    }
    if (delay > 0) job.timer = startTimer(delay, back)
    else back()
  }

  /** First it is there, and then no more here: who dies in between leaves both. */
  async #bury(job: KafkaJob, reason: string, error: string): Promise<void> {
    if (this.#keepsDead) {
      try {
        await this.#dead.put(job.buried(reason, error))
      } catch (failure) {
        this.#back(job, 0)
        throw failure
      }
    }
    await this.#done(job)
  }

  /** Nobody waits for that: if it fails, the job is there still. */
  #buryLater(job: KafkaJob, reason: string, error: string): void {
    this.#bury(job, reason, error).catch(() => undefined)
  }

  /** Resolves when Kafka knows it; if something before it is not done, that will be with the last of those. */
  async #done(job: KafkaJob): Promise<void> {
    const { lane } = job
    this.#assertHere(lane)
    const before = lane.floor
    lane.remove(job)
    const behind = this.#behind.get(groupOf(job))
    const next = behind?.shift()
    if (next !== undefined) {
      this.#ready.push(next)
      this.#wake()
    } else if (behind !== undefined) {
      this.#behind.delete(groupOf(job))
    }
    const { floor } = lane
    if (floor === before) return
    for (let failures = 0; lane.committed < floor;) {
      this.#assertHere(lane)
      try {
        await (this.#rejoining ?? (this.#committing ??= this.#commit()))
      } catch (error) {
        if (++failures === mostCommits || !comesAgain(error)) {
          throw kafkaError(this.shown, error, 'unknown')
        }
        await new Promise<void>((resolve) => {
          startTimer(commitPauseMs, resolve)
        })
      }
    }
  }

  #assertHere({ isLost }: Lane<KafkaJob>): void {
    if (this.closed) throw this.gone('unknown')
    if (isLost) throw this.#lostError()
  }

  /** All that is done by now. */
  async #commit(): Promise<void> {
    try {
      await Promise.resolve() // what is settled in this turn goes together
      const share = this.#share!
      const lanes = [...this.#lanes.values()].filter((lane) => lane.committed < lane.floor)
      const floors = new Map(lanes.map((lane) => [lane.partition, lane.floor]))
      await this.#member!.commit(share, floors)
      for (const lane of lanes) lane.committed = floors.get(lane.partition)!
      this.#refusedSince = undefined
    } catch (error) {
      const type = typeOf(error)
      if (type === undefined || !rebalancing.has(type)) throw error
      if (this.#isAlone) await this.#outlive(error)
      else this.#rejoining ??= this.#rejoin()
    } finally {
      this.#committing = undefined
      if (this.#inHand.size === 0) this.#settled?.()
    }
  }

  /** Whose a partition is then, the next generation tells. If there is none after all, it is tried again. */
  #rejoin(): Promise<void> {
    return new Promise((resolve) => {
      const rejoined = (): void => {
        stopTimer(timer)
        this.#rejoining = undefined
        this.#rejoined = undefined
        resolve()
      }
      const timer = startTimer(this.sessionMs, rejoined)
      this.#rejoined = rejoined
    })
  }

  /** The group has a member, whom brokers forget when it is dead. One that lives makes this one end. */
  async #outlive(error: unknown): Promise<void> {
    const since = (this.#refusedSince ??= now())
    if (now() - since <= 2 * this.sessionMs) {
      await new Promise<void>((resolve) => {
        startTimer(commitPauseMs, resolve)
      })
      return
    }
    this.fail(
      new MillraceError(
        'ERR_MILLRACE_ROLE_TAKEN',
        `somebody else takes from '${this.shown}', so brokers refuse what is done here (${bottomOf(error).message}): let it end, or leave out 'alone'`,
        { cause: error },
      ),
    )
  }

  #wake(): void {
    for (const wake of [...this.#waiting]) wake()
  }

  #lostError(): MillraceError {
    return new MillraceError(
      'ERR_MILLRACE_LEASE_LOST',
      `this job of '${this.shown}' is not in this process's hands any more: its lease was over, or its partition went to another worker`,
    )
  }
}

/** One process has a partition, and with it all jobs of a group. */
function groupOf({ lane, group }: KafkaJob): string {
  return group === undefined ? '' : `${String(lane.partition)} ${group}`
}

/** May the same commit succeed a little later? */
function comesAgain(error: unknown): boolean {
  const type = typeOf(error) ?? ''
  return comesLater(error) || /COORDINATOR|NOT_LEADER|REQUEST_TIMED_OUT/.test(type)
}

function assertPossible({ priority, delay }: EngineJobOptions, shown: string): void {
  const what =
    priority > 0
      ? ['a priority', 'take a topic for each priority']
      : delay > 0
        ? ['a delay', 'all that is behind it would wait, too; push it when it is due']
        : undefined
  if (what === undefined) return
  throw new MillraceError(
    'ERR_MILLRACE_UNSUPPORTED',
    `a job of '${shown}' cannot have ${what[0]!}: Kafka gives out in the order of its log; ${what[1]!}`,
    { executed: 'no' },
  )
}
