// The two sides of a queue: native/addon/queue.cpp.

import type { MemoryOptions } from './memory-options.js'
import type { NativePlace } from './place.js'
import type { NativeWaiter } from './waiter.js'

export interface NativeQueueOptions {
  readonly place: NativePlace
  readonly memory: MemoryOptions
  /** Fingerprint; 0n: none stated. */
  readonly schema: bigint
  readonly capacity: number
  readonly mode: number
  readonly owner: number | undefined
  readonly keep: boolean
  readonly fresh: boolean
}

export interface NativeQueueSide extends NativeWaiter {
  /**
   * Bytes of the ring; 0: not decided yet, or closed. With `needed` it is decided from now on. Before that there are no
   * `buffer` and `cursor`.
   */
  settle(needed: boolean): number
  /** Messages that opening with `fresh` has dropped. */
  readonly discarded: number
  readonly path: string
  /** The records: mapped twice in a row, so that none wraps. */
  buffer(): ArrayBuffer
  /** `layout::RingControl`. */
  control(): ArrayBuffer
  /** `RingCursor`, which stays there from then on. */
  cursor(): ArrayBuffer
  /** Wakes the peer if it sleeps; for whoever has published in JavaScript. */
  wake(): void
  peer(): number
  peerPid(): number
  /** Why it failed, when `peer()` says so; empty: it did not say. */
  peerReason(): string
  watchPeer(): boolean
  close(discard: boolean): void
  /** Closes, and tells the other side that this one failed. */
  abort(reason: string): void
}

export interface NativeQueueProducer extends NativeQueueSide {
  tryPush(message: ArrayBufferView): number
  /** Messages that lie one after the other: how many were sent, or an outcome. */
  tryPushPacked(bytes: ArrayBufferView, lengths: number | Uint32Array, count: number): number
  publish(recordBytes: number, messages: number): number
  room(): number
  /** 1 if the consumer has released everything, else 0. */
  drained(): number
  wait(recordBytes: number, spinMs: number, timeoutMs: number): boolean
  /** Of the next message it can be told how long it takes. To be called before that is sent. */
  mark(): void
}

export interface NativeQueueConsumer extends NativeQueueSide {
  popInto(target: ArrayBufferView, offset: number): number
  /** How many messages were copied one after the other, or an outcome. */
  tryPopPacked(target: ArrayBufferView, lengths: Uint32Array): number
  available(): number
  release(recordBytes: number, messages: number): number
  nextLength(): number
  wait(spinMs: number, timeoutMs: number): boolean
  /**
   * Counts how long the marked messages took that have been taken since the last call: low half of the position of the next marked
   * one, or 1.
   */
  countTaken(): number
  /** JavaScript met an impossible record. */
  markCorrupt(): void
}
