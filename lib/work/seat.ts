// The seat of a handle, at which it waits for two things at once: jobs, and room. The addon knows one seat, parked for some
// kinds of news, with one token; here each kind looks like a waiter of its own, so that each has a WaitQueue.
//
//   WaitQueue (jobs) ── SeatWaiter ─┐                 kinds in `facts`, park()
//                                   ├── Seat ── one token, one wait line in shared memory
//   WaitQueue (room) ── SeatWaiter ─┘                 a ring wakes both
//
// While the seat is parked, a timer looks when something is due: a delayed job, one whose time is over, a lease.

import type { NativeWaiter } from '../addon/waiter.js'
import { forgetWake, newToken, onWakeOf, ring } from '../addon/wake-ups.js'
import { Kind, WorkFact, type NativeWork } from '../addon/work.js'
import { startTimer, stopTimer, type Timer } from '../base/time.js'
import type { MillraceError } from '../errors.js'

/** What is due at once is not looked for in the same turn: somebody else may just be doing it. */
const soonMs = 1

export class Seat {
  readonly #native: NativeWork
  readonly #token = newToken()
  readonly #waiters: SeatWaiter[] = []
  /** Those kinds that are parked. */
  #kinds = 0
  #timer: Timer | undefined
  /** How often it looks while it is a lookout. */
  readonly lookMs: number
  /** Is it for this one, while it is parked, to find dead holders? */
  isLookout = false

  constructor(native: NativeWork) {
    this.#native = native
    this.lookMs = native.lookMs
    native.wakeToken(this.#token)
  }

  /** A waiter for that kind. */
  waiter(kind: number): NativeWaiter {
    const waiter = new SeatWaiter(this, kind)
    this.#waiters.push(waiter)
    return waiter
  }

  whole(): boolean {
    return this.#native.whole!()
  }

  damage(): MillraceError | undefined {
    return this.#native.damage!()
  }

  /** True: nothing is to be looked for but what was waited for. A lookout looks for dead holders from time to time. */
  park(kind: number): unknown {
    if (this.#kinds === 0) onWakeOf(this.#token, this.#wake)
    this.#kinds |= kind
    this.#native.facts[WorkFact.kinds] = this.#kinds
    this.#native.park()
    this.#lookWhenDue()
    this.isLookout = this.#native.keepWatch()
    return kind !== Kind.room && !this.isLookout ? true : undefined
  }

  unpark(kind: number): void {
    this.#kinds &= ~kind
    if (this.#kinds !== 0) {
      // The other kind stays, with all that was there before: nobody who woke us is lost by it.
      this.#native.facts[WorkFact.kinds] = this.#kinds
      this.#native.park()
      return
    }
    forgetWake(this.#token)
    this.#native.unpark()
    this.#endTimer()
  }

  still(): boolean {
    return this.#native.still()
  }

  readonly #wake = (): void => {
    // A ring does not say what it was for, and took us off the line for all kinds.
    for (const { token } of this.#waiters) ring(token)
  }

  #lookWhenDue(): void {
    this.#endTimer()
    const left = this.#native.nextDue()
    if (left === Infinity) return
    this.#timer = startTimer(Math.max(left, soonMs), () => {
      this.#timer = undefined
      this.#wake()
    })
  }

  #endTimer(): void {
    stopTimer(this.#timer)
    this.#timer = undefined
  }
}

class SeatWaiter implements NativeWaiter {
  readonly lookMs: number
  readonly #seat: Seat
  readonly #kind: number
  /** Of its WaitQueue. */
  token = 0

  constructor(seat: Seat, kind: number) {
    this.#seat = seat
    this.#kind = kind
    this.lookMs = seat.lookMs
  }

  wakeToken(token: number): void {
    this.token = token
  }

  park(): unknown {
    return this.#seat.park(this.#kind)
  }

  unpark(): void {
    this.#seat.unpark(this.#kind)
  }

  still(): boolean {
    return this.#seat.still()
  }

  whole(): boolean {
    return this.#seat.whole()
  }

  damage(): MillraceError | undefined {
    return this.#seat.damage()
  }
}
