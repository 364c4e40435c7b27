// A named barrier: all wait until the last one has arrived.

import { readBlocking, type BlockingOptions } from '../base/blocking.js'
import { closedError, corruptError, MillraceError, timeoutError } from '../errors.js'
import type { NativeBarrier } from '../addon/barrier.js'
import { native } from '../addon/native.js'
import { factsOf, inspected, inspection, type Inspecting } from '../base/inspection.js'
import { tellGone } from '../base/life.js'
import { checkName, wholeNumber, type Tuning, type WaitOptions, readWait } from '../base/options.js'
import { fairly } from '../base/fairness.js'
import { countOf, inWords } from './others.js'
import { Party, partyNames, readPartyOptions, type PartyOptions } from './party.js'
import { nameOf, type Place } from '../place/place.js'

export interface BarrierOptions extends PartyOptions {
  /** How many have to arrive, 1 to 56. Must be the same everywhere. */
  readonly parties: number
}

/** How a wait at a barrier ended: all have arrived. */
export interface BarrierTurn {
  /** 1 for the first time that all had arrived, then one more each time. */
  readonly generation: number
  /** True for exactly one of the parties: the last to arrive. For what one of them has to do for all. */
  readonly serial: boolean
}

/** What `arrive` and `look` return; the numbers of millrace::BarrierTurn::Status. */
const Status = { waiting: 0, complete: 1, died: 2, left: 3, corrupt: 4 } as const

/**
 * A place in the program that a fixed number of parties reach together: each waits there until all have
 * arrived, again and again. A party is an open handle, in whatever process or thread.
 *
 * Parties that have not come yet are waited for. One that has died, or has closed its handle, is not: who
 * waits then, or begins to, gets an error instead, until another handle is opened in its place or `reset()`
 * is called.
 *
 * @example
 * ```ts
 * using step = Barrier.open('step', { parties: 4 })
 * for (;;) {
 *   computeMyPart()
 *   const { serial } = await step.wait()
 *   if (serial) collectTheParts()
 *   await step.wait()
 * }
 * ```
 */
export class Barrier extends Party<NativeBarrier> {
  /** How many have to arrive. */
  readonly parties: number
  #waiting = false

  private constructor(name: string, parties: number, handle: NativeBarrier, tuning: Tuning) {
    super('barrier', name, handle, tuning)
    this.parties = parties
  }

  /**
   * Opens the barrier as one of its parties; creates it if it does not exist.
   *
   * @throws MillraceError `NO_LANE` (all its parties are there), `GEOMETRY` (it is for another number of
   *   them), `INVALID_ARGUMENT`, `INVALID_NAME`, `NAME_TOO_LONG`, `NOT_OURS`, `PERMISSION`, `LAYOUT`,
   *   `CORRUPT`, `NO_SPACE`, `TIMEOUT`
   */
  static open(place: Place, options: BarrierOptions): Barrier {
    const { tuning, party } = readPartyOptions(place, options, [...partyNames, 'parties'])
    const parties = wholeNumber({ parties: 0, ...(options as object) }, 'parties', 0, [1, 56])
    return new Barrier(nameOf(place), parties, new native.Barrier({ ...party, parties }), tuning)
  }

  /**
   * Removes the name. Who has the barrier open goes on with it; new ones get a new barrier. Returns whether
   * there was one.
   *
   * @throws MillraceError `INVALID_NAME`, `NAME_TOO_LONG`, `PERMISSION`, `TIMEOUT` (a process is stopped in
   *   the middle of opening or closing it)
   */
  static unlink(name: string): boolean {
    return native.unlinkChannel('b', checkName(name))
  }

  /**
   * How many have arrived and wait. One system call.
   *
   * @throws MillraceError `CORRUPT` (the memory was shortened)
   */
  get arrived(): number {
    this.assertWhole()
    return this.native.arrived()
  }

