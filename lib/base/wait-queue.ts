// Waiting in the event loop: look, spin a little, poll a little (one look per turn of the loop), then
// park. Nothing blocks, and a wake-up that is late or doubled only leads to one more look. While parked
// nothing runs but a look every two seconds: no wake-up gets lost, unless a peer that lies takes it away.
//
//   idle ──wait()──► spinning ► polling ──budget spent──► parked
//     ▲                 │          │                        │ wake-up (doorbell, death, slow timer)
//     └──all served─────┴──────────┴────────────────────────┘──► serves, then polling again
//
// Spinning comes before a wait becomes one: what arrives within it costs no promise that is pending, no
// waiter and no system call.

import { abortedError, type MillraceError } from '../errors.js'
import { forgetWake, newToken, onWakeOf } from '../addon/wake-ups.js'
import { hold, letGo } from '../addon/keep-alive.js'
import { native } from '../addon/native.js'
import type { NativeWaiter } from '../addon/waiter.js'
import { forgetAbort, whenAborted } from './abort-signals.js'
import { AdaptiveBackoff } from './adaptive-backoff.js'
import { LinkedList, Member } from './linked-list.js'
import { checkSignal, duration, sharesProcessor, type Tuning, type WaitOptions } from './options.js'
import { atTurn, fairly, turnIsDue } from './fairness.js'
import { endSleep, watchSleep, type Sleeper } from './safety-look.js'
import { now, startTimer, startTurn, stopTimer, stopTurn, type Timer } from './time.js'

/**
 * Tries to finish a wait: the result, `undefined` to go on waiting, or `null` to end it with `undefined`; throwing
 * ends it, too. `thorough` looks also ask how the peer is doing, which costs a system call.
 */
export type Attempt<T> = (thorough: boolean) => Exclude<T, undefined> | null | undefined

/** What makes the error of a wait that was too long; `timeout` is in milliseconds. It says who did not do what was waited for. */
export type TooLate = (timeout: number) => Error

class Waiter extends Member<Waiter> {
  readonly attempt: Attempt<unknown>
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
  /** Of its time and its signal. */
  stop: (() => void) | undefined

  constructor(
    attempt: Attempt<unknown>,
    resolve: (value: unknown) => void,
    reject: (error: unknown) => void,
  ) {
    super()
    this.attempt = attempt
    this.resolve = resolve
    this.reject = reject
  }
}

/** How often to look where nobody would wake us. */
const blindLookMs = 1
/** How long a peer that cannot ring, or whose death cannot be watched, may stay unnoticed. */
const slowLookMs = 50
/** A peer that is just dying keeps its locks for an instant after its doorbell has closed. */
const dyingLookMs = 5
/** How long whoever spins or polls may go without a look at the peer, and whoever spins without a turn of the loop. */
const sliceMs = 20
/** Bursts of a spin in a millisecond are fewer, whatever a clock says. */
const mostBurstsPerMs = 10_000
/** Memory that was found whole is taken to be so for as long. */
const wholeMs = 1
/** Attempts, about a microsecond of them, before a spin first gives way to other threads; then between two times. */
const firstBurst = sharesProcessor ? 32 : 64
const laterBursts = sharesProcessor ? 4 : 16

/** The waits of one side of a channel. Those for messages or room are served in order. */
export class WaitQueue implements Sleeper {
  readonly #native: NativeWaiter
  /** Makes the peer's death wake us; false if only looking from time to time will tell. */
  readonly #watch: () => boolean
  /** Closes the side for that reason. */
  readonly #leave: (reason: MillraceError) => void
  readonly #token = newToken()
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

