// A counter: native/addon/counter.cpp.

import type { NativePlace } from './place.js'
import type { NativeSegment } from './waiter.js'

export interface NativeCounterOptions {
  readonly place: NativePlace
  readonly initial: bigint
  readonly mode: number
  readonly owner: number | undefined
  readonly keep: boolean
}

/** Its steps are for bigints of 64 bits, while it is open. */
export interface NativeCounter extends NativeSegment {
  readonly path: string
  /** The memory that begins with the value. */
  record(): ArrayBuffer
  get(): bigint
  add(delta: bigint): bigint
  exchange(value: bigint): bigint
  compareExchange(expected: bigint, replacement: bigint): bigint
  close(): void
}
