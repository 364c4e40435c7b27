// A bus of topics: native/addon/topics.hpp.

import type { MemoryOptions } from './memory-options.js'
import type { NativePlace } from './place.js'
import type { NativeWaiter } from './waiter.js'

/** What is left out is whatever an existing bus has, or the default of a new one. */
export interface NativeTopicsOptions {
  readonly place: NativePlace
  readonly memory: MemoryOptions
  readonly mode: number
  readonly owner: number | undefined
  readonly seats: number | undefined
  readonly subscriptions: number | undefined
  readonly subjects: number | undefined
  readonly messages: number | undefined
  readonly bytes: number | undefined
  /** Does this handle count how long messages take? */
  readonly stats: boolean
}

/** What a handle can wait for, as bits. */
export const TopicKind = { messages: 1, room: 2 } as const

/** Indices of `NativeTopics.facts`. */
export const TopicFact = {
  /** To `park`: the kinds that this handle waits for. */
  kinds: 0,
  /** From `tryLoan`: where the bytes are in the buffer. */
  offset: 1,
  /** From `read`: bytes that the next message takes up, if that is why nothing was read. */
  needed: 2,
  /** From `tryPublishPacked`: for how many the messages were, each for so many at most. */
  matched: 3,
  /** From `read`: the first message; see `IntakeFact`. To `tryPublishPacked`: the length of the first. */
  intake: 8,
} as const

/** Of each message that `read` gives, from `TopicFact.intake` on. */
export const IntakeFact = {
  index: 0,
  subject: 1,
  /** Where its payload is: in the target, or, if it is pinned, in the buffer. */
  offset: 2,
  length: 3,
  /** Bytes of its headers, which lie behind the payload, at the next multiple of 8. */
  headers: 4,
  /** Milliseconds since 1970. */
  publishedAt: 5,
  /** How many of this subscription were overwritten before it. */
  missed: 6,
  /** -1: it was copied. */
  pin: 7,
  count: 8,
} as const

/** The most messages that one `read` gives. */
export const mostTaken = 64

/** By the numbers of `layout::Policy`. */
export const policies = ['wait', 'overwrite-oldest'] as const

/** Calls return numbers: their own from 0 on, outcomes below. */
export interface NativeTopics extends NativeWaiter {
  readonly path: string
  /** What no other bus has, also of this name. */
  readonly instance: string
  readonly facts: Float64Array
  readonly seats: number
  readonly subscriptions: number
  readonly subjects: number
  readonly messages: number
  readonly bytes: number
  /** The longest payload that there can be, together with its headers. */
  readonly maxBytes: number
  /** Milliseconds between two looks of a lookout: see `keepWatch`. */
  readonly lookMs: number
  /** All payloads. */
  buffer(): ArrayBuffer

  /** Its number; `tooManyHeld`: the table is full. */
  subject(text: string): number
  subjectText(subject: number): string

  /** For how many it was; `wouldBlock`, `tooLarge`, `closed`, `invalid`. */
  readonly tryPublish: (subject: number, payload: ArrayBufferView) => number
  readonly tryPublishWith: (
    subject: number,
    payload: ArrayBufferView,
    headers: ArrayBufferView,
  ) => number
  /** So many payloads, 64 at most, which lie one after the other, with the lengths in `facts`. How many were published; if none, as `tryPublish`. */
  readonly tryPublishPacked: (
    subject: number,
    count: number,
    payloads: ArrayBufferView,
    headers: ArrayBufferView,
  ) => number
  /** The number of the loan, whose place is in `facts`. */
  tryLoan(subject: number, length: number, headers: number): number
  publishLoan(loan: number, length: number, headers: ArrayBufferView): number
  cancelLoan(loan: number): void

  /** The number of the subscription; throws if there can be no more of them, or of their filters. */
  subscribe(
    filters: readonly string[],
    policy: number,
    replayLast: boolean,
    replayCount: number,
    depth: number,
    group: string,
  ): number
  unsubscribe(entry: number): void
  /**
   * Up to `most` messages, in `facts`: copied to `target` from `offset` on, or pinned where they lie. How many; 0: there is none, or
   * the next one does not fit, whose size is then in `facts`.
   */
  readonly read: (
    entry: number,
    most: number,
    target: ArrayBufferView,
    offset: number,
    inPlace: boolean,
  ) => number
  release(pin: number): void
  /**
   * Begins to move messages of a group elsewhere: as `read`, copies alone; they stay where they are until `pumpEnd`. `busy`: another
   * member is at it.
   */
  pumpBegin(entry: number, most: number, target: ArrayBufferView, offset: number): number
  /** Those before `index` are elsewhere by now. */
  pumpEnd(entry: number, index: number): void
  /** Has it a message? */
  ready(entry: number): boolean
  /** Copies that part of the buffer. */
  copyOut(offset: number, target: ArrayBufferView): number

  /** Finds dead handles. */
  look(): number
  /** For a handle that has just parked: is it to look for dead handles every `lookMs`? */
  keepWatch(): boolean
  still(): boolean
  // Block this thread for a slice of at most 20 ms.
  /** True if something stirred. */
  waitForMessage(entry: number, spinMs: number, timeoutMs: number): boolean
  /** As `tryPublishWith`. */
  waitForRoom(
    subject: number,
    payload: ArrayBufferView,
    headers: ArrayBufferView,
    spinMs: number,
    timeoutMs: number,
  ): number
  /** In the order of lib/topics/stats.ts. */
  counts(): Float64Array

  close(): void
}
