// A work queue: native/addon/work.hpp.

import type { MemoryOptions } from './memory-options.js'
import type { NativePlace } from './place.js'
import type { NativeWaiter } from './waiter.js'

/** What is left out is whatever an existing queue has, or the default of a new one. */
export interface NativeWorkOptions {
  readonly place: NativePlace
  readonly memory: MemoryOptions
  readonly mode: number
  readonly owner: number | undefined
  readonly keep: boolean
  readonly seats: number | undefined
  readonly levels: number | undefined
  readonly jobs: number | undefined
  readonly bytes: number | undefined
  /** 0: any number. */
  readonly attempts: number | undefined
  readonly dead: number | undefined
  readonly deadBytes: number | undefined
  readonly windowMs: number | undefined
  readonly keys: number | undefined
  readonly groups: number | undefined
  readonly leaseMs: number | undefined
  /** An index of `durabilities`. */
  readonly durability: number | undefined
  /** Of a pipeline: the names of its stages; those that jobs leave in order, a bit each; the number of the one this handle takes. */
  readonly stages?: readonly string[]
  readonly ordered?: number
  readonly stage?: number
  /** Without stages: whatever is there, a plain queue or a pipeline. */
  readonly asFound?: boolean
  /** Does this handle count how long jobs take? */
  readonly stats: boolean
}

/** By the numbers of `layout::Durability`. */
export const durabilities = ['memory', 'file', 'disk'] as const

/** Why a job is a dead letter, by the numbers of `layout::DeadReason`. */
export const deadReasons = ['none', 'rejected', 'attempts', 'died', 'expired'] as const

/** What a handle can wait for, as bits: room, and jobs of each stage. */
export const Kind = { room: 0x1_0000 } as const
export const jobsOf = (stage: number): number => 1 << stage

/** Indices of `NativeWork.facts`; what has 64 bits is there as its low half and, behind it, its high one. */
export const WorkFact = {
  /** From `take`: the slot, or an outcome below zero. To whatever settles, with the word. */
  slot: 0,
  /** From `take` and `start`, and to whatever settles: exactly what the slot's word must be. */
  word: 1,
  /** From `take`, `tryLoan` and `tryCopy`: where the bytes are in the buffer. */
  offset: 3,
  length: 5,
  acquired: 6,
  /** Nanoseconds since 1970. */
  pushedAt: 7,
  /** Bits: there is an id or a group (1), a trace context (2), which `texts` tells. */
  texts: 9,
  /** To `park`: the kinds that this handle waits for. */
  kinds: 10,
  /** Kinds of which this handle has woken somebody who may not come; JavaScript clears them when it has seen to that. */
  woke: 11,
  count: 12,
} as const

/** A dead letter: its lease, and what is to be known of it. Times in milliseconds since 1970. */
export type NativeDeadLetter = readonly [
  slot: number,
  wordLow: number,
  wordHigh: number,
  attempts: number,
  acquired: number,
  pushedAt: number,
  diedAt: number,
  reason: number,
  priority: number,
  stage: number,
  error: string,
  id: string,
  group: string,
  bytes: ReturnType<typeof Buffer.alloc>,
]

/** Calls return numbers: their own from 0 on, outcomes below. */
export interface NativeWork extends NativeWaiter {
  readonly path: string
  readonly facts: Int32Array
  readonly seats: number
  readonly levels: number
  readonly jobs: number
  readonly bytes: number
  readonly attempts: number
  readonly dead: number
  readonly deadBytes: number
  readonly windowMs: number
  readonly keys: number
  readonly groups: number
  readonly leaseMs: number
  /** Milliseconds between two looks of a lookout: see `keepWatch`. */
  readonly lookMs: number
  readonly durability: number
  /** The longest payload that there can be. */
  readonly maxBytes: number
  /** Of a pipeline: its stages, those that are ordered, and what no other one has. */
  readonly stages?: readonly string[]
  readonly ordered?: number
  readonly instance?: string
  /** The longest result that there can be of the jobs this handle takes. */
  readonly resultMost?: number
  /** All payloads. */
  buffer(): ArrayBuffer
  /** Resolves when all that was done before is on the disk; at once where there is none. Rejects with `closed`, `system`. */
  flush(): Promise<void>
  flushNow(): void

