// What a case is told.

import type { BusName } from './buses/bus.js'
import type { EngineName } from './engines/engine.js'

export interface Parameters {
  /** Base of the names of this measurement's channels and sockets. */
  readonly name: string
  /** Payload of a message or frame. */
  readonly bytes: number
  /** Content is checked, byte by byte, and nothing is timed. */
  readonly check: boolean
  /** Milliseconds before anything counts, at least, and at most if the times do not agree sooner; see warming.ts. */
  readonly warmUp: number
  readonly settleWithin: number
  /** Milliseconds of what counts. */
  readonly stretch: number
  /** How often, where a case has no stretch of time; and how many messages are checked. */
  readonly count: number
  /** Where the second process is pinned, with all its threads. */
  readonly followerCore?: number
  /**
   * Where the threads that do the work are pinned, of the leading side and of the following one. The engine's own
   * threads, which compile and collect, are left alone: on the core of one that spins they would get half of it.
   */
  readonly threadCores?: readonly [number, number]

  /** Of Python: what bench/python/side.py does. */
  readonly role?: string
  /** How both sides wait; which way is natural depends on the case. */
  readonly wait?: 'spin' | 'block' | 'event-loop'
  /** Milliseconds of polling before sleeping; default: the library's. */
  readonly poll?: number
  /** Milliseconds a blocking call spins before it sleeps; default: the library's. */
  readonly spin?: number
  /** Bytes of the ring; default: the library's. */
  readonly capacity?: number
  /** Messages per call (or write); 1: single calls. */
  readonly batch?: number
  /** Messages of a batch lie one after the other in memory of the caller's, at both sides. */
  readonly packed?: boolean
  /** Do the values of a cell say when they were written? Default true. */
  readonly timestamps?: boolean
  /** The receiver takes each message as a Buffer of its own. */
  readonly ownBuffers?: boolean
  /** Sockets: writes that go out together in one writev. */
  readonly gather?: number
  /** Messages between two looks at the clock; default 4096. */
  readonly block?: number
  /** Streams whose blocks are long: so many are measured, after so many, whatever time they take. */
  readonly blocks?: readonly [warmUp: number, measured: number]
  readonly serialization?: 'json' | 'advanced'
  /** Sockets, and what goes by address: the Unix kind (default), the loopback of TCP, or memory, where a case can do with that. */
  readonly transport?: 'unix' | 'tcp' | 'shm'
  /** postMessage: whether the buffer is copied or changes hands. */
  readonly transfer?: boolean
  /** Word rings: what memory they lie in. */
  readonly memory?: 'shared-array-buffer' | 'shm-typed-array'
  /** Files: SHA-256 at both ends. */
  readonly hash?: boolean
  /** Messages a second that are offered. */
  readonly rate?: number
  /** Queues, or readers. */
  readonly many?: number
  /** Readers take their frames, or let them be overwritten. */
  readonly taking?: boolean

  /** Jobs: who hands them out, and the address of its server. */
  readonly engine?: EngineName
  readonly server?: string
  /** Gateways: what stands between them. */
  readonly through?: 'jetstream' | 'rabbitmq' | 'redis' | 'kafka' | 'zeromq' | 'grpc'
  /** Jobs that the queue holds at most; default: the engine's. */
  readonly jobs?: number
  /** Pushes that are under way at a time; default 1. */
  readonly inFlight?: number
  /** Jobs that are handed out to a worker at a time; default 1. */
  readonly ahead?: number
  /** An engine without a limit of its own: so many jobs that are not done are the most. */
  readonly window?: number
  /** The time of a job is that of the whole stretch, until all are done: a window takes up so many at once that it says nothing of the rest. */
  readonly whole?: boolean
  /** Messages that the log of a bus keeps for those who have not read them. */
  readonly log?: number
  /** Of this process among its like. */
  readonly index?: number
  /** Microseconds of work that each job is; default 0. */
  readonly workUs?: number
  /** Milliseconds without a sign of life after which no more is expected. */
  readonly patience?: number

  /** Topics: what carries the messages. */
  readonly bus?: BusName
  /** Subjects that are published on in turn; default 1. */
  readonly subjects?: number
  /** Subscriptions that are interested in none of them. */
  readonly others?: number

  /** Calls: how arguments and results become bytes. */
  readonly codec?: 'json' | 'bytes'
  /** Arguments are written to loans, and seen by handlers where they lie. */
  readonly lent?: boolean
}
