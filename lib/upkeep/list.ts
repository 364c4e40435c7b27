// Looking at all objects.

import { native } from '../addon/native.js'
import { checkOptions } from '../base/options.js'
import { checkPrefix } from './prefix.js'
import type { ObjectEntry } from '../addon/upkeep.js'

/** What is listed. */
export interface ListOptions {
  /** Only objects whose names start with this. Doorbells, whose names nobody chose, are then left out. */
  readonly prefix?: string | undefined
}

/**
 * All objects of millrace that can be found by a name and that this user can see, with who is on them: segments of
 * every kind, raw memory made by millrace, doorbells, what creators left half-made, what other versions made;
 * and named semaphores, whoever made them. Nameless segments and mapped files are not among them.
 *
 * Disturbs nobody. Blocks for some microseconds per object. On macOS: only this user's, and no semaphores.
 *
 * @example
 * ```ts
 * for (const { kind, name, state } of list()) console.log(kind, name, state)
 * ```
 *
 * @throws MillraceError `INVALID_ARGUMENT`
 */
export function list(options?: ListOptions): ObjectEntry[] {
  return native.list(checkPrefix(checkOptions(options, ['prefix']).prefix))
}
