// The front door of queues of records.

import { native } from '../addon/native.js'
import { checkOptions, wholeNumber, type Schema } from '../base/options.js'
import { readRecord } from '../base/record-schema.js'
import { nameOf, type Place } from '../place/place.js'
import type { FieldType } from '../struct/field-type.js'
import type { RecordConsumer } from './record-consumer.js'
import type { RecordProducer } from './record-producer.js'
import { readQueue, ringNames, type QueueOptions } from './spsc-queue.js'

/** A `struct()`. */
export type RecordType = FieldType & Schema

/** What either side of a {@link RecordQueue} takes: the options of a queue, and what its records are. */
export interface RecordQueueOptions<S extends RecordType> extends Omit<QueueOptions, 'schema'> {
  /** What each record is. Its fingerprint is the schema of the queue: another definition at the other side is `SCHEMA`. */
  readonly record: S
}

/** What the producing side takes. */
export interface RecordProducerOptions<S extends RecordType> extends RecordQueueOptions<S> {
  /** How many records a claim is for that does not say how many; default 64. */
  readonly batch?: number | undefined
}

const defaultBatch = 64
/** As many as there are bytes in the largest ring. */
const mostRecords = 2 ** 30
const consumerNames = [...ringNames, 'record'] as const
const producerNames = [...consumerNames, 'batch'] as const

/**
 * An `SpscQueue` for records of one kind at high rates: each message is a number of them, as a C compiler lays them out one after
 * another, written and read where they lie in the ring. What costs most of a small message is spent once for all of them.
 *
 * Nothing is stored that other queues do not store: a C++ or Python program, or an `SpscQueue` of bytes, can be either side.
 *
 * @example
 * ```ts
 * const Tick = struct({ price: f64, size: u32 }, { name: 'Tick' })
 * // one process
 * using out = RecordQueue.producer('ticks', { record: Tick })
 * const room = out.claim()
 * for (let i = 0; i < room; i++) {
 *   const tick = out.records.at(i)
 *   tick.price = 101.5
 *   tick.size = i
 * }
 * out.commit(room)
 * // another
 * using ticks = RecordQueue.consumer('ticks', { record: Tick })
 * while (await ticks.readable()) {
 *   ticks.drain((records) => {
 *     for (const tick of records) total += tick.price * tick.size
 *   })
 * }
 * ```
 *
 * @namespace
 */
export const RecordQueue = {
  /**
   * Takes the producing side; creates the queue if it does not exist. Otherwise as `SpscQueue.producer`.
   *
   * @throws MillraceError as `SpscQueue.producer`; `INVALID_ARGUMENT` if `record` is no `struct()`
   */
  producer: openProducer,

  /** Takes the consuming side; otherwise as {@link RecordQueue.producer}. */
  consumer: openConsumer,
} as const

function openProducer<S extends RecordType>(
  place: Place,
  options: RecordProducerOptions<S>,
): RecordProducer<S> {
  const { record, batch, ...ring } = checkOptions(options, producerNames)
  const read = readRecord(record)
  const most = wholeNumber({ batch }, 'batch', defaultBatch, [1, mostRecords])
  const { tuning, side } = readQueue(place, { ...ring, schema: fingerprintOf(read.schema) })
  const { RecordProducer } =
    require('./record-producer.js') as typeof import('./record-producer.js')
  return new RecordProducer<S>(nameOf(place), new native.QueueProducer(side), tuning, read, most)
}

function openConsumer<S extends RecordType>(
  place: Place,
  options: RecordQueueOptions<S>,
): RecordConsumer<S> {
  const { record, ...ring } = checkOptions(options, consumerNames)
  const read = readRecord(record)
  const { tuning, side } = readQueue(place, { ...ring, schema: fingerprintOf(read.schema) })
  const { RecordConsumer } =
    require('./record-consumer.js') as typeof import('./record-consumer.js')
  return new RecordConsumer<S>(nameOf(place), new native.QueueConsumer(side), tuning, read)
}

/** Messages are bytes to the queue beneath. */
function fingerprintOf({ fingerprint }: Schema): Schema {
  return { fingerprint }
}
