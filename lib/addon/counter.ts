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

/** A number instead of a bigint is an `Outcome`. */
export interface NativeCounter extends NativeSegment {
  readonly path: string
  get(): bigint | number
  add(delta: bigint | number): bigint | number
  exchange(value: bigint | number): bigint | number
  compareExchange(expected: bigint | number, replacement: bigint | number): bigint | number
  close(): void
}
