// What work, topics and calls need of an engine that exists: a server of somebody else's, which an address names by its scheme. The floor
// above makes of it what their users know; nothing here knows those classes.
//
// A line is one connection. It is made by whoever needs it, and made anew by them when it has ended: an engine tries nothing again by itself.

import type { CurveOptions } from '../net/options.js'
import type { Address } from '../place/address.js'

/** How an engine is reached, as the options of the connection say; each was judged. */
export interface EngineConnection {
  /** As `node:tls` takes it. */
  readonly tls: object | undefined
  /** May it leave this machine without? */
  readonly insecure: boolean
  /** Milliseconds of silence that mean death; undefined: as the engine has it. */
  readonly heartbeat: number | undefined
  /** The longest message that is taken, in bytes. */
  readonly maxBytes: number
  /** Keys of ZeroMQ. */
  readonly curve?: CurveOptions | undefined
}

/** One connection to an engine. Whatever rejects when it breaks says by `executed` whether what was asked may have been done. */
export interface EngineLine {
  /** Resolves when it has ended, with why if nobody closed it. */
  readonly ended: Promise<Error | undefined>
  readonly closed: boolean
  close(): void
  /** Does the connection keep the process alive? */
  hold(alive: boolean): void
}

/** What a queue is to have; `undefined`: whatever it has. */
export interface EngineQueueOptions {
  readonly jobs: number | undefined
  readonly bytes: number | undefined
  /** 0: no limit. */
  readonly attempts: number | undefined
  /** Dead letters that are kept. */
  readonly dead: number | undefined
  readonly deadBytes: number | undefined
  /** Milliseconds in which an id is known. */
  readonly windowMs: number | undefined
  /** Milliseconds of a lease; 0: as long as its worker lives. */
  readonly leaseMs: number | undefined
  readonly durability: 'memory' | 'file' | 'disk' | undefined
  /** True: nobody else takes there, so all that is in hand when it is opened comes again at once, in order, as far as the engine can do that. */
  readonly alone?: boolean | undefined
  /**
   * So many are always wanted, as soon as there are some, by who passes them on: they may lie here before somebody asks, and their bytes
   * may be those that were read. Left out: what is asked for is, with bytes of its own.
   */
  readonly ahead?: number | undefined
}

/** What a queue has. */
export interface EngineQueueFacts {
  readonly jobs: number
  readonly bytes: number
  readonly maxBytes: number
  /** 0: no limit. */
  readonly maxAttempts: number
  readonly durability: 'memory' | 'file' | 'disk'
  /** Are ids known again? */
  readonly dedups: boolean
  /** How many there are, from 0 up; 1: there are none. */
  readonly priorities: number
}

/** What goes with a job. */
export interface EngineJobOptions {
  readonly priority: number
  readonly delay: number
  readonly ttl: number
  readonly id: string | undefined
  readonly group: string | undefined
  /** What a gateway sends along, whose names begin with `millrace-`, and `traceparent`. */
  readonly headers: Readonly<Record<string, string>> | undefined
}

/** How a job is settled. */
export type EngineSettle =
  | { readonly how: 'complete' }
  | { readonly how: 'release'; readonly delay: number }
  | { readonly how: 'retry'; readonly delay: number; readonly error: string }
  | { readonly how: 'reject'; readonly error: string }

/** A job in hand. */
export interface EngineJob {
  readonly bytes: Uint8Array
  readonly attempt: number
  readonly acquired: number
  readonly token: bigint
  /** Milliseconds since 1970. */
  readonly pushedAt: number
  readonly priority: number
  readonly id: string | undefined
  readonly group: string | undefined
  /** What it is called each time that somebody has it in hand, whoever pushed it; left out: the engine cannot tell. */
  readonly origin?: string | undefined
  /** What a gateway sent along, and `traceparent`. */
  readonly headers: Readonly<Record<string, string>> | undefined
  /** Resolves when the engine has it so. */
  settle(how: EngineSettle): Promise<void>
  extend(milliseconds: number): Promise<void>
}

