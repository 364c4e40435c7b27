// What a bus is opened by, and what goes with a message or a subscription: each part judged before anything is done.

import type { MemoryOptions } from '../addon/memory-options.js'
import { policies, type NativeTopicsOptions } from '../addon/topics.js'
import { blockingNames, readBlocking, type BlockingOptions } from '../base/blocking.js'
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
import { abortedError, invalidArgument } from '../errors.js'
import type { RemoteOptions } from '../net/share.js'
import { checkPlace, placeOf, type Place } from '../place/place.js'
import { encodeHeaders, type GivenHeaders } from './headers.js'
import { checkFilters } from './subjects.js'

/**
 * All that describes the bus (everything but `mode`, `owner`, `memory`, `stats`, `spin` and `poll`) is decided by whoever creates it.
 * What is left out is what the bus has; what is given must be that, or `ERR_MILLRACE_GEOMETRY`.
 */
export interface TopicsOptions extends AccessOptions, TuningOptions {
  /**
   * Messages that the bus keeps for those who have not read them, at most 524 288; rounded up to a power of two, and 8 at least.
   * Default 1024.
   */
  readonly messages?: number | undefined
  /** Bytes for payloads and headers that are longer than 128 together, in pieces of 256. Default 524 288. */
  readonly bytes?: number | undefined
  /** Subjects there may be; default 1024, at most 65 536. A subject stays as long as the bus does. */
  readonly subjects?: number | undefined
  /** Subscriptions there may be at a time, of all handles together; default 64, at most 512. */
  readonly subscriptions?: number | undefined
  /** Handles that may have it open at a time, over all processes and Workers; default 64, at most 512. */
  readonly seats?: number | undefined
  /** How the memory is treated: huge pages, locking, prefaulting, NUMA nodes, wiping. */
  readonly memory?: MemoryOptions | undefined
  /**
   * Does this handle count in shared memory how long messages take, for `observe` and `millrace stat`? From when one is published until a
   * subscription has it, if both who publishes and who subscribes say so. One of 64 is measured (docs/observing.md). Default false. Of a
   * bus elsewhere it is for the process to say that shares it.
   */
  readonly stats?: boolean | undefined
  /** How it is reached, if its address is not this machine's memory. */
  readonly connection?: RemoteOptions | undefined
}

/** What goes with a message. */
export interface MessageOptions {
  /** Small texts, such as `traceparent`: at most 1024 bytes of UTF-8 in all, and 3 of those for each. */
  readonly headers?: GivenHeaders | undefined
}

/** Options of a publish that waits for room. */
export interface PublishOptions extends MessageOptions, WaitOptions {}

/** Those of one that blocks its thread. */
export interface PublishSyncOptions extends MessageOptions, BlockingOptions {}

/**
 * What becomes of a publish when a subscriber lags behind as far as it may: `wait` makes it wait, so that none of that subscriber's
 * messages is lost; `overwrite-oldest` takes the oldest from that subscriber, which is told how many it has missed.
 */
export type Policy = 'wait' | 'overwrite-oldest'

/** What is subscribed to, and how. */
export interface SubscribeOptions {
  /** Default `wait`. */
  readonly policy?: Policy | undefined
  /**
   * What was published before: `last`, the newest message of each subject that matches; a number, so many of the newest messages
   * that match, as far as the bus still has them. Default 0: none.
   */
  readonly replay?: 'last' | number | undefined
  /**
   * Messages for this subscription that may be unread, at most and by default as many as the bus keeps. Of k handles that publish in
   * the same instant each may look before the others have published: then there are up to k - 1 more.
   */
  readonly depth?: number | undefined
  /** Rejects with `ERR_MILLRACE_ABORTED`, and afterwards ends the subscription, as `close` does. */
  readonly signal?: AbortSignal | undefined
  /**
   * Milliseconds to join; then it rejects with `ERR_MILLRACE_TIMEOUT`, and has not joined. Default Infinity. For a bus elsewhere this is what the
   * connection may take; in this machine's memory joining takes microseconds, and never longer than 2 s.
   */
  readonly timeout?: number | undefined
}

/** What a member of a queue group subscribes with. */
export interface GroupOptions extends SubscribeOptions {
  /**
   * The name of the group, up to 63 bytes. Whoever subscribes with the same one shares the messages: each goes to one of them. The
   * others of these options are those of the member that came first.
   */
  readonly queue: string
  /** So many of the newest messages that match, for the member that comes first. A group cannot begin with `last`. Default 0. */
  readonly replay?: number | undefined
}

const topicsNames = [
  'messages',
  'bytes',
  'subjects',
  'subscriptions',
  'seats',
  'memory',
  'stats',
  'connection',
  ...accessNames,
  ...tuningNames,
] as const
const messageNames = ['headers'] as const
const publishNames = [...messageNames, ...waitNames] as const
const publishSyncNames = [...messageNames, ...blockingNames] as const
const subscribeNames = ['policy', 'replay', 'depth', 'queue', ...waitNames] as const
const longestGroup = 63

