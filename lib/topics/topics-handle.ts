// What a handle of a bus is, whatever is done by it: a seat, its subscriptions, its end.

import { Outcome } from '../addon/outcome.js'
import type { NativeTopics } from '../addon/topics.js'
import { Handle } from '../base/handle.js'
import { factsOf, inspected, inspection, type Inspecting } from '../base/inspection.js'
import type { Tuning } from '../base/options.js'
import { now } from '../base/time.js'
import { closedError, corruptError, MillraceError } from '../errors.js'
import { Source } from './intake.js'
import { TopicSeat } from './seat.js'
import { statsOf, type TopicsStats } from './stats.js'
import type { Bus, Member } from './subscription.js'

/** Dead handles are looked for at most once in so many milliseconds: half of what a lookout lets pass. */
const lookMs = 10

export abstract class TopicsHandle extends Handle<NativeTopics> {
  /** The path of its memory, as `list` tells it. */
  readonly path: string
  /** @internal */
  protected readonly subscriptionsOpen = new Set<Member>()
  /** @internal */
  protected readonly bus: Bus
  readonly #seat: TopicSeat
  #lookedAt = -Infinity
  #looks = false
  #looksLater = false

  /** @internal */
  protected constructor(name: string, native: NativeTopics, tuning: Tuning) {
    const title = `topics '${name}'`
    const seat = new TopicSeat(native)
    // Who waits for room looks for dead handles itself.
    super(name, title, native, () => false, tuning, seat.waiter())
    this.path = native.path
    this.#seat = seat
    const isClosed = (): boolean => this.closed
    const closed = {
      get closed() {
        return isClosed()
      },
      fail: (outcome: number) => this.fail(outcome),
    }
    this.bus = {
      name,
      title,
      native,
      seat,
      tuning,
      source: new Source(title, native, closed),
      get closed() {
        return isClosed()
      },
      look: () => {
        this.look()
      },
      whole: () => {
        if (this.closed) return false
        const damage = this.native.damage?.()
        if (damage !== undefined) this.leave(damage)
        return damage === undefined
      },
      read: () => {
        this.roomMade()
      },
      leave: (reason) => {
        this.leave(reason)
      },
      left: (subscription) => {
        this.subscriptionsOpen.delete(subscription)
      },
    }
  }

  /** Messages that it keeps for those who have not read them. */
  get messages(): number {
    return this.native.messages
  }
  /** Bytes for payloads and headers longer than 128 together. */
  get bytes(): number {
    return this.native.bytes
  }
  /** The longest message there can be, with its headers, in bytes. */
  get maxBytes(): number {
    return this.native.maxBytes
  }
  /** Subjects there may be. */
  get subjects(): number {
    return this.native.subjects
  }
  /** Subscriptions there may be at a time. */
  get subscriptions(): number {
    return this.native.subscriptions
  }
  /** Handles that may have it open at a time. */
  get seats(): number {
    return this.native.seats
  }

  /**
   * What there is now, and what was counted.
   *
   * @throws MillraceError `CLOSED`, `CORRUPT` (the memory was shortened)
   */
  stats(): TopicsStats {
    this.assertOpen()
    this.assertWhole()
    return statsOf(this.native.counts())
  }

  override ref(): this {
    for (const subscription of this.subscriptionsOpen) subscription.ref()
    return super.ref()
  }

  override unref(): this {
    for (const subscription of this.subscriptionsOpen) subscription.unref()
    return super.unref()
  }

  /** @internal What `console.log` shows. */
  [inspected](...how: Inspecting): string {
    return inspection('Topics', how, () =>
      factsOf(
        this,
        ['name', 'path', 'messages', 'bytes', 'subjects', 'subscriptions'],
        [],
        this.isWhole(),
      ),
    )
  }

  /** @internal */
  protected override leave(reason: Error | (() => Error)): void {
    if (this.closed) return
    super.leave(reason)
    const all = [...this.subscriptionsOpen]
    this.subscriptionsOpen.clear()
    for (const subscription of all) subscription.end(reason)
  }

  /** @internal */
  protected override closeNative(): void {
    this.native.close()
  }

  /** @internal Looks for dead handles. */
  protected look(): void {
    const time = now()
    if (time - this.#lookedAt < lookMs) return
    this.#lookedAt = time
    this.native.look()
  }

  // Nobody wakes a handle for what it has done itself. What it has published its own subscriptions look for, and room that they have
  // made its own publishes. Each may be in the middle of the other: then that is for later.

  /** @internal After every publish. */
  protected published(matched: number): void {
    if (matched === 0 || this.subscriptionsOpen.size === 0) return
    if (this.#looks) this.#lookLater()
    else this.#lookBy(this.#tell)
  }

  /** @internal After whatever makes room. */
  protected roomMade(): void {
    if (!this.waits.occupied) return
    if (this.#looks) this.#lookLater()
    else this.#lookBy(this.#retry)
  }

  readonly #tell = (): void => {
    this.#seat.tell()
  }

  readonly #retry = (): void => {
    if (this.waits.occupied) this.waits.lookAgain()
  }

  #lookBy(look: () => void): void {
    this.#looks = true
    try {
      look()
    } finally {
      this.#looks = false
    }
  }

  #lookLater(): void {
    if (this.#looksLater) return
    this.#looksLater = true
    void Promise.resolve().then(() => {
      this.#looksLater = false
      if (this.closed || this.waits.damage() !== undefined) return
      this.#lookBy(this.#tell)
      this.#lookBy(this.#retry)
    })
  }

  /** @internal An outcome below zero as an error; what is corrupt is closed. */
  protected fail(outcome: number): MillraceError {
    if (outcome !== Outcome.corrupt) return closedError(this.title)
    const error = corruptError(this.title)
    this.leave(error)
    return error
  }

  /** @internal */
  protected busy(call: string): MillraceError {
    return new MillraceError(
      'ERR_MILLRACE_BUSY',
      `${this.title} is busy: earlier calls of this handle wait, and ${call}Sync would overtake them; await those first`,
    )
  }
}
