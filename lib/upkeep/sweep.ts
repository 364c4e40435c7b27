// Removing what nobody holds.

import { native } from '../addon/native.js'
import { heard } from '../base/life-events.js'
import { facts } from '../base/life.js'
import { checkOptions, flag } from '../base/options.js'
import type { ListOptions } from './list.js'
import { checkPrefix } from './prefix.js'
import type { SweepResult } from '../addon/upkeep.js'

/** What is swept beside the rubbish. */
export interface SweepOptions extends ListOptions {
  /** Also what is `kept`, except semaphores. Default false. */
  readonly kept?: boolean | undefined
  /**
   * Also named semaphores that no process has open. They do not tell who made them: without a `prefix` this
   * removes those of other programs of this user, too. Default false.
   */
  readonly semaphores?: boolean | undefined
  /** Removes nothing; `removed` is what would have been. Default false. */
  readonly dryRun?: boolean | undefined
}

/**
 * Removes the objects of this user that no living process holds: abandoned, half-created and corrupt ones.
 * Those of other users, and what millrace did not make, are never touched.
 *
 * May run at any time, in any number of processes: whoever opens or creates an object at the same instant is
 * either seen, or starts again with a new one. Blocks for some microseconds per object; at most 5 ms for one
 * whose creator is stopped.
 *
 * @example
 * ```ts
 * const { removed } = sweep({ prefix: 'jobs-' })
 * ```
 *
 * @throws MillraceError `INVALID_ARGUMENT`
 */
export function sweep(options?: SweepOptions): SweepResult {
  const given = checkOptions(options, ['prefix', 'kept', 'semaphores', 'dryRun'])
  const dryRun = flag(given, 'dryRun')
  const result = native.sweep({
    prefix: checkPrefix(given.prefix),
    kept: flag(given, 'kept'),
    semaphores: flag(given, 'semaphores'),
    dryRun,
  })
  if (!dryRun && heard('swept') !== undefined) facts().tellSwept(result.removed)
  return result
}
