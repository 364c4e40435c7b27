// A named event: some wait until others set it.

import { readBlocking, type BlockingOptions } from '../base/blocking.js'
import { closedError, invalidArgument, MillraceError, timeoutError } from '../errors.js'
import type { NativeEvent } from '../addon/event.js'
import { native } from '../addon/native.js'
import { factsOf, inspected, inspection, type Inspecting } from '../base/inspection.js'
import { checkName, flag, type Tuning, type WaitOptions, readWait, show } from '../base/options.js'
import { readinessOf, selectable, type Readiness } from '../base/selectable.js'
import { fairly } from '../base/fairness.js'
import { inWords } from './others.js'
import { Party, partyNames, readPartyOptions, type PartyOptions } from './party.js'
import { nameOf, type Place } from '../place/place.js'

export interface SharedEventOptions extends PartyOptions {
  /**
   * `auto`: each signal lets exactly one wait pass. `manual`: once set it lets everybody pass, until
   * `reset()`. Left out: whatever the event has, or `auto` for a new one. Given: an existing event must have
   * the same.
   */
  readonly reset?: 'auto' | 'manual' | undefined
  /**
   * The event stays, set or not, when nobody has it open, until `SharedEvent.unlink`. Without it, it goes
   * with its last user. Default false.
   */
  readonly keep?: boolean | undefined
}

/**
 * An event that processes and threads share: some wait until others set it.
 *
 * With auto reset (the default) a signal lets exactly one wait pass, and is then used up. A signal that
 * finds somebody waiting is not lost, also when the one that would have got it dies or gives up: up to 255 such
 * signals are kept at a time. Signals that find nobody waiting are one. With manual reset a set event lets everybody
 * pass until it is reset.
 *
 * What was done before `set()` is seen by whoever it lets pass.
 *
 * @example
 * ```ts
 * using ready = SharedEvent.open('ready', { reset: 'manual' })
 * await ready.wait({ timeout: 5000 }) // in any number of processes
 * // elsewhere
 * ready.set()
 * ```
 */
export class SharedEvent extends Party<NativeEvent> {
  /** Which kind of reset it has. */
  readonly resetKind: 'auto' | 'manual'
  /** Waits of this handle that are pending: to the others it is one that waits as long as there are any. */
  #pending = 0

  private constructor(name: string, handle: NativeEvent, tuning: Tuning) {
    super('event', name, handle, tuning)
    this.resetKind = handle.manual ? 'manual' : 'auto'
  }

  /**
   * Opens the event; creates it, not set, if it does not exist.
   *
   * @throws MillraceError `GEOMETRY` (it has the other kind of reset), `NO_LANE` (56 handles are open),
   *   `INVALID_ARGUMENT`, `INVALID_NAME`, `NAME_TOO_LONG`, `NOT_OURS`, `PERMISSION`, `LAYOUT`, `CORRUPT`,
   *   `NO_SPACE`, `TIMEOUT`
   */
  static open(place: Place, options?: SharedEventOptions): SharedEvent {
    const { tuning, party } = readPartyOptions(place, options, [...partyNames, 'reset', 'keep'])
    const given = options ?? {}
    const reset: unknown = given.reset
    if (reset !== undefined && reset !== 'auto' && reset !== 'manual') {
      throw invalidArgument(`reset must be 'auto' or 'manual', not ${show(reset)}`)
    }
    const handle = new native.Event({ ...party, reset, keep: flag(given, 'keep') })
    return new SharedEvent(nameOf(place), handle, tuning)
  }

  /**
   * Removes the name. Who has the event open goes on with it; new ones get a new event. Returns whether
   * there was one.
   *
   * @throws MillraceError `INVALID_NAME`, `NAME_TOO_LONG`, `PERMISSION`, `TIMEOUT` (a process is stopped in
   *   the middle of opening or closing it)
   */
  static unlink(name: string): boolean {
    return native.unlinkChannel('e', checkName(name))
  }

  /** Sets the event, and wakes those who wait. Never blocks. */
  set(): void {
    this.#answer(this.native.set())
  }

  /** Takes back a signal that nobody has used yet. Who waited with manual reset passes all the same. */
  reset(): void {
    this.#answer(this.native.reset())
  }

  /**
   * Would a wait pass at once? One system call.
   *
   * @throws MillraceError `CLOSED`, `CORRUPT` (the memory was shortened)
   */
  get isSet(): boolean {
    this.assertWhole()
    return this.#answer(this.native.isSet())
  }

  /** Passes if the event lets it, and says whether; with auto reset that takes the signal. */
  tryWait(): boolean {
    return !this.waits.occupied && this.#answer(this.native.tryWait())
  }

  /**
   * Resolves when the event lets it pass. Waits of one handle are served in order.
   *
   * @throws MillraceError (as rejection) `ABORTED`, `TIMEOUT`, `CLOSED`; none of them takes a signal
   */
  async wait(options?: WaitOptions): Promise<void> {
    const wait = readWait(options)
    this.assertOpen()
    if (this.tryWait()) {
      await fairly(undefined)
      return
    }
    const mark = this.#begin()
    try {
      await this.waits.wait(this.#late, () => this.#passed(mark), wait)
    } finally {
      this.#end()
    }
  }

  /**
   * As `wait`, blocking this thread; for Workers. Errors are thrown; `BUSY` while `wait` calls of this
   * handle are pending.
   */
  waitSync(options?: BlockingOptions): void {
    const given = readBlocking(options)
    this.assertOpen()
    if (this.waits.occupied) {
      throw new MillraceError(
        'ERR_MILLRACE_BUSY',
        `${this.title} is being waited for by this handle already; await that first`,
      )
    }
    const mark = this.#begin()
    try {
      this.block(this.#late, given, () => this.#passed(mark))
    } finally {
      this.#end()
    }
  }

  /** How `select` waits for it: would a wait pass? With auto reset the signal stays for who calls `tryWait`. */
  [selectable](): Readiness {
    const pass = (passes: () => boolean) => (): 'ready' | undefined => {
      this.assertOpen()
      return passes() ? 'ready' : undefined
    }
    const isSet = pass(() => this.#answer(this.native.isSet()))
    return {
      look: isSet,
      watch: (told, failed) => {
        this.assertOpen()
        const mark = this.#begin()
        const isOver =
          this.resetKind === 'auto'
            ? isSet
            : pass(() => this.#answer(this.native.tryWaitSince(mark)))
        const stop = readinessOf(this.waits, isOver).watch(told, failed)
        return () => {
          stop()
          this.#end()
        }
      },
    }
  }

  /** @internal What `console.log` shows. */
  [inspected](...how: Inspecting): string {
    return inspection('SharedEvent', how, () =>
      factsOf(this, ['name', 'resetKind'], ['isSet'], this.isWhole()),
    )
  }

  /** The error of a wait that was too long. */
  readonly #late = (timeout: number): MillraceError => {
    const who = inWords(this.native.others())
    return timeoutError(
      `a signal of ${this.title}`,
      timeout,
      who === ''
        ? 'nobody else has it open: start who is to set it, or allow more time'
        : `${who} had it open and did not set it: see what takes so long there, or allow more time`,
    )
  }

  #begin(): number {
    this.#pending++
    return this.native.beginWait()
  }

  #end(): void {
    if (--this.#pending === 0) this.native.endWait()
  }

  #passed(mark: number): true | undefined {
    return this.#answer(this.native.tryWaitSince(mark)) ? true : undefined
  }

  #answer(outcome: number): boolean {
    if (outcome < 0) throw closedError(this.title)
    return outcome === 1
  }
}
