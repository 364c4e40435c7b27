// What there is of calls, and what was counted: by plain loads of what their owners have written.

import type { NativeCalls } from '../addon/calls.js'

/** Of all servers and clients at an address. What is counted is so since the first of them came. */
export interface CallStats {
  /** Calls that wait for a server. */
  readonly waiting: number
  /** Calls that servers have in hand. */
  readonly inHand: number
  /** Answers that their callers have not looked at yet. */
  readonly answered: number
  /** Bytes that arguments and results take, of those that do not lie with their calls. */
  readonly usedBytes: number
  /** Servers and clients, the dead among them until they are found. */
  readonly handles: number
  /** Of these, servers that take calls. */
  readonly servers: number
  /** Calls there may be at a time, waiting and in hand. */
  readonly calls: number
  /** Bytes for arguments and results that do not lie with their calls. */
  readonly bytes: number
  /** Servers and clients that there may be at a time. */
  readonly seats: number
  /** The longest argument there can be, in bytes as it is encoded. */
  readonly maxArgument: number
  /** The longest result likewise. */
  readonly maxResult: number
  /** Calls that were made. */
  readonly made: number
  /** How often a server took one. */
  readonly taken: number
  /** Answers that were given. */
  readonly completed: number
  /** Calls that their callers gave up: their time was over, or they were aborted. */
  readonly withdrawn: number
  /** Calls that ended without an answer, because their servers died, or nobody served. */
  readonly unanswered: number
  /** Calls whose time was over before a server had begun with them. */
  readonly expired: number
  /** Answers that nobody wanted any more. */
  readonly unwanted: number
  /** Servers and clients that died. */
  readonly deaths: number
  /** Calls that the dead had in hand, or had made: they were given to another server, or ended. */
  readonly orphaned: number
}

/** In the order of `counts`: what there is, then the counters by `layout::WorkCount`. */
const states = ['waiting', 'inHand', 'answered', 'usedBytes', 'handles', 'servers'] as const
const counters = {
  made: 0,
  taken: 1,
  completed: 2,
  withdrawn: 3,
  unanswered: 4,
  deaths: 5,
  orphaned: 6,
  unwanted: 9,
  expired: 11,
} as const

type Counted = Pick<NativeCalls, 'counts' | 'calls' | 'bytes' | 'seats' | 'maxBytes' | 'maxAnswer'>

/** Where there is no memory yet. */
const nothing: Counted = {
  counts: () => new Float64Array(),
  ...{ calls: 0, bytes: 0, seats: 0, maxBytes: 0, maxAnswer: 0 },
}

export function statsOf(native: Counted = nothing): CallStats {
  const counts = native.counts()
  const at = (index: number): number => counts[index] ?? 0
  return {
    ...(Object.fromEntries(states.map((name, index) => [name, at(index)])) as Pick<
      CallStats,
      (typeof states)[number]
    >),
    calls: native.calls,
    bytes: native.bytes,
    seats: native.seats,
    maxArgument: native.maxBytes,
    maxResult: native.maxAnswer,
    ...(Object.fromEntries(
      Object.entries(counters).map(([name, index]) => [name, at(states.length + index)]),
    ) as Pick<CallStats, keyof typeof counters>),
  }
}
