// What is seen of each kind of channel from outside: native/include/millrace/observe. What is counted is so since the object was created;
// ages are in milliseconds.

import { show } from '../base/options.js'
import { invalidArgument } from '../errors.js'
import type { ObjectEntry } from '../addon/upkeep.js'
import type { CallStats } from '../rpc/stats.js'
import type { TopicsStats } from '../topics/stats.js'
import type { StageStats, WorkStats } from '../work/stats.js'

/** Of a message queue, a queue of records or a side of a connection over shared memory. */
export interface QueueFigures {
  /** Messages that were sent. */
  readonly sent: number
  /** Messages that the consumer has done with. */
  readonly received: number
  /** Bytes that they took in the ring, 8 for each message and what fills it up to a multiple of 8 among them. */
  readonly sentBytes: number
  /** Bytes that came free again. */
  readonly receivedBytes: number
  /** Messages that wait. */
  readonly messages: number
  /** Bytes that they take. */
  readonly bytes: number
  /** Bytes that the ring has. */
  readonly capacity: number
  /** How often the producer, who slept for want of room, was woken. */
  readonly producerWakes: number
  /** How often the consumer, who slept for want of messages, was woken. */
  readonly consumerWakes: number
  /** Does the producer sleep (1), or not (0)? */
  readonly producerParked: number
  /** Does the consumer sleep (1), or not (0)? */
  readonly consumerParked: number
}

/** Of a frame channel. */
export interface FrameFigures {
  /** Frames that were published. */
  readonly published: number
  /** How often one was received, by the readers there are now, all together. */
  readonly received: number
  /** Frames that wait for their readers, likewise: one that two wait for counts twice. */
  readonly queued: number
  /** Frames that were not delivered to a reader of the policy `drop-newest`. */
  readonly dropped: number
  /** Frames that were taken back from a reader of the policy `overwrite-oldest`. */
  readonly evicted: number
  /** Readers there are. */
  readonly readers: number
  /** Slots. */
  readonly slots: number
  /** Slots that may not be written now: somebody reads them, or is to, or they are kept for who comes late. */
  readonly slotsHeld: number
  /** Bytes that a frame may have. */
  readonly slotBytes: number
  /** Bytes of the newest frame. */
  readonly newestBytes: number
  /** How often the writer, who slept for want of a slot, was woken. */
  readonly writerWakes: number
  /** Does the writer sleep (1), or not (0)? */
  readonly writerParked: number
  /** Milliseconds since the newest frame was published; left out if there is none. */
  readonly newestAge?: number
}

/** Of a reader of a frame channel. */
export interface FrameReaderFigures {
  /** Frames that wait for it. */
  readonly queued: number
  /** Frames that may wait for it. */
  readonly depth: number
  /** What it received. */
  readonly received: number
  /** Frames that were not delivered to it. */
  readonly dropped: number
  /** Frames that were taken back from it. */
  readonly evicted: number
  /** How often it was woken. */
  readonly wakes: number
  /** Does it sleep (1), or not (0)? */
  readonly parked: number
}

/** Of a cell. */
export interface CellFigures {
  /** How often it was written. */
  readonly version: number
  /** Bytes that its value may have. */
  readonly maxBytes: number
  /** Readers that sleep until it changes. */
  readonly readersParked: number
  /** Bytes of its value; left out while there is none. */
  readonly newestBytes?: number
  /** Milliseconds since it was written; left out while there is no value, and where its writer does not say. */
  readonly newestAge?: number
}

/** Of a counter. Beyond 2^53 it is about that. */
export interface CounterFigures {
  /** What it says. */
  readonly value: number
}

/** Of a work queue or a pipeline. */
export interface WorkFigures extends Omit<WorkStats, 'unsettled'> {
  /** Jobs that are done in a stage that is left in order, and whose turn to go on has not come. */
  readonly held: number
  /** Jobs there may be. */
  readonly places: number
  /** Bytes that payloads may take up beside their jobs. */
  readonly bytes: number
  /** Milliseconds since the oldest of the ready jobs was pushed; left out if there is none. */
  readonly oldestAge?: number
}

