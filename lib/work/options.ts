// What a work queue is opened by, and what goes with a job: each part judged before anything is done.

import { durabilities, type NativeWorkOptions } from '../addon/work.js'
import type { MemoryOptions } from '../addon/memory-options.js'
import { goneError } from '../base/bytes.js'
import {
  access,
  accessNames,
  checkOptions,
  checkSignal,
  duration,
  flag,
  readMemory,
  readTuning,
  show,
  tuningNames,
  waitNames,
  wholeNumber,
  type AccessOptions,
  type Tuning,
  type TuningOptions,
  type Wait,
  type WaitOptions,
} from '../base/options.js'
import { traced } from '../base/tracing.js'
import { abortedError, invalidArgument } from '../errors.js'
import type { RemoteOptions } from '../net/share.js'
import { checkPlace, placeOf, type Place } from '../place/place.js'

/**
 * What the jobs of a queue outlive: `memory` the processes, until the machine is started anew (a queue that nobody has open goes,
 * unless it is to be `keep`t); `file` the same in a mapped file; `disk` a loss of power, too: what was pushed is on the disk.
 */
export type Durability = 'memory' | 'file' | 'disk'

/** The quota of dead letters. */
export interface DeadLetterOptions {
  /** Dead letters that are kept, default 128; 0: none, and what would be one is dropped and counted. */
  readonly jobs?: number | undefined
  /** Bytes for their payloads, on top of `bytes`; when they take up more, the oldest of them goes. Default 65 536. */
  readonly bytes?: number | undefined
}

/**
 * All that describes the queue (everything but `keep`, `mode`, `owner`, `memory`, `stats`, `spin` and `poll`) is decided by whoever
 * creates it. What is left out is what the queue has; what is given must be that, or `ERR_MILLRACE_GEOMETRY`.
 */
export interface WorkQueueOptions extends AccessOptions, TuningOptions {
  /** Jobs there may be at a time, waiting and in hand; default 1024, at most 1 048 576. */
  readonly jobs?: number | undefined
  /** Bytes for payloads longer than 128, in pieces of 256; shorter ones lie with their jobs. Default 196 608. */
  readonly bytes?: number | undefined
  /** Priorities there are, from 0 on; default and most 32. */
  readonly priorities?: number | undefined
  /** Handles that may have it open at a time, over all processes and Workers; default 512, at most 2048. */
  readonly seats?: number | undefined
  /**
   * Attempts until a job is a dead letter; default 5, from 1 to 255, or Infinity: then `attempt` counts to 255 and stays there, while
   * `acquired` goes on.
   */
  readonly maxAttempts?: number | undefined
  /** The quota of dead letters. */
  readonly deadLetters?: DeadLetterOptions | undefined
  /** Milliseconds in which a second push with the same `id` is a duplicate; default 0: never. */
  readonly dedupWindow?: number | undefined
  /**
   * Ids that are remembered at a time; default 4096 with a `dedupWindow`. A size likewise: n / 6 places, rounded up to a power of
   * two, each for 15 ids. With n ids at a time about one place in a thousand is full, and forgets the id whose window ends first
   * before its time (`stats().idsDropped` counts it).
   */
  readonly dedupIds?: number | undefined
  /**
   * Groups that may have jobs at a time; default 128, 0: none. It is a size, not a limit: there are n / 4 places, rounded up to a
   * power of two, each for 15 groups, and the name of a group says which place it has. With n groups at a time about one place in
   * 100 000 is full; a push of one more group of such a place waits, as for a slot.
   */
  readonly groups?: number | undefined
  /**
   * Milliseconds after which a worker that has neither settled its job nor called `extend` loses it; default 0: it keeps the
   * job as long as it lives, however long that takes.
   */
  readonly leaseTimeout?: number | undefined
  /** Default `file` in a `MappedFile`, otherwise `memory`. */
  readonly durability?: Durability | undefined
  /** The queue stays, with its jobs, when nobody has it open, also after a crash of all. Default false. A file always stays. */
  readonly keep?: boolean | undefined
  /** How the memory is treated: huge pages, locking, prefaulting, NUMA nodes, wiping. */
  readonly memory?: MemoryOptions | undefined
  /**
   * Does this handle count in shared memory how long jobs take, for `observe` and `millrace stat`? From when one is pushed until it is
   * taken, if both who pushes and who takes say so; and from then until it is settled. One of 64 is measured (docs/observing.md).
   * Default false. Of a queue elsewhere it is for the process to say that shares it.
   */
  readonly stats?: boolean | undefined
  /** How it is reached, if its address is not this machine's memory. */
  readonly connection?: RemoteOptions | undefined
}

