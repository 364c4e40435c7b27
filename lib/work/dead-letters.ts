// The jobs of a queue that nobody is to try again: looked at, sent round again, thrown away.

import { native } from '../addon/native.js'
import { Outcome } from '../addon/outcome.js'
import { deadReasons, type NativeDeadLetter, type NativeWork } from '../addon/work.js'
import { inspected, inspection, jsonOf, type Inspecting } from '../base/inspection.js'
import { checkFunction, checkOptions, show } from '../base/options.js'
import { now } from '../base/time.js'
import type { PlainBuffer } from '../base/view-constructor.js'
import { invalidArgument, MillraceError } from '../errors.js'
import { countOf } from './stats.js'

/**
 * Why nobody gets it any more: `rejected` by its worker; its `attempts` have all failed, or the last of them by the death of its
 * worker (`died`); its time to live was over (`expired`).
 */
export type DeadReason = 'rejected' | 'attempts' | 'died' | 'expired'

/** A dead letter: a copy of what the job was, and why it is dead. */
export interface DeadLetter {
  /** The payload. */
  readonly bytes: PlainBuffer
  /** The `id` it was pushed with. */
  readonly id: string | undefined
  /** The `group` it was pushed with. */
  readonly group: string | undefined
  /** As it was pushed. */
  readonly priority: number
  /** The stage of a pipeline at which it died, and to which `redrive` sends it. */
  readonly stage: string | undefined
  /** Why nobody gets it any more. */
  readonly reason: DeadReason
  /** What `retry` or `reject` was given, the last time; the first 200 bytes or so of it. */
  readonly error: string | undefined
  /** Attempts that began. */
  readonly attempts: number
  /** How often somebody had it in hand. */
  readonly acquired: number
  /** When it was pushed. */
  readonly pushedAt: Date
  /** When it became a dead letter. */
  readonly diedAt: Date
}

/** How many dead letters to look at. */
export interface PeekOptions {
  /** As many at most, the ones that died first. Default: all. */
  readonly limit?: number | undefined
}

/** Which dead letters are meant. */
export interface DeadLetterChoice extends PeekOptions {
  /** Only those for which it returns true. */
  readonly filter?: ((letter: DeadLetter) => boolean) | undefined
}

/** @internal Whose dead letters they are. */
export interface DeadLetterOwner {
  readonly name: string
  /** For messages: "work queue 'x'". */
  readonly title: string
  /** What the stages of a pipeline are called. */
  readonly stages: readonly string[]
  readonly native: NativeWork
  isClosed(): boolean
  assertWhole(): void
  fail(outcome: number): Error
  /** Somebody may have been woken. */
  settled(): void
}

/** How long to try when somebody else is at the dead letters. */
const patienceMs = 200

/** The dead letters of a {@link WorkQueue} or a {@link Pipeline}. */
export class DeadLetters {
  readonly #owner: DeadLetterOwner

  /** @internal */
  constructor(owner: DeadLetterOwner) {
    this.#owner = owner
  }

  /** How many there are. Errors as `peek`. */
  get length(): number {
    this.#owner.assertWhole()
    return countOf(this.#owner.native.counts(), 'dead')
  }

  /**
   * Copies of the dead letters there are now, those that died first in front. None of them is touched.
   *
   * @throws MillraceError `CLOSED`, `CORRUPT`, `INVALID_ARGUMENT`
   */
  peek(options?: PeekOptions): DeadLetter[] {
    return this.#all(limitOf(checkOptions(options, ['limit']))).map((found) =>
      this.#letterOf(found),
    )
  }

  /**
   * Sends dead letters round again, as if they had just been pushed: with no attempt behind them, behind those of their priority.
   * Returns how many. A process that dies in the middle has sent some, each of them once.
   *
   * @throws MillraceError as `peek`, and what `filter` throws
   */
  redrive(options?: DeadLetterChoice): number {
    return this.#each(options, 'redrive')
  }

  /** Throws dead letters away for good; returns how many. Errors as `redrive`. */
  purge(options?: DeadLetterChoice): number {
    return this.#each(options, 'purge')
  }

  /** For `JSON.stringify`: what `console.log` shows. Never throws. */
  toJSON(): object {
    return jsonOf(this)
  }

  /** @internal What `console.log` shows. */
  [inspected](...how: Inspecting): string {
    return inspection('DeadLetters', how, () => {
      const { name } = this.#owner
      return this.#owner.isClosed()
        ? { queue: name, closed: true }
        : { queue: name, length: this.length }
    })
  }

  #each(options: DeadLetterChoice | undefined, how: 'redrive' | 'purge'): number {
    const given = checkOptions(options, ['limit', 'filter'])
    const limit = limitOf(given)
    const { filter } = given
    if (filter !== undefined) checkFunction('filter', filter)
    const leases: number[] = []
    // A filter is not called for more than are wanted.
    for (const found of this.#all(filter === undefined ? limit : Infinity)) {
      if (leases.length / 3 >= limit) break
      if (filter === undefined || filter(this.#letterOf(found)))
        leases.push(...(found.slice(0, 3) as number[]))
    }
    const done = this.#whenFree(() => this.#owner.native[how](Int32Array.from(leases)))
    this.#owner.settled()
    return done
  }

  #letterOf(found: NativeDeadLetter): DeadLetter {
    const [, , , attempts, acquired, pushedAt, diedAt, reason, priority, stage, ...rest] = found
    const [error, id, group, bytes] = rest
    return {
      bytes,
      id: id === '' ? undefined : id,
      group: group === '' ? undefined : group,
      priority,
      stage: this.#owner.stages[stage],
      reason: deadReasons[reason] as DeadReason,
      error: error === '' ? undefined : error,
      attempts,
      acquired,
      pushedAt: new Date(pushedAt),
      diedAt: new Date(diedAt),
    }
  }

  #all(limit: number): readonly NativeDeadLetter[] {
    this.#owner.assertWhole()
    return this.#whenFree(() => this.#owner.native.deadLetters(limit)) as NativeDeadLetter[]
  }

  /** One at a time is at the dead letters, for microseconds. */
  #whenFree<T extends object | number>(call: () => T): T {
    const end = now() + patienceMs
    for (;;) {
      const result = call()
      if (typeof result !== 'number' || result >= 0) return result
      if (result !== Outcome.busy) throw this.#owner.fail(result)
      // Perhaps whoever has them in hand is dead, and nobody waits who would have noticed.
      this.#owner.native.look()
      if (now() > end) {
        throw new MillraceError(
          'ERR_MILLRACE_BUSY',
          `somebody else has the dead letters of ${this.#owner.title} in hand; try again, and see whether a ` +
            'process that uses it is stopped',
        )
      }
      native.yieldProcessor()
    }
  }
}

function limitOf({ limit }: PeekOptions): number {
  if (limit === undefined || limit === Infinity) return Infinity
  if (Number.isInteger(limit) && limit >= 0) return limit
  throw invalidArgument(`limit must be a whole number from 0 on, or Infinity, not ${show(limit)}`)
}
