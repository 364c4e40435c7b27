// Looking at channels from outside.

import { native } from '../addon/native.js'
import { checkOptions, show } from '../base/options.js'
import { invalidArgument } from '../errors.js'
import { checkPrefix } from '../upkeep/prefix.js'
import type { Observed } from './figures.js'
import { observedOf } from './told.js'

/** What is looked at. */
export interface ObserveOptions {
  /** Only what has this name; of several kinds, all. */
  readonly name?: string | undefined
  /** Only what has a name that starts with this. */
  readonly prefix?: string | undefined
}

/**
 * What is seen of the channels of this machine from outside, while they are at work or after their users have died: all numbers that they
 * keep, who is on them, and how far each reader is behind.
 *
 * Takes no part in anything: no role, no seat, no lane, no lock; nothing is written, no process is asked, and nobody notices. Numbers of one
 * object may be of two instants. Seen is what `list()` shows, but for semaphores, listeners and doorbells.
 *
 * Blocks for some 20 to 40 µs per object, of a work queue or a bus for as long as it takes to look at each of its places (about 0.1 ms per 1,000).
 *
 * @example
 * ```ts
 * import { observe } from 'millrace/telemetry'
 *
 * for (const seen of observe()) {
 *   if (seen.kind === 'queue') console.log(seen.name, seen.figures?.messages)
 * }
 * ```
 *
 * @throws MillraceError `INVALID_ARGUMENT`
 */
export function observe(options?: ObserveOptions): Observed[] {
  const { name, prefix } = checkOptions(options, ['name', 'prefix'])
  if (name !== undefined && prefix !== undefined)
    throw invalidArgument('observe() takes a name or a prefix, not both')
  if (name !== undefined && typeof name !== 'string')
    throw invalidArgument(`name must be a string, not ${show(name)}`)
  const all = observedOf(native.observe(name ?? checkPrefix(prefix), name !== undefined))
  // What is named like one of ours, and is of no kind that there is.
  return all.filter(({ kind }) => (kind as string) !== 'unknown')
}
