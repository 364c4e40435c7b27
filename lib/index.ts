// Everything the package offers.

import { native } from './base/native.js'

export type { BlockingOptions } from './base/blocking.js'
export { errorCodes, MillraceError, type ErrorCode } from './base/errors.js'
export { Cell, type CellReaderOptions, type CellWriterOptions } from './cell/cell.js'
export { CellReader, type CellValue } from './cell/reader.js'
export { CellWriter, type CellSource } from './cell/writer.js'
export { Frame, LoanedFrame, userHeaderBytes, type PublishOptions } from './frames/frame.js'
export {
  FrameReader,
  type FrameReaderOptions,
  type FrameReaderStats,
  type Policy,
} from './frames/frame-reader.js'
export { FrameWriter, type FrameWriterOptions } from './frames/frame-writer.js'
export type {
  AccessOptions,
  MemoryOptions,
  NumaOptions,
  ReaderMemoryOptions,
  Schema,
  SchemaOptions,
  TuningOptions,
  WaitOptions,
} from './base/options.js'
export { QueueConsumer } from './queue/consumer.js'
export { QueueProducer, type MessageSource, type Reservation } from './queue/producer.js'
export {
  SharedMemory,
  type CreateMemoryOptions,
  type OpenMemoryOptions,
  type ViewConstructor,
} from './memory/shared-memory.js'
export {
  offerSegments,
  receiveSegments,
  type Allow,
  type OfferOptions,
  type PeerCredentials,
  type ReceiveOptions,
  type SegmentOffer,
} from './place/hand-over.js'
export { MappedFile } from './place/mapped-file.js'
export { NamelessSegment, type NamelessOptions } from './place/nameless-segment.js'
export type { Place } from './place/place.js'
export { LockGuard } from './sync/lock.js'
export { Mutex } from './sync/mutex.js'
export type { PartyOptions } from './sync/party.js'
export { RwLock } from './sync/rw-lock.js'
export { SpscQueue, type PeerState, type QueueOptions } from './queue/spsc-queue.js'
export { Barrier, type BarrierOptions, type BarrierTurn } from './sync/barrier.js'
export { Counter, type CounterOptions } from './sync/counter.js'
export { Permit } from './sync/permit.js'
export { Semaphore, type SemaphoreOptions } from './sync/semaphore.js'
export { SharedEvent, type SharedEventOptions } from './sync/event.js'
export { bool, f32, f64, i16, i32, i64, i8, u16, u32, u64, u8 } from './struct/scalar.js'
export { bytes, char } from './struct/text.js'
export {
  array,
  type ArrayFieldTypes,
  type ArrayView,
  type ArrayViewOf,
  type StructArray,
} from './struct/array-view.js'
export type { FieldType, FieldTypes, ValueFieldTypes } from './struct/field-type.js'
export {
  struct,
  type FieldLayout,
  type Fields,
  type Memory,
  type Struct,
  type StructFieldTypes,
  type StructInput,
  type StructOptions,
  type StructValue,
  type StructView,
  type ValueOf,
  type ViewOf,
} from './struct/struct.js'

/** The clock of frame timestamps: nanoseconds of CLOCK_MONOTONIC, the same in every process. */
export function monotonicNow(): bigint {
  return native.monotonicNs()
}
