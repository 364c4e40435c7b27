// What is known about objects from outside: native/addon/upkeep.cpp.

/** What an object is. `unknown`: a kind that this version does not know. */
export type ObjectKind =
  | 'queue'
  | 'frames'
  | 'memory'
  | 'cell'
  | 'counter'
  | 'event'
  | 'barrier'
  | 'mutex'
  | 'rwlock'
  | 'work'
  | 'pipeline'
  | 'topics'
  | 'calls'
  | 'rate-limiter'
  | 'breaker'
  | 'semaphore'
  | 'listener'
  | 'doorbell'
  | 'unknown'

/**
 * How an object is doing:
 *
 * - `in-use`: a living process holds it, or is just creating or leaving it
 * - `abandoned`: whoever held it is dead
 * - `half-created`: its creator died before it was finished
 * - `corrupt`: made by millrace, damaged, and held by nobody
 * - `kept`: held by nobody, and waiting for whoever comes next: `keep` was asked for, messages are unread, jobs are
 *   left in a work queue, an owner of a lock died inside, a rate limiter has not caught up yet, a breaker is open, or it
 *   is a semaphore
 * - `foreign`: not made by millrace, or another user's; never removed
 * - `unknown`: cannot be told; never removed
 */
export type ObjectState =
  'in-use' | 'abandoned' | 'half-created' | 'corrupt' | 'kept' | 'foreign' | 'unknown'

/** Somebody who holds a role of an object, or held it when it died. */
export interface ObjectHolder {
  /** `producer`, `writer`, `party`, …; a plural, as `openers`, stands for any number of processes. */
  readonly role: string
  /** Left out where it is not recorded. */
  readonly pid?: number
  /** Does it still hold its role? The kernel says so, not the pid. */
  readonly alive: boolean
}

/** One object. It was so when it was looked at, and may be otherwise by now. */
export interface ObjectEntry {
  /** What it is. */
  readonly kind: ObjectKind
  /** As whoever opens it says it; of a doorbell its id. */
  readonly name: string
  /** How it is doing. */
  readonly state: ObjectState
  /** What the state alone does not tell, for people; may be empty. */
  readonly detail: string
  /** Where a person finds it. */
  readonly path: string
  /** Bytes. */
  readonly size: number
  /** User id. */
  readonly owner: number
  /** Rights, as in `0o600`. */
  readonly mode: number
  /**
   * When it was made; left out where the system does not tell. Of names in /dev/shm Linux does since 5.18.
   */
  readonly created?: Date
  /** Layout version, as in `1.1`; left out if it has none. */
  readonly layout?: string
  /** Process id of its creator. */
  readonly creator?: number
  /** Who is on it, or was when it died. */
  readonly holders: readonly ObjectHolder[]
}

/** @internal A row of numbers, and the texts in it: lib/telemetry/told.ts. */
export type NativeObserved = readonly [numbers: Float64Array, texts: readonly string[]]

/** What a sweep found. */
export interface SweepResult {
  /** As they were before. */
  readonly removed: ObjectEntry[]
  /** With the `state`, and perhaps the `detail`, that kept it from being removed. */
  readonly left: ObjectEntry[]
}