/** What became of a push: an error, or what `push` resolves with. Never throws. */
export type PushTold = (error: unknown, pushed?: { readonly duplicate: boolean }) => void

/** A work queue, over one connection. */
export interface EngineWork extends EngineLine {
  readonly facts: EngineQueueFacts
  /** Why a push may wait, and what to do. Not there: the queue is full. */
  readonly waitsFor?: string
  /** As soon as there is room. `signal` ends the wait. */
  push(
    bytes: Uint8Array,
    job: EngineJobOptions,
    signal: AbortSignal,
  ): Promise<{ readonly duplicate: boolean }>
  /** As `push`, for who asks for many and has something better than a promise for each: `told` hears of it once, perhaps before this returns. */
  pushTold?(bytes: Uint8Array, job: EngineJobOptions, signal: AbortSignal, told: PushTold): void
  /** Jobs that are there now, up to `most`; the first is waited for. What comes after `signal` goes back. */
  take(most: number, signal: AbortSignal): Promise<readonly EngineJob[]>
  /** As `settle` of each, together. Resolves when the engine has it so, as far as they were ours; never rejects. */
  completeAll?(jobs: readonly EngineJob[]): Promise<void>
  /** Calls `told` when the lease of a job is over before it was settled. */
  lost(told: (job: EngineJob) => void): void
  flush(): Promise<void>
}

/** A message as it comes. */
export interface EngineMessage {
  readonly subject: string
  readonly bytes: Uint8Array
  readonly headers: Readonly<Record<string, string>> | undefined
  /** Milliseconds since 1970. */
  readonly publishedAt: number
}

/** A subscription, over one connection. */
export interface EngineSubscription {
  close(): void
}

/** A bus, over one connection. */
export interface EngineTopics extends EngineLine {
  readonly maxBytes: number
  /** It will publish: whoever is to hear it can come now. Not there: that makes no difference. */
  willPublish?(): void
  /** Resolves when the engine has it. */
  publish(
    subject: string,
    bytes: Uint8Array,
    headers: Readonly<Record<string, string>> | undefined,
  ): Promise<void>
  /** Resolves when it has joined. Of a `group`, one member gets each message. */
  subscribe(
    filters: readonly string[],
    group: string | undefined,
    arrived: (message: EngineMessage) => void,
  ): Promise<EngineSubscription>
}

/** A call as it comes to who serves. */
export interface EngineCall {
  readonly method: string
  readonly input: Uint8Array
  /** The contract that the caller has; undefined: it does not say. */
  readonly fingerprint: string | undefined
  /** Milliseconds until the caller gives it up. */
  readonly left: number
  /** Aborts when nobody waits for the answer any more, or the connection has ended. */
  readonly signal: AbortSignal
  /** What the caller said of a trace, which may be none. */
  readonly traceparent: string | undefined
  result(bytes: Uint8Array): void
  /** `refused`: nothing was begun. */
  error(bytes: Uint8Array, refused: boolean): void
  /** What comes and goes where there are many values; undefined: the engine carries one there and one back. */
  readonly many?: EngineMany | undefined
}

/** The values of a call of many, at who serves. What was asked for last is awaited before more is asked for, in each direction. */
export interface EngineMany {
  /** The next one that comes: nothing is taken before it is asked for. Undefined: there are no more. Rejects with why `signal` aborts. */
  next(): Promise<Uint8Array | undefined>
  /** Sends one; resolves as soon as another one may follow. The bytes are the engine's. Rejects with why `signal` aborts. */
  send(bytes: Uint8Array): Promise<void>
  /** There are no more, and the call has ended. */
  end(): void
}

/** What comes back of a call of many values: one of them, or how it has ended. */
export interface EngineAnswer {
  readonly kind: 'item' | 'end' | 'error' | 'refused'
  readonly bytes: Uint8Array
}