/** Of a handle that a work queue is open in. What is counted is so since it was opened. */
export interface WorkUserFigures {
  /** Jobs that it has in hand. */
  readonly inHand: number
  /** How often it was woken. */
  readonly wakes: number
  /** Does it sleep (1), or not (0)? */
  readonly parked: number
  /** Jobs that it pushed. */
  readonly pushed: number
  /** Leases that it took. */
  readonly taken: number
  /** What it completed. */
  readonly completed: number
  /** Jobs that it gave back by `release` and `retry`. */
  readonly returned: number
  /** Jobs that it gave up. */
  readonly rejected: number
}

/** Of calls. */
export interface CallFigures extends Omit<
  CallStats,
  'usedBytes' | 'calls' | 'seats' | 'maxArgument' | 'maxResult'
> {
  /** Calls there may be at a time, waiting and in hand. */
  readonly places: number
  /** Bytes that arguments and results take, of those that do not lie with their calls. */
  readonly bytesUsed: number
}

/** Of a server or a client. What is counted is so since it came. */
export interface CallUserFigures {
  /** Calls that it has in hand. */
  readonly inHand: number
  /** How often it was woken. */
  readonly wakes: number
  /** Does it sleep (1), or not (0)? */
  readonly parked: number
  /** Does it take calls (1), or only make them (0)? */
  readonly serves: number
  /** Calls that it made. */
  readonly made: number
  /** Leases that it took. */
  readonly taken: number
  /** What it completed. */
  readonly completed: number
  /** Calls that it gave up. */
  readonly withdrawn: number
  /** Calls of it that ended without an answer. */
  readonly unanswered: number
}

/** Of a bus. */
export interface TopicsFigures extends TopicsStats {
  /** Messages there may be. */
  readonly places: number
  /** Bytes that payloads may take up beside their messages. */
  readonly bytes: number
}

/** Of a subscription or a queue group. */
export interface SubscriptionFigures {
  /** Messages of the bus, of whatever subject, that it has not come to. */
  readonly lag: number
  /** What it received. */
  readonly received: number
  /** Messages that were gone before it came to them. */
  readonly missed: number
  /** Of a queue group: how many share it. */
  readonly members?: number
}

/** Of a mutex or a lock of readers and writers. */
export interface LockFigures {
  /** Who has it. */
  readonly holders: number
  /** Is it held by one alone (1), or not (0)? */
  readonly exclusive: number
  /** Who waits for it. */
  readonly waiting: number
  /** Did an owner die inside, and nobody has put that right (1)? */
  readonly abandoned: number
}

/** Of an event: the first two with automatic reset, the others with manual reset. */
export interface EventFigures {
  /** Signals that nobody has taken yet. */
  readonly signals?: number
  /** Who waits for one. */
  readonly waiting?: number
  /** Is it set (1), or not (0)? */
  readonly set?: number
  /** How often it was set. */
  readonly sets?: number
}

/** Of a barrier. */
export interface BarrierFigures {
  /** Parties that it waits for. */
  readonly parties: number
  /** Parties that have arrived. */
  readonly arrived: number
  /** Rounds. */
  readonly completed: number
  /** Parties that died or left. */
  readonly missing: number
}

/** Of a rate limiter. */
export interface RateLimiterFigures {
  /** Permits that could be taken at once. */
  readonly available: number
  /** Permits at once at most. */
  readonly burst: number
  /** Permits a second. */
  readonly perSecond: number
}

/** Of a circuit breaker. */
export interface BreakerFigures {
  /** Is it open (1), or not (0)? */
  readonly open: number
  /** Does one caller try it (1), or not (0)? */
  readonly halfOpen: number
  /** Failures that count. */
  readonly failures: number
}

