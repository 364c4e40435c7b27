// What `select` asks of everything that it can wait for. It knows no class: a class that others are to wait for has a method under
// the symbol, which tells how.
//
// Why no wake-up is lost. `select` looks at all sources first; only if none has anything it watches each, and each looks once more
// after it has announced to its peers that somebody waits, as every wait of the library does (wait-queue.ts). So whatever comes
// between the first look and the announcement is found by the second look, and whatever comes later wakes us. Nothing is taken by any
// of these looks, and nothing is kept from one `select` to the next: what one of them did not tell of is still there, and the next one
// looks at it.

import type { Attempt } from './waiter.js'
import type { WaitQueue } from './wait-queue.js'

/** Under it, a method tells `select` how to wait for an object: see {@link Selectable}. Every copy of this package has the same. */
export const selectable: unique symbol = Symbol.for('millrace.selectable')

/** What `select` can wait for. Queues, frames, cells, events and jobs can be; a class of your own, if it has this method. */
export interface Selectable {
  /** Called once for each object, when it is first selected. */
  [selectable](): Readiness
}

/** How to wait for one source. Nothing of it takes anything, blocks, or changes what others see. */
export interface Readiness {
  /**
   * `ready`: a call that takes, made now, would find something. `ended`: there will be nothing more. `undefined`: neither, yet. Throws
   * what a call that takes would reject with. `thorough`: asks as well for what takes a system call to find out, as whether the other
   * side lives.
   */
  look(thorough: boolean): 'ready' | 'ended' | undefined
  /**
   * Calls `told` once, as soon as `look` would not return `undefined` any more, or `failed`, as soon as it would throw; perhaps before
   * it returns. It must look once more after others know that they are to wake it. The function that it returns ends that, and is
   * called in each case, once.
   */
  watch(told: (state: 'ready' | 'ended') => void, failed: (error: unknown) => void): () => void
}

/** @internal Of a handle that waits in a line of its own: `attempt` finds something (`ready`) or the end (`null`). */
export function readinessOf(waits: WaitQueue, attempt: Attempt<'ready'>): Readiness {
  return {
    look: (thorough) => {
      const found = attempt(thorough)
      return found === null ? 'ended' : found
    },
    watch: (told, failed) =>
      waits.watch(
        attempt,
        (found) => {
          told((found as 'ready' | undefined) ?? 'ended')
        },
        failed,
      ),
  }
}
