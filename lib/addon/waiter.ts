// What the waits of lib/base ask of every handle that can be parked.

import type { MillraceError } from '../errors.js'

/** Memory that can be shortened by whoever may write to it. */
export interface NativeSegment {
  /** Is all of it there? It must not be touched otherwise. A system call. */
  whole(): boolean
  /** Set if it is not; it is closed then. A system call. */
  damage(): MillraceError | undefined
}

/** Whoever can be parked until the peer does something. Semaphores have no segment. */
export interface NativeWaiter extends Partial<NativeSegment> {
  /** The number a wake-up for this channel carries. */
  wakeToken(token: number): void
  /** How often whoever is not watched for looks while it is parked, in milliseconds, where that is not as it is for most. */
  readonly lookMs?: number
  /**
   * From now on the peer wakes us; look once more before sleeping. `false`: it will not, nothing is left
   * but to look from time to time. `true`: it was attached just now, and its death is being watched already, so
   * that a look at the peer would find nothing new.
   */
  park(): unknown
  /**
   * As `park`, for many at once: `native.sleeperFence()` has to follow (where that is refused, `park` for each), and then
   * `heard`, which says what `park` does.
   */
  announce?(): void
  heard?(): unknown
  unpark(): void
  /** Do those who are waited for want every processor there is? Then whoever looks for them takes theirs away. */
  crowded?(): boolean
  /**
   * Has nothing changed since this was asked last, and does the peer still know that we are parked? Costs a
   * tenth of parking again.
   */
  still?(): boolean
}