/** What an object has several of. */
export interface Part<Kind extends string, Figures> {
  /** What it is. */
  readonly kind: Kind
  /** Its number: lane, seat, subscription or stage. */
  readonly index: number
  /** Process id, where it is recorded. */
  readonly pid?: number
  /** Its numbers. */
  readonly figures: Figures
}

/** A reader of frames. */
export interface FrameReaderPart extends Part<'reader', FrameReaderFigures> {
  /** What becomes of messages that it is too slow for. */
  readonly policy: 'wait' | 'drop-newest' | 'overwrite-oldest'
}
/** A stage of a pipeline. */
export interface StagePart extends Part<'stage', StageStats> {
  /** What it is called. */
  readonly name: string
}
/** A subscription, or a queue group. */
export interface SubscriptionPart extends Part<'subscription' | 'group', SubscriptionFigures> {
  /** Its filters, with commas between. */
  readonly name: string
  /** What becomes of messages that it is too slow for. */
  readonly policy: 'wait' | 'overwrite-oldest'
}

/**
 * How somebody waits for messages, room or a lock, and has waited, in one place: whoever has it now, and who had it before. Counted is a wait in
 * which the thread or the event loop went to sleep; what was found by a look or by spinning was not waited for.
 */
export interface Wait {
  /** Who waits: for messages a `consumer`, a `reader`, a `user`; for room a `producer`, a `writer`, a `user`; for a lock or a signal a `party`. */
  readonly side: 'producer' | 'consumer' | 'writer' | 'reader' | 'user' | 'party'
  /** Its lane or seat; 0 of what there is one of. */
  readonly index: number
  /** Waits that have ended. */
  readonly waits: number
  /** Milliseconds that they took, all together. */
  readonly milliseconds: number
  /** Milliseconds since the present one began; left out if nobody waits there. */
  readonly since?: number
  /** Waits that have ended, by how long they took: up to `waitTimes[i]` milliseconds; the last one longer than all of them. Each is modulo 2^32. */
  readonly times: readonly number[]
}

/** How many messages took less than a bound, and no less than that of the bucket before. */
export interface LatencyBucket {
  /** The bound, in milliseconds; infinite: they took longer than is told apart. */
  readonly below: number
  /** How many. */
  readonly count: number
}

/**
 * How long messages of a queue took from the producer to the consumer, or frames from the writer to a reader, as those count it who were
 * opened with `stats`; and how long messages of topics, jobs and calls took. One of several is measured, and counted for all since the one
 * before. So it is since the channel was created, of a reader since its lane was used first, of a subscription since it began.
 */
export interface Latency {
  /**
   * Who counted: of queues the `consumer`, of frames a `reader`, of topics a `subscriber`. Of work queues all who took jobs: `worker` is from
   * when one was pushed until it was taken, `handler` from then until it was settled. Of calls: `client` is from the request until the result,
   * `server` from when one was taken until it was answered.
   */
  readonly side: 'consumer' | 'reader' | 'subscriber' | 'worker' | 'handler' | 'client' | 'server'
  /** Its lane, or the number of the subscription; 0 of what there is one of. */
  readonly index: number
  /** Milliseconds that they took, all together. */
  readonly milliseconds: number
  /**
   * How they are spread, from the least bound on, without what nothing is in. A bucket is an eighth of its bound wide, or 125 ns; of frames
   * a half, or 2 µs; of topics a half, or 1 µs; of jobs and calls a quarter, or 500 ns.
   */
  readonly buckets: readonly LatencyBucket[]
}

/** Milliseconds, by which `Wait.times` counts: 0.008, 0.016, …, 524. */
export const waitTimes: readonly number[] = Array.from({ length: 17 }, (_, at) => (8 << at) / 1000)

