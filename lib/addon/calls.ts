// Calls, of which a handle makes some, or answers them: native/addon/calls.hpp.

import type { MemoryOptions } from './memory-options.js'
import type { NativePlace } from './place.js'
import type { NativeWaiter } from './waiter.js'

/** What is left out is whatever is there, or the default of new memory. */
export interface NativeCallsOptions {
  readonly place: NativePlace
  readonly memory: MemoryOptions
  readonly mode: number
  readonly owner: number | undefined
  /** Makes nothing: `NOT_FOUND`. */
  readonly attachOnly: boolean
  readonly schema: bigint
  readonly seats: number | undefined
  readonly calls: number | undefined
  readonly bytes: number | undefined
  /** Does this handle count how long calls take? */
  readonly stats: boolean
}

/** Indices of `NativeCalls.facts`; what has 64 bits is there as its low half and, behind it, its high one. */
export const CallFact = {
  /** Of `poll` and `take`: the slot, or an outcome below zero. To `answer`, with the word. */
  slot: 0,
  /** Of `take`, and to `answer`: exactly what the slot's word must be. */
  word: 1,
  /** Of `poll` and `take`: where the bytes are, in the buffer; see `small`. Of `tryLoan` and `loanAnswer`: where they are to be. */
  offset: 3,
  /** Of `poll` and `take`; to `call` and `answer`: how many bytes of the outbox. */
  length: 5,
  /** To `call`, and of `take`. */
  method: 6,
  flags: 7,
  /** To `answer`, and of `poll`. */
  status: 8,
  /** To `call`, and of `take`: nanoseconds that are left. Both halves -1: for ever. */
  left: 9,
  /** Of `take`: the process that calls. */
  caller: 11,
  /** Of `poll`: what became of the call, see `CallEnd`. */
  end: 12,
  /** Of `poll` and `take`: 1 if the bytes are in the inbox, and what they were in is given back (an answer) or not needed. */
  small: 13,
  /** To `park`: the kinds that this handle waits for. */
  kinds: 14,
  /** Kinds of which this handle has woken somebody who may not come; JavaScript clears them when it has seen to that. */
  woke: 15,
  count: 16,
} as const

/** What became of a call, by the numbers of `millrace::Outcome`; `touched` is added where a handler may have begun with it. */
export const CallEnd = { answered: 1, died: 2, expired: 3, noResponder: 4, touched: 16 } as const

/** What a handle can wait for, as bits: answers to its calls (or that they are cancelled), and calls to answer. */
export const CallKind = { calls: 1, answers: 2 } as const

/** Flags that go with a call. */
export const CallFlag = {
  /** There is a trace context behind the bytes. */
  traced: 1,
  /** To `call`, of one that asks for a connection for streams: its client may send contexts there, if the server takes them. */
  tracedStreams: 2,
} as const

/** Of `call`, beside the outcomes of all. */
export const noResponder = -9

/** What `withdraw` found. */
export const Withdrawn = {
  /** It was answered: `poll` finds it. */
  answered: 0,
  /** Nobody had begun with it, and nobody will. */
  untouched: 1,
  /** A handler is at it, and is told. What it answers is thrown away. */
  running: 2,
} as const

/** Calls return numbers: their own from 0 on, outcomes below. */
export interface NativeCalls extends NativeWaiter {
  readonly path: string
  readonly facts: Int32Array
  /** What `call` and `answer` send. */
  readonly outbox: Uint8Array
  /** Where `poll` and `take` put what is small. */
  readonly inbox: Uint8Array
  readonly seats: number
  readonly calls: number
  readonly bytes: number
  /** Milliseconds between two looks of a lookout: see `keepWatch`. */
  readonly lookMs: number
  /** The longest argument, and the longest result, that there can be. */
  readonly maxBytes: number
  readonly maxAnswer: number
  /** All arguments and results. */
  buffer(): ArrayBuffer
  /** Where others say that there is an answer for us: not 0. Throws where memory cannot be borrowed. */
  news(): ArrayBuffer

  // Of a client.
  /** Calls with what is in the outbox and the facts: the slot; `wouldBlock` (no room), `tooLarge`, `noResponder`, `closed`. */
  readonly call: () => number
  /** The same, with these bytes, and with a trace context, unless there is no room for it. */
  callWith(bytes: ArrayBufferView, trace?: Uint8Array): number
  /** Room for an argument: the number of the loan, whose place is in `facts`; or as `call`. */
  tryLoan(length: number): number
  /** As `call`, with the first `length` bytes of the loan; where nobody serves the loan is what it was. */
  pushLoan(loan: number, length: number, trace?: Uint8Array): number
  cancelLoan(loan: number): void
  /** The next answer, in `facts`. What is not small stays until `release`. */
  readonly poll: () => void
  release(slot: number): void
  /** See `Withdrawn`. */
  withdraw(slot: number): number
  /** Does anybody serve? */
  served(): boolean
  /** False: somebody has written over a call of this handle, which will have no answer. */
  allThere(): boolean
  /** How many do? */
  servers(): number

  // Of a server.
  /** Does it take calls? */
  serve(yes: boolean): void
  /** The next call, in `facts`: it is ours, and its handler begins. */
  readonly take: () => void
  /** Answers the call in `facts` with what is in the outbox: 1; 0: nobody wants to know; `wouldBlock` (no room), `tooLarge`, `closed`. */
  readonly answer: () => number
  answerWith(bytes: ArrayBufferView): number
  /**
   * Room for the answer of the call in `facts`: 1, and its place; 0: nobody wants it, and the call is in hand still; `wouldBlock`,
   * `tooLarge`, `closed`; `invalid`: there is such room already.
   */
  loanAnswer(length: number): number
  /** As `answer`, with the first `length` bytes of that room. */
  answerLoan(length: number): number
  /** Gives that room back. */
  cancelAnswer(): void
  /** The slot of a call that was cancelled while its handler is at work; each once. `wouldBlock`: no more. */
  nextCancelled(): number
  /** Of the call in `facts`, whose flags say that it has one: its trace context. */
  trace(): Uint8Array | undefined

  /** Copies what lies at the offset in the facts; how many bytes. */
  copyOut(target: ArrayBufferView): number

  /** Finds dead holders, and what is due. */
  look(): number
  /** For a handle that has just parked: is it to look for dead holders every `lookMs`, and to come here again? */
  keepWatch(): boolean
  still(): boolean
  /** Wakes the next one where who was woken did not come; true: look at it once more. */
  recheck(): boolean
  /** See `statsOf` in lib/rpc/stats.ts. */
  counts(): Float64Array

  close(): void
}