  /** 0 if it was pushed, 1 if its id was known; `wouldBlock`, `busy`, `tooLarge`, `closed`, `invalid`. */
  readonly tryPush: (payload: ArrayBufferView) => number
  readonly tryPushWith: (
    payload: ArrayBufferView,
    level: number,
    delayMs: number,
    ttlMs: number,
    id: string,
    group: string,
    trace: Uint8Array | undefined,
  ) => number
  /** The number of the loan, whose place is in `facts`. */
  tryLoan(length: number): number
  pushLoan(
    loan: number,
    length: number,
    level: number,
    delayMs: number,
    ttlMs: number,
    id: string,
    group: string,
    trace: Uint8Array | undefined,
  ): number
  cancelLoan(loan: number): void

  /** The oldest job of the highest priority, in `facts`: it is ours, and has begun. */
  readonly take: () => void
  /** The same, but it begins only with `start`. */
  takeAhead(): void
  /** As `take`, but only the job for which all others of a pipeline wait, if it is ready in this stage (`WorkQueue::try_take_front`). */
  takeFront(): void

  // Of the job that JavaScript puts into `facts`. 1, or 0 if the lease was lost.
  readonly complete: () => number
  /** On to the next stage; in the last one the same as `complete`. */
  readonly moveOn: () => number
  /** The same, as these bytes: `wouldBlock` (no room for them), `tooLarge`, as well. */
  become(bytes: ArrayBufferView): number
  start(): number
  release(delayMs: number): number
  retry(delayMs: number, error: string): number
  reject(error: string): number
  extend(ms: number): number
  holds(): number
  /**
   * It becomes a job of `to`: 1; 2 if the id was known there, and it is complete; 0 if the lease was lost. `wouldBlock` (no room
   * there), `busy`, `tooLarge`, `closed`, `invalid`. Throws if these two queues have no such step.
   */
  forward(
    payload: ArrayBufferView,
    to: NativeWork,
    level: number,
    delayMs: number,
    ttlMs: number,
    id: string,
    trace: Uint8Array | undefined,
  ): number
  /**
   * The first half of `forward`, for a `to` on disk, which has to be synced before the other half: 3 and more: the number of what was
   * promised, and 3. 2: the id was known there, and the job is to be completed. Otherwise as `forward`.
   */
  promise(
    payload: ArrayBufferView,
    to: NativeWork,
    level: number,
    delayMs: number,
    ttlMs: number,
    id: string,
    trace: Uint8Array | undefined,
  ): number
  /** The other half: 1, or 0 if the lease was lost; `closed`; `corrupt` if what was promised is gone. */
  keepPromise(to: NativeWork, promise: number): number
  /** What was promised in this queue comes to nothing. */
  withdraw(promise: number): void
  /** Its id, its group, and its trace context if it has one; undefined if the lease was lost. */
  texts(): readonly [id: string, group: string, trace?: Uint8Array] | undefined
  /** Copies the payload; how many bytes. */
  copyOut(target: ArrayBufferView): number

  /** Finds dead holders, and what is due; how many jobs became ready. */
  look(): number
  /** Milliseconds until something is due; Infinity: nothing will be. */
  nextDue(): number
  /** For a handle that has just parked: is it to look for dead holders every `lookMs`, and to come here again? */
  keepWatch(): boolean
  /** For a handle that is parked: is there nothing to look for, and is it not its turn to look after the others? */
  still(): boolean
  /** 1 if there is a job that `take` would find, 0 if not; takes nothing. */
  any(): number
  /** Wakes the next one where who was woken did not come; the kinds that are to be looked at once more. */
  recheck(kinds: number): number
  // Block this thread for a slice of at most 20 ms.
  /** As `take`. */
  waitForJob(spinMs: number, timeoutMs: number): void
  /** As `tryPushWith`. */
  waitForRoom(
    payload: ArrayBufferView,
    level: number,
    delayMs: number,
    ttlMs: number,
    id: string,
    group: string,
    spinMs: number,
    timeoutMs: number,
    trace: Uint8Array | undefined,
  ): number
  /** See `statsOf` in lib/work/stats.ts. */
  counts(): Float64Array
  /** See `stageStatsOf`, there as well. */
  stageCounts(): Float64Array

  /** The dead letters, the oldest first; `busy`: somebody else is at them. */
  deadLetters(limit: number): NativeDeadLetter[] | number
  /** Of those whose leases these are, three numbers each: how many were sent round again or thrown away. Or `busy`. */
  redrive(leases: Int32Array): number
  purge(leases: Int32Array): number

  close(): void
}
