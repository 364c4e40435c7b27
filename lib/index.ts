/**
 * What carries data between processes: {@link SpscQueue | queues}, {@link FrameWriter | frames},
 * {@link Cell | cells}, {@link SharedMemory | plain memory}; where it may live beside names
 * ({@link NamelessSegment}, {@link MappedFile}); and the upkeep of what lies about ({@link list}, {@link sweep}).
 *
 * @module millrace
 */

import { native } from './addon/native.js'

export type { BlockingOptions } from './base/blocking.js'
export type { ByteSource } from './base/bytes.js'
export type { Iteration, IterationOptions } from './base/iteration.js'
export { errorCodes, MillraceError, type ErrorCode, type Executed } from './errors.js'
export { Cell, type CellReaderOptions, type CellWriterOptions } from './cell/cell.js'
export { CellReader } from './cell/reader.js'
export { CellValue } from './cell/cell-value.js'
export { CellWriter, type CellSource, type UpdateOptions } from './cell/writer.js'
export { Frame, LoanedFrame, userHeaderBytes, type PublishOptions } from './frames/frame.js'
export { FrameReader, type FrameReaderOptions, type Policy } from './frames/frame-reader.js'
export type { FramePosition } from './frames/position.js'
export type { FrameReaderStats } from './frames/reader-stats.js'
export type { FillSource } from './base/fill.js'
export {
  FrameWriter,
  type FillOptions,
  type FrameSource,
  type FrameWriterOptions,
} from './frames/frame-writer.js'
export type {
  AccessOptions,
  ReaderMemoryOptions,
  Schema,
  SchemaOptions,
  TuningOptions,
  WaitOptions,
} from './base/options.js'
export type { OpaqueSchema, ValueSchema } from './base/value-schema.js'
export type { Bytes, PlainBuffer, ViewConstructor } from './base/view-constructor.js'
export type { PeerState } from './addon/peer.js'
export type { MemoryOptions, NumaOptions } from './addon/memory-options.js'
export { QueueConsumer } from './queue/consumer.js'
export { HeldMessage } from './queue/held-message.js'
export type { FillFromOptions } from './queue/fill-from.js'
export { QueueProducer, type MessageSource } from './queue/producer.js'
export { RecordConsumer } from './queue/record-consumer.js'
export { RecordProducer, type RecordsInput } from './queue/record-producer.js'
export {
  RecordQueue,
  type RecordProducerOptions,
  type RecordQueueOptions,
  type RecordType,
} from './queue/record-queue.js'
export type { Reservation } from './queue/reservation.js'
export {
  SharedMemory,
  type CreateMemoryOptions,
  type OpenMemoryOptions,
} from './memory/shared-memory.js'
export { offerSegments, receiveSegments } from './place/segments.js'
export type {
  Allow,
  OfferOptions,
  PeerCredentials,
  ReceiveOptions,
  SegmentOffer,
} from './place/hand-over.js'
export { MappedFile } from './place/mapped-file.js'
export { NamelessSegment, type NamelessOptions } from './place/nameless-segment.js'
export type { Place } from './place/place.js'
export { selectable, type Readiness, type Selectable } from './base/selectable.js'
export {
  select,
  selectEach,
  type Selected,
  type SelectedFailure,
  type SelectedState,
} from './select/select.js'
export { SpscQueue, type QueueOptions } from './queue/spsc-queue.js'
export { list, type ListOptions } from './upkeep/list.js'
export type {
  ObjectEntry,
  ObjectHolder,
  ObjectKind,
  ObjectState,
  SweepResult,
} from './addon/upkeep.js'
export { sweep, type SweepOptions } from './upkeep/sweep.js'

/**
 * The clock of `timestamp`s: nanoseconds of CLOCK_MONOTONIC, the same in every process. A number holds each of them only as
 * long as the machine runs for less than 104 days; what passed between two times is one:
 *
 * @example
 * ```ts
 * const ageMs = Number(monotonicNow() - frame.timestamp) / 1e6
 * ```
 */
export function monotonicNow(): bigint {
  return native.monotonicNs()
}
