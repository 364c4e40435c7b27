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
 * Takes no part in anything: no role, no seat, no lane, no lock; nothing is written, no process is asked, and nobody notices. Seen is what
 * `list()` shows, but for semaphores, listeners and doorbells, and for what is of no kind that this version knows.
 *
 * **Shape.** An object for each channel, ordered by kind and name; with `name` one for each kind that has a channel of that name; an empty
 * array if there is none. `kind` says which numbers `figures` has, and which `parts` there are ({@link Sights}). `figures` is left out of what is
 * damaged, somebody else's or of another layout; `state` and `detail` say which. All of it is copied: it does not change, and holds nothing.
 *
 * **Units.** Counts are since the channel was created, those of a part since its holder took its place; what ends in `bytes`, and `capacity` and
 * `size`, is bytes; what ends in `Age`, and `milliseconds`, `since` and the bounds of `times` and `buckets`, is milliseconds. Answers are 1
 * (yes) and 0 (no). Numbers of one object may be of two instants, and may differ by what came in between; each of them is whole, and
 * beyond 2^53 about right.
 *
 * **Blocks** for some 20 to 40 µs per object, of a work queue or a bus for as long as it takes to look at each of its places (about 0.1 ms per
 * 1,000). Never waits. May be called in a listener of `exit`.
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
 * @throws MillraceError `INVALID_ARGUMENT`: a name or prefix that is no string, both of them, an unknown option. What is wrong with a channel
 *   is in its `state`, and never thrown
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