  #state: 'idle' | 'polling' | 'parked' = 'idle'
  #refed = true
  #held = false
  #pollUntil = 0
  /** When whoever polls asks how the peer is doing. */
  #thoroughAt = 0
  #turn: unknown
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
    this.#native = waiter
    this.#watch = watch
    this.#leave = leave
    this.#spinMs = Math.min(tuning.spin, sliceMs)
    this.#pollMs = Math.max(tuning.poll, tuning.spin - this.#spinMs)
    this.#polling = tuning.spin > sliceMs ? undefined : new AdaptiveBackoff()
    this.#spinning = tuning.adaptiveSpin ? new AdaptiveBackoff() : undefined
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
    const end = timeout === Infinity ? Infinity : now() + timeout
    if (inTurn && spins && this.#isEmpty() && this.#spinMs > 0) {
      const found = this.#spin(attempt, Math.min(this.#spinMs, timeout))
      if (found !== undefined) return fairly(found ?? (undefined as T))
      // Nothing but an attempt has run meanwhile; it may have called what aborts.
      if (signal?.aborted) return Promise.reject(abortedError(signal))
    }
    return new Promise<T>((resolve, reject) => {
      let timer: Timer | undefined
      const giveUp = (error: () => Error) => {
        if (!this.#remove(waiter)) return
        try {
          givenUp?.()
          reject(error())
        } catch (found) {
          reject(found) // giving up showed that the memory is corrupt, which tells more
        }
        this.lookAgain() // it may have stood in the way of others
      }
      const onAbort = () => {
        giveUp(() => abortedError(signal!))
      }
      const waiter = new Waiter(attempt, resolve as (value: unknown) => void, reject)
      if (end !== Infinity || signal !== undefined) {
        waiter.stop = () => {
          stopTimer(timer)
          if (signal !== undefined) forgetAbort(signal, onAbort)
        }
      }
      if (end !== Infinity) {
        // Whether the loop stays alive is for #holdLoop to say.
        timer = startTimer(Math.max(end - now(), 0), () => {
          giveUp(() => late(timeout))
        })
      }
      if (signal !== undefined) whenAborted(signal, onAbort)
      ;(inTurn ? this.#line : this.#aside).add(waiter)
      this.occupied ||= inTurn
      this.#holdLoop()
      if (this.#state === 'idle') this.#begin()
    })
  }

  /**
   * Memory under a name can be shortened by whoever may write to it; touching what is gone would end this
   * process. If that has happened, the side is closed, and this is why.
   */
  damage(): MillraceError | undefined {
    if (this.#native.damage === undefined) return undefined
    const time = now()
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
    if (!this.#isEmpty()) {
      const error = typeof reason === 'function' ? reason() : reason
      if (this.#attempting) {
        this.#evictedBy = error // by what the attempt throws, which tells more
        return
      }
      for (const list of [this.#line, this.#aside]) {
        for (let waiter = list.first; waiter !== undefined; waiter = list.first) {
          this.#remove(waiter)
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
      this.#stopTurn()
      this.#park()
    }
  }

  /** Attempts again and again for a few microseconds, if that lately paid. */
  #spin<T>(attempt: Attempt<T>, milliseconds: number): ReturnType<Attempt<T>> {
    if (this.#spinning?.try() === false) return undefined
    let until = 0
    let burst = firstBurst
    for (let bursts = milliseconds * mostBurstsPerMs + 1; bursts > 0; bursts--) {
      for (let i = 0; i < burst; i++) {
        const found = attempt(false)
        if (found === undefined) continue
        this.#spinning?.paid()
        return found
      }
      burst = laterBursts
      const time = now()
      if (until === 0) until = time + milliseconds
      else if (time >= until) break
      // Whoever else could run may be the one we wait for.
      native.yieldProcessor()
    }
    this.#spinning?.lost()
    return undefined
  }

  #begin(): void {
    // A loop that nothing else keeps turning would sleep between two looks, and no peer would wake it.
    if (this.#pollMs > 0 && this.#refed && this.#polling?.try() !== false) {
      this.#state = 'polling'
      const time = now()
      this.#pollUntil = time + this.#pollMs
      this.#thoroughAt = time + sliceMs
      this.#lookNextTurn()
    } else {
      this.#park()
    }
  }

  #lookNextTurn(): void {
    this.#turn = startTurn(this.#look)
  }

  readonly #look = (): void => {
    this.#turn = undefined
    if (this.#serve(false)) {
      this.#polling?.paid()
      this.#pollUntil = now() + this.#pollMs
    }
    if (this.#isEmpty()) {
      this.#settle()
      return
    }
    const time = now()
    if (time < this.#pollUntil) {
      if (time >= this.#thoroughAt) this.#lookThoroughly(time)
      else this.#lookNextTurn()
    } else {
      this.#polling?.lost()
      this.#park()
    }
  }

  /** Nobody tells whoever polls that the peer has died, or that its memory was shortened. */
  #lookThoroughly(time: number): void {
    this.#thoroughAt = time + sliceMs
    if (this.damage() !== undefined) return
    this.#serve(true)
    if (this.#isEmpty()) this.#settle()
    else this.#lookNextTurn()
  }

  /** `carefully`: asks how the peer is doing, even where that should be known. */
  #park(carefully = false): void {
    this.#state = 'parked'
    if (this.damage() !== undefined) return
    onWakeOf(this.#token, this.#wake)
    const parked = this.#native.park()
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
      this.#lookAgainIn(slowLookMs)
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
    if (this.#state === 'parked' && this.#native.still?.() !== true) this.#park(true)
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
      this.#remove(waiter)
      settle(waiter.reject, error)
      if (this.#evictedBy !== undefined) this.#evictRest(error as Error)
      return true
    }
    if (result === undefined) return false
    this.#remove(waiter)
    settle(waiter.resolve, result ?? undefined)
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

  /** False if it does not wait any more. */
  #remove(waiter: Waiter): boolean {
    if (waiter.list?.remove(waiter) !== true) return false
    waiter.stop?.()
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
    this.#stopTurn()
    this.#letGoLoop()
  }

  #stopTurn(): void {
    if (this.#turn !== undefined) stopTurn(this.#turn)
    this.#turn = undefined
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

/** Ends a wait: now, or after the turn that the event loop is due. */
function settle(end: (value: unknown) => void, value: unknown): void {
  if (!turnIsDue()) {
    end(value)
    return
  }
  atTurn(() => {
    end(value)
  })
}
