// Waiting in the event loop: look, spin a little, poll a little (one look per turn of the loop), then
// park. Nothing blocks, and a wake-up that is late or doubled only leads to one more look. While parked
// nothing runs but a look every two seconds: no wake-up gets lost, unless a peer that lies takes it away.
//
//   idle ──wait()──► spinning ► polling ──budget spent──► parking ──► parked
//     ▲                 │          │                         │          │ wake-up (doorbell, death, slow timer)
//     └──all served─────┴──────────┴─────────────────────────┴──────────┘──► serves, then polling again
//
// Spinning comes before a wait becomes one: what arrives within it costs no promise that is pending, no
// waiter and no system call.

import { abortedError, type MillraceError } from '../errors.js'
import { forgetWake, newToken, onWakeOf } from '../addon/wake-ups.js'
import { hold, letGo } from '../addon/keep-alive.js'
import { native } from '../addon/native.js'
import type { NativeWaiter } from '../addon/waiter.js'
import { AdaptiveBackoff } from './adaptive-backoff.js'
import { LinkedList } from './linked-list.js'
import { tellDeaths } from './life.js'
import { Looker } from './looker.js'
import { checkSignal, duration, sharesProcessor, type Tuning, type WaitOptions } from './options.js'
import { endFairly, fairly } from './fairness.js'
import { parkSoon } from './parking.js'
import { lookNextTurn, pollers, stopLooking } from './polling.js'
import { endSleep, watchSleep, type Sleeper } from './safety-look.js'
import { maySpin, spinLost, spinPaid } from './spin-allowance.js'
import { now, startTimer, stopTimer, type Timer } from './time.js'
import { Waiter, type Attempt, type TooLate } from './waiter.js'

/** How often to look where nobody would wake us. */
const blindLookMs = 1
/** How long a peer that cannot ring, or whose death cannot be watched, may stay unnoticed, where the waiter does not say. */
const slowLookMs = 50
/** A peer that is just dying keeps its locks for an instant after its doorbell has closed. */
const dyingLookMs = 5
/** How long whoever spins or polls may go without a look at the peer, and whoever spins without a turn of the loop. */
const sliceMs = 20
/** Bursts of a spin in a millisecond are fewer, whatever a clock says. */
const mostBurstsPerMs = 10_000
/** Memory that was found whole is taken to be so for as long. */
const wholeMs = 1
/**
 * So many who poll share a turn of the event loop, which costs each of them next to nothing: what remains is the look. So many
 * of those cost what parking and being woken does, at either side; then it is parked.
 */
const company = 64
const mostLooksInCompany = 24
/** Attempts, about a microsecond of them, before a spin first gives way to other threads; then between two times. */
const firstBurst = sharesProcessor ? 32 : 64
const laterBursts = sharesProcessor ? 4 : 16

/** The waits of one side of a channel. Those for messages or room are served in order. */
export class WaitQueue extends Looker implements Sleeper {
  readonly #native: NativeWaiter
  /** Makes the peer's death wake us; false if only looking from time to time will tell. */
  readonly #watch: () => boolean
  /** Closes the side for that reason. */
  readonly #leave: (reason: MillraceError) => void
  readonly #token = newToken()
  readonly #slowLookMs: number
  readonly #pollMs: number
  /** Of which no more than a slice is spent without turns of the event loop; what is left is polled for. */
  readonly #spinMs: number
  /** Nothing if every wait is to poll. */
  readonly #polling: AdaptiveBackoff | undefined
  /** Nothing if every wait is to spin. */
  readonly #spinning: AdaptiveBackoff | undefined
  /** Those who wait for each other as well, in the order in which they came. */
  readonly #line = new LinkedList<Waiter>()
  readonly #aside = new LinkedList<Waiter>()
  /** Are there waits that later calls must not overtake? A field, because every call asks; only written here. */
  occupied = false

  #state: 'idle' | 'polling' | 'parking' | 'parked' = 'idle'
  #refed = true
  #held = false
  /** 0 until the first look. */
  #pollUntil = 0
  #looksInCompany = 0
  /** When whoever polls asks how the peer is doing. */
  #thoroughAt = 0
  #slowTimer: Timer | undefined
  #attempting = false
  /** Set when an attempt made this side close. */
  #evictedBy: Error | undefined
  #foundWholeAt = -Infinity
  /** @internal */
  sleptAt = 0

