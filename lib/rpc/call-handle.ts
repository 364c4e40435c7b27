// What a server and a client are alike: a handle of the memory of calls, one seat, which waits for what comes to it, and looks
// after others meanwhile.

import { CallFact, type NativeCalls } from '../addon/calls.js'
import { Outcome } from '../addon/outcome.js'
import type { NativeWaiter } from '../addon/waiter.js'
import { ifAllowed } from '../base/borrowing.js'
import { Handle } from '../base/handle.js'
import type { Tuning } from '../base/options.js'
import { recheckSoon } from '../base/rechecks.js'
import { now } from '../base/time.js'
import type { Bytes } from '../base/view-constructor.js'
import { Views } from '../base/views.js'
import { closedError, corruptError, type MillraceError } from '../errors.js'
import { statsOf, type CallStats } from './stats.js'

/** Dead ones are looked for at most once in so many milliseconds: half of what a lookout lets pass. */
const lookMs = 10

export abstract class CallHandle extends Handle<NativeCalls> {
  /** The path of its memory, as `list` tells it. */
  readonly path: string
  /** @internal */
  protected readonly facts: Int32Array
  readonly #memory: Memory
  #lookedAt = -Infinity

  /** @internal `kinds`: what it waits for. `crowded`: see `NativeWaiter`. */
  protected constructor(
    name: string,
    title: string,
    native: NativeCalls,
    tuning: Tuning,
    kinds: () => number,
    crowded: () => boolean = () => false,
  ) {
    const seat = new SeatWaiter(native, kinds, crowded)
    super(name, title, native, () => !seat.isLookout, tuning, seat)
    this.path = native.path
    this.facts = native.facts
    this.#memory = new Memory(native)
  }

  /** What there is now, and what was counted, of all servers and clients. Errors as `CLOSED`, `CORRUPT`. */
  stats(): CallStats {
    this.assertOpen()
    this.assertWhole()
    return statsOf(this.native)
  }

  /** @internal Of what `poll` or `take` has left in the facts: good until the next of these, or until it is given back. */
  protected given(): Bytes {
    const { facts } = this
    const length = facts[CallFact.length]!
    return facts[CallFact.small] !== 0
      ? this.#memory.small(length)
      : this.#memory.large(wideAt(facts, CallFact.offset), length)
  }

  /** @internal What lies there, for somebody who keeps it for a while. */
  protected own(offset: number, length: number): Bytes {
    return this.#memory.own(offset, length)
  }

  /** @internal */
  protected override closeNative(): void {
    this.native.close()
    this.#memory.close()
  }

  /** @internal Looks for dead holders, and for what is due. */
  protected look(): void {
    const time = now()
    if (time - this.#lookedAt < lookMs) return
    this.#lookedAt = time
    this.native.look()
    this.told()
  }

  /** @internal After every call that may have woken somebody. */
  protected told(): void {
    if (this.facts[CallFact.woke] === 0) return
    this.facts[CallFact.woke] = 0
    recheckSoon(this)
  }

  /** @internal Has whoever we woke come? */
  recheck(): boolean {
    if (this.closed || this.waits.damage() !== undefined) return false
    return this.native.recheck()
  }

  /** @internal An outcome below zero as an error; what is corrupt is closed. */
  protected fail(outcome: number): MillraceError {
    if (outcome !== Outcome.corrupt) return closedError(this.title)
    const error = corruptError(this.title)
    this.leave(error)
    return error
  }
}

/** What has 64 bits, and is small enough to be an ordinary number. */
export function wideAt(facts: Int32Array, at: number): number {
  return (facts[at]! >>> 0) + facts[at + 1]! * 2 ** 32
}

/** Parks a seat, for all that it waits for. */
class SeatWaiter implements NativeWaiter {
  readonly lookMs: number
  readonly #native: NativeCalls
  readonly #kinds: () => number
  readonly crowded: () => boolean
  /** Is it for this one, while it is parked, to find dead holders? */
  isLookout = false

  constructor(native: NativeCalls, kinds: () => number, crowded: () => boolean) {
    this.crowded = crowded
    this.#native = native
    this.#kinds = kinds
    this.lookMs = native.lookMs
  }

  wakeToken(token: number): void {
    this.#native.wakeToken(token)
  }

  /** True: nothing is to be looked for but what was waited for. */
  park(): unknown {
    this.#native.facts[CallFact.kinds] = this.#kinds()
    this.#native.park()
    this.isLookout = this.#native.keepWatch()
    return this.isLookout ? undefined : true
  }

  unpark(): void {
    this.#native.unpark()
  }

  still(): boolean {
    return this.#native.still()
  }

  whole(): boolean {
    return this.#native.whole!()
  }

  damage(): MillraceError | undefined {
    return this.#native.damage!()
  }
}

/** Lengths whose views are kept. */
const mostKept = 256

/** What arguments and results look like to JavaScript. */
class Memory {
  readonly #native: NativeCalls
  readonly #inbox: Uint8Array
  readonly #small = new Array<Bytes | undefined>(mostKept).fill(undefined)
  #buffer: ArrayBuffer | undefined
  #views: Views | undefined

  constructor(native: NativeCalls) {
    this.#native = native
    this.#inbox = native.inbox
  }

  /** What lies in the inbox. */
  small(length: number): Bytes {
    const inbox = this.#inbox
    if (length >= mostKept) return new Uint8Array(inbox.buffer as ArrayBuffer, 0, length)
    return (this.#small[length] ??= new Uint8Array(inbox.buffer as ArrayBuffer, 0, length))
  }

  /** What lies in shared memory; a copy where that cannot be borrowed (Electron). */
  large(offset: number, length: number): Bytes {
    this.#views ??= ifAllowed(() => new Views((this.#buffer ??= this.#native.buffer())))
    if (this.#views !== undefined) return this.#views.of(offset, length)
    const copy = Buffer.allocUnsafeSlow(length)
    this.#native.copyOut(copy) // the offset is in the facts still
    return copy
  }

  own(offset: number, length: number): Bytes {
    return new Uint8Array((this.#buffer ??= this.#native.buffer()), offset, length)
  }

  close(): void {
    this.#buffer = undefined
    this.#views = undefined
  }
}

/** Where others say that there is something for us; nothing where only the addon can look. */
export function newsOf(native: NativeCalls): Int32Array | undefined {
  const buffer = ifAllowed(() => native.news())
  return buffer === undefined ? undefined : new Int32Array(buffer)
}
