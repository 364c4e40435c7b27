// The writer and the readers of frames: native/addon/frames.cpp.

import type { MemoryOptions } from './memory-options.js'
import type { NativePlace } from './place.js'
import type { NativeWaiter } from './waiter.js'

export interface NativeFramesSide extends NativeWaiter {
  readonly slotBytes: number
  readonly slots: number
  readonly maxReaders: number
  readonly history: number
  readonly payloadOffset: number
  readonly slotStride: number
  /** 64 random bits: tells channels of one name apart. */
  readonly instance: bigint
  readonly path: string
  buffer(): ArrayBuffer
  wait(spinMs: number, timeoutMs: number): boolean
  close(): void
}

export interface NativeFrameWriterOptions {
  readonly place: NativePlace
  readonly memory: MemoryOptions
  readonly schema: bigint
  readonly slotBytes: number
  readonly slots: number
  readonly maxReaders: number
  readonly history: number
  readonly alignment: number
  readonly mode: number
  readonly keep: boolean
  readonly replace: boolean
}

export interface NativeFrameWriter extends NativeFramesSide {
  /** See `WriterFact` in lib/frames/facts.ts. */
  readonly facts: Int32Array
  tryLoan(): number
  publish(): void
  publishAt(timestamp: bigint): void
  discard(slot: number): void
  write(slot: number, offset: number, source: ArrayBufferView): number
  writeHeader(slot: number, source: ArrayBufferView): number
  readers(): number
  watchReaders(): boolean
  /** Closes, and tells the readers that the writer failed. */
  abort(reason: string): void
}

export interface NativeFrameReaderOptions {
  readonly place: NativePlace
  readonly memory: MemoryOptions
  readonly schema: bigint
  readonly policy: number
  readonly depth: number
  readonly history: number
  readonly after: number | undefined
  readonly afterInstance: bigint | undefined
  readonly maxHeld: number
  readonly mode: number
  readonly owner: number | undefined
}

export interface NativeFrameReader extends NativeFramesSide {
  readonly maxHeld: number
  /** See `ReaderFact` in lib/frames/facts.ts. */
  readonly facts: Int32Array
  receive(): void
  latest(): void
  release(): void
  read(slot: number, sequence: number, offset: number, target: ArrayBufferView): number
  readHeader(slot: number, sequence: number, target: ArrayBufferView): number
  slotBuffer(slot: number): ArrayBuffer
  /** Received, lost, skipped, joined after, waiting, held. */
  counters(): Float64Array
  /** Is there one to be received? Takes nothing. */
  hasFrame(): boolean
  excluded(): boolean
  /** Of the frame in `facts`, which has just been received, how long it took. */
  countLatency(): void
  peer(): number
  peerPid(): number
  /** Why it failed, when `peer()` says so; empty: it did not say. */
  peerReason(): string
  watchPeer(): boolean
}