  constructor(
    waiter: NativeWaiter,
    watch: () => boolean,
    leave: (reason: MillraceError) => void,
    tuning: Tuning,
  ) {
    super()
    this.#native = waiter
    this.#watch = watch
    this.#leave = leave
    this.#spinMs = Math.min(tuning.spin, sliceMs)
    this.#pollMs = Math.max(tuning.poll, tuning.spin - this.#spinMs)
    this.#polling = tuning.spin > sliceMs ? undefined : new AdaptiveBackoff()
    this.#spinning = tuning.adaptiveSpin ? new AdaptiveBackoff() : undefined
    this.#slowLookMs = waiter.lookMs ?? slowLookMs
    waiter.wakeToken(this.#token)
  }

  /**
   * Resolves with the first result of `attempt` that is not `undefined`, after the waits that came
   * earlier. `givenUp` runs when a signal or the time ends the wait, before
   * anything else can happen. `spins`: can what is waited for happen while this thread spins?
   */
  wait<T>(
    late: TooLate,
    attempt: Attempt<T>,
    options?: WaitOptions,
    givenUp?: () => void,
    spins = true,
  ): Promise<T> {
    return this.#enter(late, attempt, true, options, givenUp, spins)
  }

  /**
   * What a `wait` would begin with: attempts for as long as spinning may take, if it lately paid, and nobody waits. Whoever has many
   * things to wait for at once, and no promise of its own to give for each, calls this before it waits. `looks`: what an attempt
   * costs, where it is more than a look into memory.
   */
  spin<T>(attempt: Attempt<T>, looks = 1): ReturnType<Attempt<T>> {
    if (this.#spinMs === 0 || !this.#isEmpty()) return undefined
    if (!this.#isCrowded()) return this.#spin(attempt, this.#spinMs, looks)
    const found = attempt(false)
    if (found !== undefined) return found
    // What has come when we have our turn again is taken all at once.
    native.yieldProcessor()
    return attempt(false)
  }

  /** Would looking take the time of those whom we wait for? */
  #isCrowded(): boolean {
    return this.#spinning !== undefined && this.#native.crowded?.() === true
  }

  /** As `wait`, but neither waits for the others nor holds them up. */
  waitAside<T>(late: TooLate, attempt: Attempt<T>, options?: WaitOptions): Promise<T> {
    return this.#enter(late, attempt, false, options)
  }

  #enter<T>(
    late: TooLate,
    attempt: Attempt<T>,
    inTurn: boolean,
    options: WaitOptions = {},
    givenUp?: () => void,
    spins = true,
  ): Promise<T> {
    const timeout = duration(options, 'timeout', Infinity)
    const signal = checkSignal(options.signal)
    if (signal?.aborted) return Promise.reject(abortedError(signal))
    const until = timeout === Infinity ? Infinity : now() + timeout
    if (inTurn && spins && this.#isEmpty() && this.#spinMs > 0) {
      const found = this.#spin(attempt, Math.min(this.#spinMs, timeout))
      if (found !== undefined) return fairly(found ?? (undefined as T))
      // Nothing but an attempt has run meanwhile; it may have called what aborts.
      if (signal?.aborted) return Promise.reject(abortedError(signal))
    }
    return new Promise<T>((resolve, reject) => {
      const end = resolve as (value: unknown) => void
      const waiter = new Waiter(this, attempt, end, reject, givenUp)
      if (until !== Infinity) waiter.endAt(until, late, timeout)
      if (signal !== undefined) waiter.endWith(signal)
      this.occupied ||= inTurn
      this.#add(waiter, inTurn ? this.#line : this.#aside)
    })
  }

  /**
   * As `waitAside`, for who has the time and the signal in hand already: calls `told` with the first result of `attempt`, or `failed`
   * with what it throws, perhaps before it returns; until the function that it returns is called.
   */
  watch(
    attempt: Attempt<unknown>,
    told: (found: unknown) => void,
    failed: (error: unknown) => void,
  ): () => void {
    const waiter = new Waiter(this, attempt, told, failed, undefined)
    this.#add(waiter, this.#aside)
    return () => {
      if (this.remove(waiter)) this.#settle()
    }
  }

  #add(waiter: Waiter, list: LinkedList<Waiter>): void {
    list.add(waiter)
    this.#holdLoop()
    if (this.#state === 'idle') this.#begin()
  }

  /**
   * Memory under a name can be shortened by whoever may write to it; touching what is gone would end this
   * process. If that has happened, the side is closed, and this is why.
   */
  damage(time = now()): MillraceError | undefined {
    if (this.#native.damage === undefined) return undefined
    if (time - this.#foundWholeAt < wholeMs) return undefined
    const error = this.#native.damage()
    if (error !== undefined) this.#leave(error)
    else this.#foundWholeAt = time
    return error
  }

  /** Something changed that no peer tells of: looks again. */
  lookAgain(): void {
    this.#serve(false)
    this.#settle()
  }

  /** To be called after blocking on the same wait line, which took us off it. */
  parkAgain(): void {
    if (this.#state === 'parked') this.#park()
  }

  /** Ends all waits with that error, made only if there are any; for close(). */
  evict(reason: Error | (() => Error)): void {
    this.#evict(reason, [this.#line, this.#aside])
  }

  /** The same, but those who wait aside go on. */
  evictLine(reason: Error | (() => Error)): void {
    this.#evict(reason, [this.#line])
  }

  #evict(reason: Error | (() => Error), lists: readonly LinkedList<Waiter>[]): void {
    if (!this.#isEmpty()) {
      const error = typeof reason === 'function' ? reason() : reason
      if (this.#attempting) {
        this.#evictedBy = error // by what the attempt throws, which tells more
        return
      }
      for (const list of lists) {
        for (let waiter = list.first; waiter !== undefined; waiter = list.first) {
          this.remove(waiter)
          waiter.reject(error)
        }
      }
    }
    this.#settle()
  }

  ref(): void {
    this.#refed = true
    this.#holdLoop()
  }

  unref(): void {
    this.#refed = false
    this.#letGoLoop()
    if (this.#state === 'polling') {
      stopLooking(this)
      this.#park()
    }
  }

  /** Attempts again and again for a few microseconds, if that lately paid. */
  #spin<T>(attempt: Attempt<T>, milliseconds: number, looks = 1): ReturnType<Attempt<T>> {
    const adaptive = this.#spinning
    // In company others may have what we wait for.
    const mayNot =
      adaptive !== undefined && (pollers() >= company || !(adaptive.try() && maySpin()))
    if (mayNot) return undefined
    let began = 0
    let burst = firstBurst / looks
    let time = 0
    for (let bursts = milliseconds * mostBurstsPerMs + 1; bursts > 0; bursts--) {
      for (let i = 0; i < burst; i++) {
        const found = attempt(false)
        if (found === undefined) continue
        if (adaptive !== undefined) {
          adaptive.paid()
          spinPaid(time - began)
        }
        return found
      }
      burst = laterBursts / looks
      time = now()
      if (began === 0) began = time
      else if (time - began >= milliseconds) break
      // Whoever else could run may be the one we wait for.
      native.yieldProcessor()
    }
    if (adaptive !== undefined) {
      adaptive.lost()
      spinLost(time, time - began)
    }
    return undefined
  }

  #begin(): void {
    // A loop that nothing else keeps turning would sleep between two looks, and no peer would wake it.
    if (
      this.#pollMs > 0 &&
      this.#refed &&
      !this.#isCrowded() &&
      (pollers() >= company || this.#polling?.try() !== false)
    ) {
      this.#state = 'polling'
      this.#pollUntil = 0
      this.#looksInCompany = mostLooksInCompany
      lookNextTurn(this)
    } else {
      this.#parkSoon()
    }
  }

  /** @internal */
  look(time: number, others: number): void {
    // Others had their turn since the memory was looked into, or more of it than a poll takes.
    const isUnsure = time >= this.#pollUntil || time >= this.#thoroughAt
    if (isUnsure && this.damage(time) !== undefined) return
    const served = this.#serve(false)
    if (served) this.#polling?.paid()
    if (this.#isEmpty()) {
      this.#settle()
      return
    }
    // Until the first look others had their turn, not we.
    if (this.#pollUntil === 0) this.#thoroughAt = time + sliceMs
    if (served || this.#pollUntil === 0) this.#pollUntil = time + this.#pollMs
    if (served) this.#looksInCompany = mostLooksInCompany
    const isDue = time >= this.#thoroughAt
    if (time < this.#pollUntil) {
      if (isDue) this.#lookThoroughly(time)
      else lookNextTurn(this)
    } else if (others >= company && --this.#looksInCompany > 0 && !isDue) {
      lookNextTurn(this)
    } else {
      this.#polling?.lost()
      if (this.#line.length > 0) this.#foundWholeAt = time // an attempt has just looked into it
      this.#parkSoon()
    }
  }

  /** Nobody tells whoever polls that the peer has died. */
  #lookThoroughly(time: number): void {
    this.#thoroughAt = time + sliceMs
    this.#serve(true)
    if (this.#isEmpty()) this.#settle()
    else lookNextTurn(this)
  }

  /** Together with others that are about to sleep, where that is possible. */
  #parkSoon(): void {
    if (this.#native.announce === undefined) {
      this.#park()
      return
    }
    this.#state = 'parking'
    parkSoon(this)
  }

  /** @internal */
  announce(): void {
    this.#state = 'parked'
    if (this.damage() !== undefined) return
    onWakeOf(this.#token, this.#wake)
    this.#native.announce!()
  }

  /** @internal */
  lookAnnounced(): void {
    this.#lookOnceMore(this.#native.heard!(), false)
  }

  /** @internal */
  parkAlone(): void {
    this.#park()
  }

  /** `carefully`: asks how the peer is doing, even where that should be known. */
  #park(carefully = false): void {
    this.#state = 'parked'
    if (this.damage() !== undefined) return
    onWakeOf(this.#token, this.#wake)
    this.#lookOnceMore(this.#native.park(), carefully)
  }

  /** `parked`: what `NativeWaiter.park` said. */
  #lookOnceMore(parked: unknown, carefully: boolean): void {
    if (parked === true && !carefully && this.#aside.length === 0) {
      this.#serve(false)
      if (this.#isEmpty()) this.#settle()
      else this.#rest()
      return
    }
    const blind = parked === false
    // Only now that the peer's death would wake us does a look at the peer mean anything.
    const watched = this.#watch()
    this.#serve(true)
    if (this.#isEmpty()) {
      this.#settle()
    } else if (blind) {
      this.#lookAgainIn(blindLookMs)
    } else if (watched) {
      this.#rest()
    } else {
      this.#lookAgainIn(this.#slowLookMs)
    }
  }

  readonly #wake = (): void => {
    if (this.#state !== 'parked') return
    this.#endTimers()
    if (this.damage() !== undefined) return
    if (this.#serve(true)) {
      if (this.#isEmpty()) this.#settle()
      else this.#begin()
      return
    }
    // Woken for nothing we could use: a doubled ring, or a peer that is just dying. Park again, and look
    // once more soon.
    const blind = this.#native.park() === false
    const watched = this.#watch()
    this.#serve(true)
    if (this.#isEmpty()) this.#settle()
    else if (blind) this.#lookAgainIn(blindLookMs)
    else this.#lookAgainIn(watched ? dyingLookMs * 4 : dyingLookMs)
  }

  /** @internal Nobody has woken us for a while. */
  safetyLook(): void {
    if (this.#state !== 'parked' || this.damage() !== undefined) return
    if (this.#native.still?.() !== true) this.#park(true)
  }

  #rest(): void {
    this.#endTimers()
    watchSleep(this)
  }

  #endTimers(): void {
    endSleep(this)
    if (this.#slowTimer === undefined) return
    stopTimer(this.#slowTimer)
    this.#slowTimer = undefined
  }

  #lookAgainIn(milliseconds: number): void {
    this.#endTimers()
    this.#slowTimer = startTimer(milliseconds, () => {
      this.#slowTimer = undefined
      if (this.#state === 'parked') this.#park(true)
    })
  }

  /** Serves those in line until one has to wait, and those aside. True if one was served. */
  #serve(thorough: boolean): boolean {
    const served = this.#serveAll(thorough)
    if (thorough) tellDeaths()
    return served
  }

  #serveAll(thorough: boolean): boolean {
    let served = false
    for (;;) {
      const { first } = this.#line
      if (first === undefined || !this.#serveOne(first, thorough)) break
      served = true
    }
    if (this.#aside.length === 0) return served
    // Serving one may end others.
    const aside: Waiter[] = []
    for (let waiter = this.#aside.first; waiter !== undefined; waiter = waiter.behind) {
      aside.push(waiter)
    }
    for (const waiter of aside) {
      if (waiter.list !== undefined && this.#serveOne(waiter, thorough)) served = true
    }
    return served
  }

  /** False: it has to go on waiting. */
  #serveOne(waiter: Waiter, thorough: boolean): boolean {
    let result: unknown
    try {
      result = this.#attempt(waiter, thorough)
    } catch (error) {
      this.remove(waiter)
      endFairly(waiter.reject, error)
      if (this.#evictedBy !== undefined) this.#evictRest(error as Error)
      return true
    }
    if (result === undefined) return false
    this.remove(waiter)
    endFairly(waiter.resolve, result ?? undefined)
    return true
  }

  #attempt(waiter: Waiter, thorough: boolean): unknown {
    this.#attempting = true
    try {
      return waiter.attempt(thorough)
    } finally {
      this.#attempting = false
    }
  }

  #evictRest(error: Error): void {
    this.#evictedBy = undefined
    this.evict(error)
  }

  #isEmpty(): boolean {
    return this.#line.length + this.#aside.length === 0
  }

  /** @internal False if it does not wait any more. */
  remove(waiter: Waiter): boolean {
    if (waiter.list?.remove(waiter) !== true) return false
    waiter.stop()
    this.occupied = this.#line.length > 0
    return true
  }

  /** Back to idle if nobody waits any more. */
  #settle(): void {
    if (!this.#isEmpty()) return
    if (this.#state === 'parked') {
      forgetWake(this.#token)
      this.#native.unpark()
    }
    this.#state = 'idle'
    this.#endTimers()
    stopLooking(this)
    this.#letGoLoop()
  }

  #holdLoop(): void {
    if (this.#held || !this.#refed || this.#isEmpty()) return
    this.#held = true
    hold()
  }

  #letGoLoop(): void {
    if (!this.#held) return
    this.#held = false
    letGo()
  }
}