  /**
   * Arrives, and resolves when all have. An abort or the end of the time takes the arrival back; if the
   * last party has arrived by then, the wait has succeeded all the same.
   *
   * @throws MillraceError (as rejection) `PEER_GONE` (a party died; the message names its pid), `CLOSED`
   *   (a party closed its handle, or this one is closed), `BUSY` (this handle is waiting already),
   *   `ABORTED`, `TIMEOUT`, `CORRUPT`
   */
  async wait(options?: WaitOptions): Promise<BarrierTurn> {
    const wait = readWait(options)
    const turn = this.#arrive()
    if (turn !== undefined) return await fairly(turn)
    let late: BarrierTurn | undefined
    this.#waiting = true
    try {
      return await this.waits.wait(this.#late, this.#look, wait, () => {
        late = this.#withdraw()
      })
    } catch (error) {
      if (late !== undefined) return late
      throw error
    } finally {
      this.#waiting = false
    }
  }

  /** As `wait`, blocking this thread; for Workers. Errors are thrown. */
  waitSync(options?: BlockingOptions): BarrierTurn {
    const given = readBlocking(options)
    const turn = this.#arrive()
    if (turn !== undefined) return turn
    let late: BarrierTurn | undefined
    this.#waiting = true
    try {
      return this.block(this.#late, given, this.#look, () => {
        late = this.#withdraw()
      })
    } catch (error) {
      if (late !== undefined) return late
      throw error
    } finally {
      this.#waiting = false
    }
  }

  /**
   * Says that nobody is missed any more: parties that have died or left are waited for, like those that
   * have not come yet.
   */
  reset(): void {
    if (this.native.reset() < 0) throw closedError(this.title)
  }

  /** @internal What `console.log` shows. */
  [inspected](...how: Inspecting): string {
    return inspection('Barrier', how, () =>
      factsOf(this, ['name', 'parties'], ['arrived'], this.isWhole()),
    )
  }

  /** The error of a wait that was too long; this arrival has been taken back by then. */
  readonly #late = (timeout: number): MillraceError => {
    const absent = this.native.absent()
    const others = this.arrived
    const unopened = Math.max(this.parties - 1 - others - countOf(absent), 0)
    const missing = [
      ...(countOf(absent) > 0 ? [`${inWords(absent)} had it open and had not`] : []),
      ...(unopened > 0 ? [`${String(unopened)} had not opened it yet`] : []),
    ]
    return timeoutError(
      `the arrival of all ${String(this.parties)} parties at ${this.title}`,
      timeout,
      `this one had arrived, and ${String(others)} more; ${missing.join('; ')}: start who is missing, or allow more time`,
    )
  }

  /** Undefined: others are still to come. */
  #arrive(): BarrierTurn | undefined {
    this.assertOpen()
    if (this.#waiting) {
      throw new MillraceError(
        'ERR_MILLRACE_BUSY',
        `this handle of ${this.title} is waiting already, and is one party; open another one`,
      )
    }
    return this.#judge(this.native.arrive())
  }

  readonly #look = (thorough: boolean): BarrierTurn | undefined =>
    this.#judge(this.native.look(thorough))

  /** Takes the arrival back, unless all have arrived. */
  #withdraw(): BarrierTurn | undefined {
    return this.native.withdraw() ? undefined : this.#look(false)
  }

  #judge(status: number): BarrierTurn | undefined {
    const { facts } = this.native
    switch (status) {
      case Status.waiting:
        return undefined
      case Status.complete:
        return { generation: facts[0]!, serial: facts[1] === 1 }
      case Status.died:
        tellGone(this, facts[0]!)
        throw new MillraceError(
          'ERR_MILLRACE_PEER_GONE',
          `a party of ${this.title} (pid ${String(facts[0])}) died; open the barrier in its place, or call ` +
            'reset() to wait until somebody does',
        )
      case Status.left:
        throw new MillraceError(
          'ERR_MILLRACE_CLOSED',
          `a party of ${this.title} (pid ${String(facts[0])}) has closed; open the barrier in its place, or ` +
            'call reset() to wait until somebody does',
        )
      case Status.corrupt: {
        const error = corruptError(this.title)
        this.leave(error)
        throw error
      }
      default:
        throw closedError(this.title)
    }
  }
}
