// The front door of queues: a name, and which side of it one wants to be.

import { native } from '../addon/native.js'
import {
  access,
  checkName,
  checkOptions,
  fingerprint,
  flag,
  readMemory,
  readTuning,
  wholeNumber,
  type AccessOptions,
  type Schema,
  type SchemaOptions,
  type TuningOptions,
  accessNames,
  schemaNames,
  tuningNames,
} from '../base/options.js'
import type { MemoryOptions } from '../addon/memory-options.js'
import type { NativeQueueOptions } from '../addon/queue.js'
import {
  valuesOf,
  type AnyValueSchema,
  type OpaqueSchema,
  type ValueSchema,
} from '../base/value-schema.js'
import { checkPlace, nameOf, type Place } from '../place/place.js'
import { QueueConsumer } from './consumer.js'
import { QueueProducer } from './producer.js'
import type { QueueTuning } from './side.js'
import { rings } from './working-parts.js'

export interface QueueOptions<S extends Schema = OpaqueSchema>
  extends AccessOptions, SchemaOptions<S>, TuningOptions {
  /**
   * Bytes of the ring, rounded up to a power of two (and a page); each message takes 8 bytes more than
   * its length, rounded up to 8. Left out: what the queue has, or what the other side says before anything is sent; else
   * 256 KiB. Given: a queue for which another was given, or in which something was sent, must have the same, or
   * `ERR_MILLRACE_GEOMETRY`.
   */
  readonly capacity?: number | undefined
  /**
   * Unread messages outlive a crash of both sides. Without it, what two killed processes left is swept
   * by the next start. Default false. (Messages left by an orderly close are always kept.) A file always
   * keeps them.
   */
  readonly keep?: boolean | undefined
  /**
   * Begin with nothing that an earlier session left unread, as one step, before the call returns; `discarded` tells how
   * many messages that were. For byte streams and the like, whose parts are worth nothing alone. Default false: what is
   * unread waits for the next consumer, as jobs should.
   *
   * A consumer drops what no living producer has sent: the first message it gets is the first one of its producer, whichever
   * came first. If that producer has sent messages to an earlier consumer, it is refused with `ERR_MILLRACE_BUSY`. A
   * producer drops what is unread; `ERR_MILLRACE_BUSY` if a consumer is reading it.
   */
  readonly fresh?: boolean | undefined
  /**
   * Count how long messages take, in the memory of the queue, where `observe()`, `millrace stat` and the metrics find it, also when both
   * sides are dead? One of 16 messages is measured, and stands for all since the one before: from when it is sent until it has been popped
   * or taken, or a callback of `drain` is done with it. While 32 measured ones wait in the ring, one every 1/24 of the ring is.
   * Nothing is counted unless both sides ask for it, nor what was sent before the consumer came. A message takes some nanoseconds longer
   * with it; without it, no longer than before. Default false.
   */
  readonly stats?: boolean | undefined
  /** How the memory is treated: huge pages, locking, prefaulting, NUMA nodes, wiping. */
  readonly memory?: MemoryOptions | undefined
}

/** @internal Those that say nothing of what messages are. */
export const ringNames = [
  ...accessNames,
  ...tuningNames,
  'capacity',
  'keep',
  'fresh',
  'memory',
  'stats',
] as const
const queueNames = [...ringNames, ...schemaNames] as const
const largestCapacity = 2 ** 30

/**
 * A queue of binary messages between one producer and one consumer, in any two processes or threads on
 * this machine. Lock-free; messages have any length from 0 bytes up to the capacity less 8.
 *
 * Either side may start first. A side that closes or dies may be replaced at once by another process;
 * what was published is not lost.
 *
 * @example
 * ```ts
 * // one process
 * using producer = SpscQueue.producer('ticks')
 * await producer.push('hello')
 * // another
 * using consumer = SpscQueue.consumer('ticks')
 * for await (const message of consumer) console.log(message.toString())
 * ```
 *
 * @namespace
 */
export const SpscQueue = {
  /**
   * Takes the producing side; creates the queue if it does not exist. With a `struct()` as `schema` it sends values
   * of it, without one bytes.
   *
   * Does not wait for the other side. Blocks for microseconds; at most 2 s if another process is stopped
   * in the middle of creating or leaving the same queue.
   *
   * @throws MillraceError `ROLE_TAKEN` (a living producer has it; the message names its pid), `BUSY` (`fresh`), `GEOMETRY`,
   *   `SCHEMA`, `LAYOUT`, `NOT_OURS`, `CORRUPT`, `NO_SPACE`, `PERMISSION`, `INVALID_NAME`, `NAME_TOO_LONG`, `TIMEOUT`
   */
  producer: openProducer,

  /**
   * Takes the consuming side; otherwise as {@link SpscQueue.producer}. With a `struct()` as `schema` it receives values
   * of it, without one bytes.
   */
  consumer: openConsumer,

  /**
   * Removes the name, with all unread messages. Sides that are open go on with each other; new ones get
   * a new queue. Returns whether there was one.
   *
   * @throws MillraceError `INVALID_NAME`, `NAME_TOO_LONG`, `PERMISSION`, `TIMEOUT` (a process is stopped in
   *   the middle of opening or closing it)
   */
  unlink(name: string): boolean {
    return native.unlinkChannel('q', checkName(name))
  },
} as const

/** Options whose schema says what values are. */
type WithValues<Input, View, Value> = QueueOptions<ValueSchema<Input, View, Value>> & {
  readonly schema: ValueSchema<Input, View, Value>
}

function openProducer<Input>(
  place: Place,
  options: WithValues<Input, unknown, unknown>,
): QueueProducer<Input>
function openProducer(place: Place, options?: QueueOptions): QueueProducer
function openProducer(place: Place, options?: QueueOptions<Schema>): QueueProducer<unknown> {
  const { tuning, side, values } = readQueue(place, options)
  const name = nameOf(place)
  if (values === undefined) return new QueueProducer(name, new native.QueueProducer(side), tuning)
  const { ValueProducer } = require('./value-producer.js') as typeof import('./value-producer.js')
  return new ValueProducer(name, new native.QueueProducer(side), tuning, values)
}

function openConsumer<View, Value>(
  place: Place,
  options: WithValues<never, View, Value>,
): QueueConsumer<Value, View>
function openConsumer(place: Place, options?: QueueOptions): QueueConsumer
function openConsumer(
  place: Place,
  options?: QueueOptions<Schema>,
): QueueConsumer<unknown, unknown> {
  const { tuning, side, values } = readQueue(place, options)
  const name = nameOf(place)
  if (values === undefined) return new QueueConsumer(name, new native.QueueConsumer(side), tuning)
  const { ValueConsumer } = require('./value-consumer.js') as typeof import('./value-consumer.js')
  return new ValueConsumer(name, new native.QueueConsumer(side), tuning, values)
}

interface ReadQueue {
  readonly tuning: QueueTuning
  readonly values: AnyValueSchema | undefined
  readonly side: NativeQueueOptions
}

/** @internal What a queue is opened by, each part checked. */
export function readQueue(place: Place, given: QueueOptions<Schema> | undefined): ReadQueue {
  const options = checkOptions(given, queueNames)
  rings()
  return {
    tuning: { ...readTuning(options), stats: flag(options, 'stats') },
    values: valuesOf(options),
    side: {
      place: checkPlace(place),
      memory: readMemory(options),
      capacity: wholeNumber(options, 'capacity', 0, [1, largestCapacity]),
      keep: flag(options, 'keep'),
      fresh: flag(options, 'fresh'),
      schema: fingerprint(options),
      ...access(options),
    },
  }
}