/** A call of many values, at its caller. It ends when its `signal` aborts. */
export interface EngineStream {
  /** Sends one; resolves as soon as another one may follow; false: nobody wants more. The bytes are the engine's. */
  send(bytes: Uint8Array): Promise<boolean>
  /** There are no more to send. */
  end(): void
  /** What comes next: nothing is taken before it is asked for. Rejects as `call` does. */
  next(): Promise<EngineAnswer>
}

/** What goes with a call. */
export interface EngineCallOptions {
  /** Of the contract. */
  readonly fingerprint: string
  /** Milliseconds that the server is told. */
  readonly timeout: number
  readonly signal: AbortSignal
  /** The context of the trace that it belongs to, as W3C writes it. */
  readonly traceparent?: string | undefined
}

/** Calls, over one connection. */
export interface EngineCalls extends EngineLine {
  readonly maxBytes: number
  /** Where it serves, if that is not the address that was given: port 0 has become the port. */
  readonly address?: string
  /** Clients at this moment, if it knows. */
  readonly connections?: number
  /**
   * From now on calls come to `called`; `many`: of those methods, the ones that take many values; `single`: those that take one and return
   * one. Resolves when they do.
   */
  serve(
    methods: readonly string[],
    called: (call: EngineCall) => void,
    many?: ReadonlySet<string>,
    single?: ReadonlySet<string>,
  ): Promise<void>
  /** No more calls come; those that are there go on. May be called twice. */
  unserve(): void
  /** It is about to close: whoever waits for an answer is told, where an engine would not tell of it. */
  farewell?(): void
  /** Resolves when what was answered has gone out. */
  flushed?(): Promise<void>
  /** Begins a call of many values; undefined: the engine carries one there and one back. */
  open?(method: string, options: EngineCallOptions): EngineStream
  /** The answer; `timeout`: milliseconds that the server is told. Rejects with `NO_RESPONDER` if nobody serves. */
  call(
    method: string,
    input: Uint8Array,
    options: EngineCallOptions,
  ): Promise<{
    readonly kind: 'result' | 'error' | 'refused'
    readonly bytes: Uint8Array
  }>
}

/** What an engine does for each pattern, as `WorkTraits` and `TopicsTraits` have it. */
export interface EngineTraits {
  readonly work: EngineWorkTraits
  readonly topics: {
    readonly waits: boolean
    readonly replays: boolean
    readonly counts: boolean
    readonly redelivers: boolean
    /** Are there queue groups? Default true. */
    readonly groups?: boolean
  }
}

export interface EngineWorkTraits {
  readonly leases: 'connection' | 'silence'
  readonly death: 'exact' | 'timeout'
  readonly priorities: boolean
  readonly groups: boolean
  /** Does a job go to another worker, if the one that has it dies? Default true. */
  readonly redelivers?: boolean
}

/** What an address of an engine stands for: judged, and not connected yet. */
export interface EnginePlace {
  /** The address without what is secret in it: for messages, and for whoever looks. */
  readonly shown: string
  readonly traits: EngineTraits
  /** @throws MillraceError `UNSUPPORTED` (what the engine cannot do) */
  work(wanted: EngineQueueOptions): (signal: AbortSignal) => Promise<EngineWork>
  /** @throws MillraceError `INVALID_ARGUMENT` */
  topics(): (signal: AbortSignal) => Promise<EngineTopics>
  /** Can functions of many values be served there, and called? */
  readonly streams?: boolean
  /**
   * `serves`: whoever connects serves, and does not call. `carries`: he calls for others, so many calls are under way at a time, and may go
   * together.
   *
   * @throws MillraceError `INVALID_ARGUMENT`
   */
  calls(side?: 'calls' | 'serves' | 'carries'): (signal: AbortSignal) => Promise<EngineCalls>
}

/** An engine. */
export interface Engine {
  /** What its makers call it. */
  readonly name: string
  /** @throws MillraceError `INVALID_ARGUMENT` (of the address or the connection), `MISSING_PEER` (its library is not installed) */
  at(address: Address, connection: EngineConnection): EnginePlace
}
