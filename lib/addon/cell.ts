// The writer and the readers of a cell: native/addon/cell.cpp.

import type { NativePlace } from './place.js'
import type { NativeSegment, NativeWaiter } from './waiter.js'

export interface NativeCellSide {
  readonly maxBytes: number
  readonly slots: number
  readonly path: string
  /** The memory of versions, of who waits, and of the slots' records. */
  control(): ArrayBuffer
  /** That of the values. */
  buffer(): ArrayBuffer
  close(): void
}

export interface NativeCellWriterOptions {
  readonly place: NativePlace
  readonly maxBytes: number
  readonly slots: number
  readonly mode: number
  readonly owner: number | undefined
  readonly keep: boolean
  readonly timestamps: boolean
  readonly schema: bigint
}

export interface NativeCellWriter extends NativeCellSide, NativeSegment {
  /** Of the newest value; it is this buffer that counts from then on. */
  cursor(): ArrayBuffer
  /** After a value that was written elsewhere. */
  wake(): void
  write(value: ArrayBufferView): number
  begin(): number
  copyNewest(): void
  publish(length: number): number
  version(): number
  /** Bytes of the newest value. */
  length(): number
  hasReaders(): boolean
}

export interface NativeCellReaderOptions {
  readonly place: NativePlace
  readonly mode: number
  readonly owner: number | undefined
  readonly schema: bigint
}

export interface NativeCellReader extends NativeCellSide, NativeWaiter {
  /** Version, length and timestamp of the value looked at last. */
  readonly facts: BigUint64Array
  readInto(target: ArrayBufferView): number
  measure(): number
  version(): number
  retries(): number
  wait(version: number, spinMs: number, timeoutMs: number): boolean
  peer(): number
  peerPid(): number
  watchPeer(): boolean
}
