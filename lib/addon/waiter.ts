// What the waits of lib/base ask of every handle that can be parked.

import type { MillraceError } from '../errors.js'

/** Whoever can be parked until the peer does something. */
export interface NativeWaiter {
  /** The number a wake-up for this channel carries. */
  wakeToken(token: number): void
  /**
   * From now on the peer wakes us; look once more before sleeping. `false`: it will not, nothing is left
   * but to look from time to time. `true`: it was attached just now, and its death is being watched already, so
   * that a look at the peer would find nothing new.
   */
  park(): unknown
  unpark(): void
  /**
   * Has nothing changed since this was asked last, and does the peer still know that we are parked? Costs a
   * tenth of parking again.
   */
  still?(): boolean
  /** Set if somebody has shortened the memory; it is closed then. Costs a system call. */
  damage?(): MillraceError | undefined
}