/**
 * How long a part of them took at most, in milliseconds: `percentile(latency, 0.99)` is what 99 of 100 did not exceed, by the bound of the
 * bucket that they end in. Infinite if that has none; `undefined` if nothing was counted.
 *
 * @example
 * ```ts
 * import { observe, percentile } from 'millrace/telemetry'
 *
 * for (const { name, latencies } of observe()) {
 *   for (const latency of latencies) console.log(name, percentile(latency, 0.99), 'ms')
 * }
 * ```
 *
 * @throws MillraceError `INVALID_ARGUMENT` (`part` must be above 0 and at most 1)
 */
export function percentile(spread: Latency | Wait, part: number): number | undefined {
  if (typeof part !== 'number' || !(part > 0 && part <= 1)) {
    throw invalidArgument(`part must be above 0 and at most 1, not ${show(part)}`)
  }
  const buckets =
    'buckets' in spread
      ? spread.buckets
      : spread.times.map((count, at) => ({ below: waitTimes[at] ?? Infinity, count }))
  const all = buckets.reduce((sum, { count }) => sum + count, 0)
  let counted = 0
  return all === 0
    ? undefined
    : buckets.find(({ count }) => (counted += count) >= all * part)?.below
}

/** What there is to be seen of a kind. */
export interface Sight<Figures, Part = never> {
  /** Its numbers. */
  readonly figures: Figures
  /** One of what it has several of. */
  readonly part: Part
}

/** What there is to be seen of each kind. */
export interface Sights {
  /** Of message queues and queues of records. */
  readonly queue: Sight<QueueFigures>
  /** Of frame channels. */
  readonly frames: Sight<FrameFigures, FrameReaderPart>
  /** Of cells. */
  readonly cell: Sight<CellFigures>
  /** Of counters. */
  readonly counter: Sight<CounterFigures>
  /** Of work queues. */
  readonly work: Sight<WorkFigures, Part<'user', WorkUserFigures>>
  /** Of pipelines. */
  readonly pipeline: Sight<WorkFigures, Part<'user', WorkUserFigures> | StagePart>
  /** Of calls. */
  readonly calls: Sight<CallFigures, Part<'user', CallUserFigures>>
  /** Of buses. */
  readonly topics: Sight<TopicsFigures, SubscriptionPart>
  /** Of mutexes. */
  readonly mutex: Sight<LockFigures, Part<'holder', Record<string, never>>>
  /** Of locks of readers and writers. */
  readonly rwlock: Sight<LockFigures, Part<'holder', Record<string, never>>>
  /** Of events. */
  readonly event: Sight<EventFigures>
  /** Of barriers. */
  readonly barrier: Sight<BarrierFigures>
  /** Of rate limiters. */
  readonly 'rate-limiter': Sight<RateLimiterFigures>
  /** Of circuit breakers. */
  readonly breaker: Sight<BreakerFigures>
  /** Of shared memory, of which only its size is seen. */
  readonly memory: Sight<Record<string, never>>
}

/** The kinds of objects that can be looked at. */
export type ObservedKind = keyof Sights

/** What is seen of an object beside what `list()` tells of it. */
export interface Seen<Kind extends ObservedKind> {
  /** What it is. */
  readonly kind: Kind
  /** Its numbers. Left out if it is damaged, somebody else's, or of another layout version. */
  readonly figures?: Sights[Kind]['figures']
  /** Its readers, users, subscriptions, stages. */
  readonly parts: readonly Sights[Kind]['part'][]
  /** Who waits, and has waited; places where nobody ever did are left out. */
  readonly waits: readonly Wait[]
  /** How long messages took; where nothing was counted, because not all asked for it, left out. */
  readonly latencies: readonly Latency[]
}

/** An object of that kind, as it was seen. */
export type ObservedOf<Kind extends ObservedKind> = Omit<ObjectEntry, 'kind'> & Seen<Kind>

/** An object, as it was seen: by its `kind` it is known what there is to it. */
export type Observed = { [Kind in ObservedKind]: ObservedOf<Kind> }[ObservedKind]
