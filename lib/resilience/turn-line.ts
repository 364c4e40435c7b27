// Those of one handle who wait for their turn at a rate limiter, in order. Only the first of them has a turn, taken in advance, and
// one timer that is due then; so whoever gives up behind it costs nobody anything, and each process has its share of the turns.
//
// The first one that gives up passes its turn on to the next, if that is enough for it; else it is given back.

import { Outcome } from '../addon/outcome.js'
import type { NativeRateLimiter } from '../addon/rate-limiter.js'
import { LinkedList } from '../base/linked-list.js'
import { now, startTimer, stopTimer, type Timer } from '../base/time.js'
import { Waiter } from '../base/waiter.js'
import { corruptError, timeoutError } from '../errors.js'

/** What `readWait` makes of options. */
interface Wait {
  readonly signal?: AbortSignal | undefined
  readonly timeout?: number | undefined
}

class Taker extends Waiter {
  cost = 1
  timeout = Infinity
  until = Infinity
}

export class TurnLine {
  readonly #native: NativeRateLimiter
  readonly #title: string
  readonly #leave: (reason: Error) => void
  readonly #line = new LinkedList<Waiter>()
  /** The permits of the turn that was taken for the first one. */
  #reserved = 0
  #timer: Timer | undefined
  #refed = true

  /** `leave` closes the handle for that reason. */
  constructor(handle: NativeRateLimiter, title: string, leave: (reason: Error) => void) {
    this.#native = handle
    this.#title = title
    this.#leave = leave
  }

  get occupied(): boolean {
    return this.#line.length > 0
  }

  /** The signal is not aborted. */
  take(cost: number, { signal, timeout = Infinity }: Wait): Promise<void> {
    return new Promise<void>((resolve, reject) => {
      const end = resolve as (value: unknown) => void
      const taker = new Taker(this, () => undefined, end, reject, undefined)
      taker.cost = cost
      taker.timeout = timeout
      if (timeout !== Infinity) {
        taker.until = now() + timeout
        taker.endAt(taker.until, () => this.late(cost, timeout), timeout)
      }
      if (signal !== undefined) taker.endWith(signal)
      this.#line.add(taker)
      if (this.#line.length === 1) this.#serve()
    })
  }

  /** @internal False if it does not wait here any more. */
  remove(waiter: Waiter): boolean {
    const isFirst = this.#line.first === waiter
    if (!this.#line.remove(waiter)) return false
    waiter.stop()
    if (isFirst) this.#passOn()
    return true
  }

  /** @internal One of them has given up: the next one may be the first now. */
  lookAgain(): void {
    this.#serve()
  }

  evict(reason: Error): void {
    this.#reserved = 0
    for (let first = this.#line.first; first !== undefined; first = this.#line.first) {
      this.remove(first)
      first.reject(reason)
    }
    this.#rest()
  }

  ref(): void {
    this.#refed = true
    this.#armAnew()
  }

  unref(): void {
    this.#refed = false
    this.#armAnew()
  }

  late(cost: number, timeout: number): Error {
    const what = cost === 1 ? 'a permit' : `${String(cost)} permits`
    return timeoutError(
      `the turn for ${what} of ${this.#title}`,
      timeout,
      'others take as much as its rate allows: take less, allow more time, or raise the rate everywhere',
    )
  }

  /** The turn of the one that was first. */
  #passOn(): void {
    stopTimer(this.#timer)
    this.#timer = undefined
    if (this.#reserved === 0) return
    const next = this.#line.first as Taker | undefined
    const isEnough = next !== undefined && next.cost <= this.#reserved
    if (isEnough && next.cost === this.#reserved) return
    const isBack = this.#native.giveBack()
    if (!isBack && isEnough) return // what it needs no permits for is lost
    if (!isBack) this.#native.finish()
    this.#reserved = 0
  }

  #serve(): void {
    for (;;) {
      const first = this.#line.first as Taker | undefined
      if (first === undefined) {
        this.#rest()
        return
      }
      if (this.#reserved === 0 && !this.#reserve(first)) continue
      const left = this.#native.left()
      if (left > 0) {
        this.#timer ??= this.#timerFor(left)
        return
      }
      this.#native.finish()
      this.#reserved = 0
      this.remove(first)
      first.resolve(undefined)
    }
  }

  /** False: it waits no more. */
  #reserve(first: Taker): boolean {
    const damage = this.#native.damage()
    if (damage !== undefined) {
      this.#leave(damage)
      return false
    }
    const within = first.until === Infinity ? Infinity : Math.max(first.until - now(), 0)
    const left = this.#native.reserve(first.cost, within)
    if (left >= 0) {
      this.#reserved = first.cost
      return true
    }
    if (left === Outcome.wouldBlock) {
      this.remove(first)
      first.reject(this.late(first.cost, first.timeout))
    } else {
      this.#leave(corruptError(this.#title))
    }
    return false
  }

  #rest(): void {
    stopTimer(this.#timer)
    this.#timer = undefined
  }

  /** Whoever waits has the timer of its turn, or of the first one's. */
  #timerFor(milliseconds: number): Timer {
    const onTurn = () => {
      this.#timer = undefined
      this.#serve()
    }
    return startTimer(milliseconds, onTurn, { alive: this.#refed })
  }

  #armAnew(): void {
    if (this.#timer === undefined) return
    stopTimer(this.#timer)
    this.#timer = this.#timerFor(this.#native.left())
  }
}
