// The jobs of a queue that nobody is to try again: looked at, sent round again, thrown away.

import { deadReasons, WorkFact, type NativeWork } from '../addon/work.js'
import { checkFunction, checkOptions } from '../base/options.js'
import type { PlainBuffer } from '../base/view-constructor.js'
import { invalidArgument } from '../errors.js'
import { show } from '../base/options.js'

/**
 * Why nobody gets it any more: `rejected` by its worker; its `attempts` have all failed, or the last of them by the death of its
 * worker (`died`); its time to live was over (`expired`).
 */
export type DeadReason = Exclude<(typeof deadReasons)[number], 'none'>

/** A dead letter: a copy of what the job was, and why it is dead. */
export interface DeadLetter {
  readonly bytes: PlainBuffer
  readonly id: string | undefined
  readonly group: string | undefined
  readonly priority: number
  readonly reason: DeadReason
  /** What `retry` or `reject` was given, the last time; the first 200 bytes or so of it. */
  readonly error: string | undefined
  /** Attempts that began. */
  readonly attempts: number
  /** How often somebody had it in hand. */
  readonly acquired: number
  readonly pushedAt: Date
  readonly diedAt: Date
}

export interface PeekOptions {
  /** As many at most, the ones that died first. Default: all. */
  readonly limit?: number | undefined
}

export interface DeadLetterChoice extends PeekOptions {
  /** Only those for which it returns true. */
  readonly filter?: ((letter: DeadLetter) => boolean) | undefined
}

/** @internal Whose dead letters they are. */
export interface DeadLetterOwner {
  readonly native: NativeWork
  assertWhole(): void
  fail(outcome: number): Error
  /** Somebody may have been woken. */
  settled(): void
}

/** A letter, and what is needed to find it again. */
interface Found {
  readonly letter: DeadLetter
  readonly lease: readonly [slot: number, low: number, high: number]
}

/** The dead letters of a {@link WorkQueue}. */
export class DeadLetters {
  readonly #owner: DeadLetterOwner

  /** @internal */
  constructor(owner: DeadLetterOwner) {
    this.#owner = owner
  }

  /**
   * Copies of the dead letters there are now, those that died first in front. None of them is touched.
   *
   * @throws MillraceError `CLOSED`, `CORRUPT`, `INVALID_ARGUMENT`
   */
  peek(options?: PeekOptions): DeadLetter[] {
    const limit = limitOf(checkOptions(options, ['limit']))
    return this.#all()
      .slice(0, limit)
      .map(({ letter }) => letter)
  }

  /**
   * Sends dead letters round again, as if they had just been pushed: with no attempt behind them, behind those of their priority.
   * Returns how many. A process that dies in the middle has sent some, each of them once.
   *
   * @throws MillraceError as `peek`, and what `filter` throws
   */
  redrive(options?: DeadLetterChoice): number {
    return this.#each(options, () => this.#owner.native.redrive())
  }

  /** Throws dead letters away for good; returns how many. Errors as `redrive`. */
  purge(options?: DeadLetterChoice): number {
    return this.#each(options, () => this.#owner.native.purge())
  }

  #each(options: DeadLetterChoice | undefined, call: () => number): number {
    const given = checkOptions(options, ['limit', 'filter'])
    const limit = limitOf(given)
    const { filter } = given
    if (filter !== undefined) checkFunction('filter', filter)
    let done = 0
    for (const { letter, lease } of this.#all()) {
      if (done >= limit) break
      if (filter?.(letter) === false) continue
      const { native } = this.#owner
      native.facts.set(lease, WorkFact.slot)
      const outcome = call()
      if (outcome < 0) throw this.#owner.fail(outcome)
      done += outcome // 0: somebody else was quicker
    }
    this.#owner.settled()
    return done
  }

  #all(): Found[] {
    this.#owner.assertWhole()
    const found: Found[] = []
    for (let slot = 0; ; slot++) {
      const next = this.#from(slot)
      if (next === undefined) break
      found.push(next)
      slot = next.lease[0]
    }
    return found.sort(
      (one, other) => one.letter.diedAt.getTime() - other.letter.diedAt.getTime(),
    )
  }

  /** The first one that is there from that slot on, and stays until it is copied. */
  #from(slot: number): Found | undefined {
    const { native } = this.#owner
    for (let at = slot; ; at++) {
      const found = native.deadFrom(at)
      if (found === undefined) return undefined
      const { facts } = native
      const lease = [facts[0]!, facts[1]!, facts[2]!] as const
      at = lease[0]
      const bytes = Buffer.allocUnsafeSlow(facts[WorkFact.length]!)
      if (native.copyOut(bytes) < 0) continue // somebody has sent it round or thrown it away
      const [attempts, acquired, pushedAt, diedAt, reason, error, id, group] = found
      const letter = {
        bytes,
        id: id === '' ? undefined : id,
        group: group === '' ? undefined : group,
        priority: (lease[1] >>> 4) & 31,
        reason: deadReasons[reason] as DeadReason,
        error: error === '' ? undefined : error,
        attempts,
        acquired,
        pushedAt: new Date(pushedAt),
        diedAt: new Date(diedAt),
      }
      return { letter, lease }
    }
  }
}

function limitOf({ limit }: PeekOptions): number {
  if (limit === undefined || limit === Infinity) return Infinity
  if (Number.isInteger(limit) && limit >= 0) return limit
  throw invalidArgument(`limit must be a whole number from 0 on, or Infinity, not ${show(limit)}`)
}
