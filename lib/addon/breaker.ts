// A circuit breaker: native/addon/breaker.cpp.

import type { NativeParty, NativePartyOptions } from './party.js'

export interface NativeBreakerOptions extends NativePartyOptions {
  /** All three or none. */
  readonly failures: number | undefined
  readonly openMs: number | undefined
  readonly windowMs: number | undefined
}

/** Phase (0 closed, 1 open, 2 half open), generation, failures, milliseconds until a trial, who has the trial (0: nobody). */
export type NativeBreakerState = readonly [
  phase: number,
  generation: number,
  failures: number,
  leftMs: number,
  pid: number,
]

export interface NativeBreaker extends Omit<NativeParty, 'wait'> {
  readonly failures: number
  readonly openMs: number
  readonly windowMs: number
  /** A ticket, odd if it is the trial; `-16 - ms` if it is open for so long, or another has the trial; or an `Outcome`. */
  tryEnter(): number
  succeed(ticket: number): number
  fail(ticket: number): number
  /** The call of that ticket says nothing. */
  release(ticket: number): number
  set(open: boolean): number
  /** Nothing once it is closed. */
  state(): NativeBreakerState | undefined
  /** One slice of at most 20 ms on this thread; true if the generation is another one. */
  wait(generation: number, spinMs: number, timeoutMs: number): boolean
}
