// What a client of a shared work queue asks of the process that has it. One connection is one client: its leases end with it.
//
// A `take` has a number, its ticket. A client that gives up a take says so by that number (`leave`), and what the take has brought
// meanwhile goes back: what comes over a connection comes in order, so either the server finds the ticket waiting, or its job in the
// client's hands. No job is lost between a client that left and a server that had answered already.

import { contract } from '../../rpc/contract.js'
import { call, stream } from '../../rpc/methods.js'
import type { CallOptions } from '../../rpc/options.js'
import type { EngineJobOptions, PushTold } from '../../engines/port.js'
import type { Line } from '../../net/session.js'
import type { Durability } from '../../work/options.js'
import { headed, type Headed } from '../headed.js'

/** What a client has to know of the queue. */
export interface QueueFacts {
  readonly name: string
  readonly jobs: number
  readonly bytes: number
  readonly maxBytes: number
  readonly priorities: number
  readonly seats: number
  /** 0: there is no limit. */
  readonly maxAttempts: number
  readonly durability: Durability
  /** Are ids remembered, so that a push with one may be repeated? */
  readonly dedups: boolean
}

/** What goes with a job that is pushed; what is left out is the default. */
export interface PushFacts {
  readonly priority?: number | undefined
  readonly delay?: number | undefined
  readonly ttl?: number | undefined
  readonly id?: string | undefined
  readonly group?: string | undefined
  /** `traceparent`; through an engine also what a gateway sends along. */
  readonly headers?: Readonly<Record<string, string>> | undefined
}

/** A job as it comes: its lease is a number of this connection. */
export interface JobFacts {
  readonly lease: number
  readonly attempt: number
  readonly acquired: number
  readonly priority: number
  /** Decimal. */
  readonly token: string
  /** Milliseconds since 1970. */
  readonly pushedAt: number
  readonly id?: string | undefined
  readonly group?: string | undefined
  /** Of a job without an id: what it is called each time that somebody has it in hand. */
  readonly origin?: string | undefined
  readonly headers?: Readonly<Record<string, string>> | undefined
}

/** How a job is settled, or its lease made longer. */
export type SettleFacts = { readonly lease: number } & (
  | { readonly how: 'complete' | 'begin' }
  | { readonly how: 'release'; readonly delay: number }
  | { readonly how: 'retry'; readonly delay: number; readonly error: string }
  | { readonly how: 'reject'; readonly error: string }
  | { readonly how: 'extend'; readonly milliseconds: number }
)

type None = Readonly<Record<string, never>>

/** The functions of the process that has the queue. */
export const workMethods = {
  /** What the queue is. */
  about: call<Headed<None>, Headed<QueueFacts>>(),
  /** Pushes a job, as soon as there is room. */
  push: call<Headed<PushFacts>, Headed<{ readonly duplicate: boolean }>>(),
  /** Jobs that are there now, up to `most`; the first is waited for. Their bytes stand one behind the other. */
  take: call<Headed<{ readonly ticket: number; readonly most: number }>, Headed<TakenFacts>>(),
  /** Nobody waits for what that ticket brings. */
  leave: call<Headed<{ readonly ticket: number }>, Headed<None>>(),
  /** Settles a job. */
  settle: call<Headed<SettleFacts>, Headed<None>>(),
  /** When all that was done until now is on the disk. */
  flush: call<Headed<None>, Headed<None>>(),
  /** Leases that were lost while the connection stood: the queue has a `leaseTimeout`. */
  losses: stream<Headed<None>, Headed<{ readonly lease: number }>>(),
}

export const workContract = contract('millrace.work.1', workMethods, { codec: headed })

type Ask<In, Out> = (input: Headed<In>, options?: CallOptions) => Promise<Headed<Out>>
/** Jobs, whose bytes stand one behind the other. */
export interface TakenFacts {
  readonly jobs: readonly TakenJob[]
}

export type TakenJob = JobFacts & {
  readonly length: number
  /** Of an engine, in this process: they stand behind no other's. */
  readonly bytes?: Uint8Array | undefined
}

/** What a gateway asks of an engine in this process: a promise for each step between processes would cost more than the engine does. */
export interface DirectLine {
  /** As `push`. Also when `signal` aborts, an answer that is on its way may still be waited for; it comes, or the line ends. */
  push(bytes: Uint8Array, job: EngineJobOptions, signal: AbortSignal, told: PushTold): void
  /** All of them, at once. Resolves when the engine has it so, as far as they were ours; never rejects. */
  complete(leases: readonly number[]): Promise<void>
}

/** One connection, as its client sees it: to a process that shares the queue, or to an engine that has one. */
export interface WorkLine extends Line {
  readonly closed: boolean
  readonly about: Ask<None, QueueFacts>
  readonly push: Ask<PushFacts, { readonly duplicate: boolean }>
  readonly take: Ask<{ readonly ticket: number; readonly most: number }, TakenFacts>
  readonly leave: Ask<{ readonly ticket: number }, None>
  readonly settle: Ask<SettleFacts, None>
  readonly flush: Ask<None, None>
  losses(input: Headed<None>): AsyncIterable<Headed<{ readonly lease: number }>>
  /** Of an engine. */
  readonly direct?: DirectLine
}
