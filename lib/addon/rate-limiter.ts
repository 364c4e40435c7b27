// A rate limiter: native/addon/rate_limiter.cpp.

import type { NativePlace } from './place.js'
import type { NativeSegment } from './waiter.js'

export interface NativeRateLimiterOptions {
  readonly place: NativePlace
  readonly mode: number
  readonly owner: number | undefined
  /** Sixteenths of a nanosecond for each permit; both or neither. */
  readonly interval: bigint | undefined
  readonly burst: number | undefined
}

/** Costs are whole numbers from 1 to `burst`; results below zero are an `Outcome`. */
export interface NativeRateLimiter extends NativeSegment {
  readonly path: string
  readonly intervalMs: number
  readonly burst: number
  /** 1: taken, 0: not now. */
  tryTake(cost: number): number
  /** Milliseconds until the turn that was taken; `wouldBlock` if that would be later than in so many. One at a time. */
  reserve(cost: number, withinMs: number): number
  /** Milliseconds until the turn that was reserved. */
  left(): number
  /** The same, after blocking this thread for 20 ms at most. */
  sleep(): number
  /** The turn is used, or let pass. */
  finish(): void
  /** Was it the last one taken? If not, it is still ours. */
  giveBack(): boolean
  /** Milliseconds until so many can be had. */
  look(cost: number): number
  remaining(): number
  /** Milliseconds until all of the burst can be had. */
  debt(): number
  close(): void
}