const mostMessages = 2 ** 19
const mostBytes = 2 ** 34

/** @internal */
export function readTopicsOptions(
  place: Place,
  given: TopicsOptions | undefined,
): { readonly tuning: Tuning; readonly native: NativeTopicsOptions } {
  const options = checkOptions(given, topicsNames)
  return {
    tuning: readTuning(options),
    native: {
      memory: readMemory(options),
      messages: numberIfAny(options, 'messages', [1, mostMessages]),
      bytes: numberIfAny(options, 'bytes', [0, mostBytes]),
      subjects: numberIfAny(options, 'subjects', [1, 65_536]),
      subscriptions: numberIfAny(options, 'subscriptions', [1, 512]),
      seats: numberIfAny(options, 'seats', [1, 512]),
      stats: flag(options, 'stats'),
      ...access(options),
      place: checkPlace(placeOf(place)),
    },
  }
}

function numberIfAny(
  options: object,
  key: string,
  range: readonly [number, number],
): number | undefined {
  const value = (options as Readonly<Record<string, unknown>>)[key]
  return value === undefined ? undefined : wholeNumber(options, key, 0, range)
}

/** @internal */
export function readMessage(given: MessageOptions | undefined): Uint8Array {
  return encodeHeaders(checkOptions(given, messageNames).headers)
}

/** @internal */
export function readPublish(given: PublishOptions | undefined): {
  readonly headers: Uint8Array
  readonly wait: Wait
} {
  const options = checkOptions(given, publishNames)
  const headers = encodeHeaders(options.headers)
  const timeout = duration(options, 'timeout', Infinity)
  const signal = checkSignal(options.signal)
  if (signal?.aborted === true) throw abortedError(signal)
  return { headers, wait: { signal, timeout } }
}

/** @internal */
export function readPublishSync(given: PublishSyncOptions | undefined): {
  readonly headers: Uint8Array
  readonly blocking: BlockingOptions
} {
  const { headers, ...blocking } = checkOptions(given, publishSyncNames)
  return { headers: encodeHeaders(headers), blocking: readBlocking(blocking) }
}

/** @internal A subscription as it was asked for. */
export interface Wanted {
  readonly filters: readonly string[]
  readonly policy: Policy
  /** `last`, or a number of messages. */
  readonly replay: 'last' | number
  readonly depth: number
  readonly signal: AbortSignal | undefined
  /** Milliseconds to join, or Infinity. */
  readonly timeout: number
  /** Empty: it is no member of a group. */
  readonly queue: string
}

/** @internal `messages`: as many as the bus keeps. */
export function readSubscribe(
  filters: unknown,
  given: SubscribeOptions | GroupOptions | undefined,
  messages: number,
): Wanted {
  const texts = checkFilters(filters)
  const options = checkOptions<SubscribeOptions & { readonly queue?: string | undefined }>(
    given,
    subscribeNames,
  )
  const queue = groupOf(options)
  const signal = checkSignal(options.signal)
  if (signal?.aborted === true) throw abortedError(signal)
  return {
    filters: texts,
    policy: policyOf(options),
    replay: replayOf(options, queue, messages),
    depth: wholeNumber(options, 'depth', messages, [1, messages]),
    signal,
    timeout: duration(options, 'timeout', Infinity),
    queue,
  }
}

function groupOf({ queue }: { readonly queue?: string | undefined }): string {
  if (queue === undefined) return ''
  if (typeof queue !== 'string' || queue === '' || Buffer.byteLength(queue) > longestGroup) {
    throw invalidArgument(
      `queue must be the name of a group, of 1 to ${String(longestGroup)} bytes, not ${show(queue)}`,
    )
  }
  return queue
}

function policyOf({ policy = 'wait' }: SubscribeOptions): Policy {
  if (policies.includes(policy)) return policy
  throw invalidArgument(`policy must be one of ${policies.join(', ')}, not ${show(policy)}`)
}

/** Of a group the last messages would be lost with the member that has them. */
function replayOf(
  { replay = 0 }: SubscribeOptions,
  queue: string,
  messages: number,
): 'last' | number {
  const isGroup = queue !== ''
  if (replay === 'last' && !isGroup) return replay
  if (typeof replay === 'number' && Number.isInteger(replay) && replay >= 0 && replay <= messages) {
    return replay
  }
  throw invalidArgument(
    `replay must be ${isGroup ? '' : "'last' or "}a whole number from 0 to ${String(messages)}, which are as many as the bus keeps` +
      `${isGroup ? "; a queue group cannot begin with the 'last' message of each subject" : ''}; not ${show(replay)}`,
  )
}