/** What goes with a job. */
export interface JobOptions {
  /** 0 (default) to one less than the queue has `priorities`; the higher ones are taken first. */
  readonly priority?: number | undefined
  /** Milliseconds in which nobody gets it. Default 0. */
  readonly delay?: number | undefined
  /** Milliseconds after which nobody gets it any more: it becomes a dead letter. Default: never. */
  readonly ttl?: number | undefined
  /** What the job is to its user; a second one within the queue's `dedupWindow` is a duplicate. Up to 1024 bytes. */
  readonly id?: string | undefined
  /** Of the jobs of a group one at a time is worked on, in the order in which they were pushed. Up to 1024 bytes. */
  readonly group?: string | undefined
  /**
   * The context of a trace that goes along, as W3C writes it: `00-TRACE-SPAN-FLAGS`. It takes up 26 bytes behind the payload. Whoever takes
   * the job has it as `job.traceparent`. See docs/tracing.md.
   */
  readonly traceparent?: string | undefined
}

/** Options of a push that waits for room. */
export interface PushOptions extends JobOptions, WaitOptions {}

/** Those of one that blocks its thread. */
export interface PushSyncOptions extends JobOptions {
  /** Milliseconds until `ERR_MILLRACE_TIMEOUT`; default: wait for ever. */
  readonly timeout?: number | undefined
  /** Milliseconds (fractions allowed) to spin before sleeping in the kernel. Default 0.05, at most 60 000. */
  readonly spin?: number | undefined
}

/** JobOptions as the addon takes them. */
export interface JobFacts {
  readonly level: number
  readonly delay: number
  readonly ttl: number
  readonly id: string
  readonly group: string
  /** Undefined: none. */
  readonly trace: Uint8Array | undefined
}

/** @internal */
export const jobNames = ['priority', 'delay', 'ttl', 'id', 'group', 'traceparent'] as const
/** @internal */
export const pushNames = [...jobNames, ...waitNames] as const
const pushSyncNames = [...jobNames, 'timeout', 'spin'] as const

const workNames = [
  ...accessNames,
  ...tuningNames,
  'jobs',
  'bytes',
  'priorities',
  'seats',
  'maxAttempts',
  'deadLetters',
  'dedupWindow',
  'dedupIds',
  'groups',
  'leaseTimeout',
  'durability',
  'keep',
  'memory',
  'stats',
  'connection',
] as const

const mostJobs = 2 ** 20
const mostBytes = 2 ** 40
/** 100 days: longer ones are a mistake, and nanoseconds must not run over. */
const longestMs = 8_640_000_000
const longestText = 1024

/** @internal */
export function readWorkOptions(
  place: Place,
  given: WorkQueueOptions | undefined,
): { readonly tuning: Tuning; readonly native: NativeWorkOptions } {
  const options = checkOptions(given, workNames)
  const dead = deadLettersOf(options)
  const window = milliseconds(options, 'dedupWindow')
  const keys = numberIfAny(options, 'dedupIds', [1, 2 ** 24])
  if (keys !== undefined && (window === undefined || window === 0)) {
    throw invalidArgument(
      'dedupIds without a dedupWindow has no meaning: say how long ids are remembered',
    )
  }
  const jobs = numberIfAny(options, 'jobs', [1, mostJobs])
  const deadJobs = numberIfAny(dead, 'jobs', [0, mostJobs - 1], 'deadLetters.jobs')
  if ((jobs ?? 1024) + (deadJobs ?? 128) > mostJobs) {
    throw invalidArgument(
      `jobs and deadLetters.jobs together must be at most ${String(mostJobs)}, not ${String((jobs ?? 1024) + (deadJobs ?? 128))}`,
    )
  }
  return {
    tuning: readTuning(options),
    native: {
      memory: readMemory(options),
      keep: flag(options, 'keep'),
      seats: numberIfAny(options, 'seats', [1, 2048]),
      levels: numberIfAny(options, 'priorities', [1, 32]),
      jobs,
      bytes: numberIfAny(options, 'bytes', [0, mostBytes]),
      attempts: attemptsOf(options),
      dead: deadJobs,
      deadBytes: numberIfAny(dead, 'bytes', [0, mostBytes], 'deadLetters.bytes'),
      windowMs: window,
      keys: keys ?? (window === undefined || window === 0 ? undefined : 4096),
      groups: numberIfAny(options, 'groups', [0, mostJobs]),
      leaseMs: milliseconds(options, 'leaseTimeout'),
      durability: durabilityOf(options),
      stats: flag(options, 'stats'),
      ...access(options),
      place: checkPlace(placeOf(place)),
    },
  }
}

