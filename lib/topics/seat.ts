// The seat of a handle, at which all its subscriptions wait for messages, and its publishes for room. The addon knows one seat,
// parked for some kinds of news, with one token; here each of them looks like a waiter of its own, so that each has a WaitQueue.
//
//   WaitQueue (subscription) ── TopicWaiter ─┐
//   WaitQueue (subscription) ── TopicWaiter ─┤                   kinds in `facts`, park()
//                                            ├── TopicSeat ── one token, one wait line in shared memory
//   WaitQueue (room) ────────── TopicWaiter ─┘
//
// A ring does not say whom it is for: of the subscriptions those are told that have a message.

import { TopicFact, TopicKind, type NativeTopics } from '../addon/topics.js'
import type { NativeWaiter } from '../addon/waiter.js'
import { forgetWake, newToken, onWakeOf, ring } from '../addon/wake-ups.js'
import type { MillraceError } from '../errors.js'

export class TopicSeat {
  readonly #native: NativeTopics
  readonly #token = newToken()
  readonly #parked = new Set<TopicWaiter>()
  /** Who looks for dead handles, if that is for this seat to do. */
  #lookout: TopicWaiter | undefined
  readonly lookMs: number

  constructor(native: NativeTopics) {
    this.#native = native
    this.lookMs = native.lookMs
    native.wakeToken(this.#token)
  }

  /** A waiter for messages of that subscription; for room, if there is none. */
  waiter(entry?: number): TopicWaiter {
    return new TopicWaiter(this, entry)
  }

  /** Is it for this one, while it is parked, to find dead handles? Who waits for room always looks for them. */
  isLookout(waiter: TopicWaiter): boolean {
    return waiter.entry === undefined || waiter === this.#lookout
  }

  whole(): boolean {
    return this.#native.whole!()
  }

  damage(): MillraceError | undefined {
    return this.#native.damage!()
  }

  /** True: nothing is to be looked for but what was waited for. */
  park(waiter: TopicWaiter): unknown {
    if (this.#parked.size === 0) onWakeOf(this.#token, this.#wake)
    this.#parked.add(waiter)
    this.#parkAll()
    const watches = this.#native.keepWatch()
    if (!watches) this.#lookout = undefined
    else if (this.#lookout === undefined) this.#lookout = waiter
    return this.isLookout(waiter) ? undefined : true
  }

  unpark(waiter: TopicWaiter): void {
    if (!this.#parked.delete(waiter)) return
    if (this.#parked.size === 0) {
      this.#lookout = undefined
      forgetWake(this.#token)
      this.#native.unpark()
      return
    }
    if (waiter.entry === undefined) this.#parkAll()
    if (waiter !== this.#lookout) return
    this.#lookout = undefined
    // Another one has to look: it parks again, and finds out. Not now: it may be in the middle of a look, which has led here.
    void Promise.resolve().then(() => {
      const next = this.#lookout === undefined ? this.#subscriber() : undefined
      if (next !== undefined) ring(next.token)
    })
  }

  still(): boolean {
    return this.#native.still()
  }

  /** Something was published by this handle: is it for those that are parked? */
  tell(): void {
    for (const waiter of [...this.#parked]) {
      const { entry } = waiter
      if (entry !== undefined && this.#parked.has(waiter) && this.#native.ready(entry)) {
        ring(waiter.token)
      }
    }
  }

  #parkAll(): void {
    let kinds = 0
    for (const { entry } of this.#parked) {
      kinds |= entry === undefined ? TopicKind.room : TopicKind.messages
    }
    this.#native.facts[TopicFact.kinds] = kinds
    this.#native.park()
  }

  readonly #wake = (): void => {
    if (!this.whole()) {
      for (const waiter of [...this.#parked]) ring(waiter.token)
      return
    }
    const told = this.#tell(new Set())
    if (this.#parked.size === 0) return
    // Whoever rang took us off the line, for all that are parked.
    this.#parkAll()
    this.#tell(told)
    // Some have nothing: a publisher may have called a lookout before its message. Who was told finds out when it parks again, if it does.
    if (this.#lookout !== undefined) return
    const idle = this.#subscriber(told)
    if (idle !== undefined && this.#native.keepWatch()) ring(idle.token)
  }

  /** One that waits for messages, and is none of these: rung, it parks again, and finds out whether it is to look. */
  #subscriber(known?: Set<TopicWaiter>): TopicWaiter | undefined {
    for (const waiter of this.#parked) {
      if (waiter.entry !== undefined && known?.has(waiter) !== true) return waiter
    }
    return undefined
  }

  /** Rings those that have something to look for, but for those that know it. */
  #tell(known: Set<TopicWaiter>): Set<TopicWaiter> {
    for (const waiter of [...this.#parked]) {
      if (known.has(waiter) || !this.#parked.has(waiter)) continue
      if (waiter.entry !== undefined && !this.#native.ready(waiter.entry)) continue
      known.add(waiter)
      ring(waiter.token)
    }
    return known
  }
}

export class TopicWaiter implements NativeWaiter {
  readonly lookMs: number
  /** Undefined: it waits for room. */
  readonly entry: number | undefined
  readonly #seat: TopicSeat
  /** Of its WaitQueue. */
  token = 0

  constructor(seat: TopicSeat, entry: number | undefined) {
    this.#seat = seat
    this.entry = entry
    this.lookMs = seat.lookMs
  }

  wakeToken(token: number): void {
    this.token = token
  }

  park(): unknown {
    return this.#seat.park(this)
  }

  unpark(): void {
    this.#seat.unpark(this)
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