function deadLettersOf({ deadLetters }: WorkQueueOptions): Partial<DeadLetterOptions> {
  const given: unknown = deadLetters
  if (given !== undefined && (typeof given !== 'object' || given === null)) {
    throw invalidArgument(`deadLetters must be an object, not ${show(given)}`)
  }
  return checkOptions(deadLetters, ['jobs', 'bytes'])
}

function numberIfAny(
  options: object,
  key: string,
  range: readonly [number, number],
  name = key,
): number | undefined {
  const value = (options as Readonly<Record<string, unknown>>)[key]
  return value === undefined ? undefined : wholeNumber({ [name]: value }, name, 0, range)
}

/** A whole number of them, for it is compared. */
function milliseconds(options: object, key: string): number | undefined {
  return numberIfAny(options, key, [0, longestMs])
}

function attemptsOf({ maxAttempts }: WorkQueueOptions): number | undefined {
  if (maxAttempts === undefined) return undefined
  if (maxAttempts === Infinity) return 0
  if (Number.isInteger(maxAttempts) && maxAttempts >= 1 && maxAttempts <= 255) return maxAttempts
  throw invalidArgument(
    `maxAttempts must be a whole number from 1 to 255, or Infinity, not ${show(maxAttempts)}`,
  )
}

function durabilityOf({ durability }: WorkQueueOptions): number | undefined {
  if (durability === undefined) return undefined
  const index = durabilities.indexOf(durability)
  if (index >= 0) return index
  throw invalidArgument(
    `durability must be one of ${durabilities.join(', ')}, not ${show(durability)}`,
  )
}

/** @internal What the queue has, as far as a push can be wrong about it. */
export interface Limits {
  readonly levels: number
  readonly groups: number
}

/** @internal Undefined: nothing but what is the default. */
export function readJob(options: JobOptions, { levels, groups }: Limits): JobFacts {
  const group = text(options, 'group')
  if (group !== '' && groups === 0) {
    throw invalidArgument(
      'group: the queue was created with `groups: 0`, and would never have room',
    )
  }
  return {
    level: wholeNumber(options, 'priority', 0, [0, levels - 1]),
    delay: time(options, 'delay'),
    ttl: timeToLive(options),
    id: text(options, 'id'),
    group,
    trace: options.traceparent === undefined ? undefined : traced().readTrace(options.traceparent),
  }
}

/** @internal */
export function checkJobOptions(given: JobOptions): JobOptions {
  return checkOptions(given, jobNames)
}

/** @internal As `readWait`, of options that describe the job as well. */
export function readPush(
  given: PushOptions | undefined,
  limits: Limits,
): { readonly facts: JobFacts; readonly wait: Wait } {
  const options = checkOptions(given, pushNames)
  const facts = readJob(options, limits)
  const timeout = duration(options, 'timeout', Infinity)
  const signal = checkSignal(options.signal)
  if (signal?.aborted === true) throw abortedError(signal)
  return { facts, wait: { signal, timeout } }
}

/** @internal */
export function readPushSync(given: PushSyncOptions, limits: Limits): JobFacts {
  return readJob(checkOptions(given, pushSyncNames), limits)
}

/**
 * @internal Options have defaults, arguments have not.
 *
 * @throws MillraceError `INVALID_ARGUMENT`
 */
export function assertGiven(value: unknown, name: string): void {
  if (value === undefined) throw invalidArgument(`${name} must be given: there is no default`)
}

/** @internal Milliseconds, fractions allowed, that end some day. */
export function time(options: object, key: string): number {
  const value = duration(options, key, 0)
  if (value <= longestMs) return value
  throw invalidArgument(
    `${key} must be a number of milliseconds up to ${String(longestMs)}, not ${show(value)}`,
  )
}

const shortestTtl = 0.001

/** 0: for ever. */
function timeToLive(options: JobOptions): number {
  const { ttl } = options
  if (ttl === undefined || ttl === Infinity) return 0
  const value = time(options, 'ttl')
  // Time is counted in nanoseconds, and none of them would be for ever.
  if (value > 0) return Math.max(value, shortestTtl)
  throw invalidArgument('ttl must be more than 0 milliseconds: nobody could take the job')
}

function text(options: object, key: string): string {
  const value = (options as Readonly<Record<string, unknown>>)[key]
  if (value === undefined) return ''
  if (typeof value !== 'string' || value === '') {
    throw invalidArgument(`${key} must be text that is not empty, not ${show(value)}`)
  }
  if (value.length > longestText || Buffer.byteLength(value) > longestText) {
    throw invalidArgument(`${key} must have at most ${String(longestText)} bytes of UTF-8`)
  }
  return value
}

/** @internal While a call waits, its bytes may lose their memory. What is left must not be taken in their place. */
export function assertUnchanged(bytes: Uint8Array, length: number, what = 'a payload'): void {
  if (bytes.length !== length) throw goneError(what, undefined)
}
