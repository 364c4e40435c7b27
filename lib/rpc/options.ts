// What calls are served, connected and made by: each part judged before anything is done.

import type { MemoryOptions } from '../addon/memory-options.js'
import type { NativeCallsOptions } from '../addon/calls.js'
import {
  access,
  accessNames,
  checkOptions,
  checkSignal,
  duration,
  flag,
  readMemory,
  readTuning,
  show,
  tuningNames,
  wholeNumber,
  type AccessOptions,
  type Tuning,
  type TuningOptions,
  type WaitOptions,
} from '../base/options.js'
import { traced } from '../base/tracing.js'
import { abortedError, invalidArgument, MillraceError } from '../errors.js'
import type { ConnectionOptions as NetConnectionOptions } from '../net/options.js'
import type { RemoteOptions, ShareOptions } from '../net/share.js'
import type { GivenStreams } from './streams/connection.js'
import { connectionNames, readConnection, type ConnectionOptions } from './streams/options.js'
import { today } from './today.js'

/**
 * What describes the memory of calls; the first server decides it. What is left out is what is there; what is
 * given must be that, or `ERR_MILLRACE_GEOMETRY`.
 */
export interface CallMemoryOptions extends AccessOptions, TuningOptions {
  /** Calls there may be at a time, waiting and in hand, of all clients; one more is `ERR_MILLRACE_BUSY`. Default 256, at most 65 536. */
  readonly calls?: number | undefined
  /** Bytes for arguments and results longer than 128, in pieces of 256; shorter ones lie with their calls. Default 1 MiB. */
  readonly bytes?: number | undefined
  /** Servers and clients that may be there at a time, over all processes and Workers. Default 64, at most 2048. */
  readonly seats?: number | undefined
  /** How the memory is treated: huge pages, locking, prefaulting, NUMA nodes, wiping. */
  readonly memory?: MemoryOptions | undefined
  /**
   * Is counted in shared memory how long calls take, for `observe` and `millrace stat`? By a client from the request until it has the
   * result, by a server from when it takes a call until it has answered it. One of 64 is measured (docs/observing.md). Default false. Not at
   * addresses that are not this machine's memory: `ERR_MILLRACE_UNSUPPORTED`.
   */
  readonly stats?: boolean | undefined
}

/** How a server serves functions of many values. */
export interface StreamServeOptions extends ConnectionOptions {
  /**
   * Bytes of each of the two queues between a client and the server, rounded up to a power of two; longer items go in pieces.
   * Default 65 536, at least 4096.
   */
  readonly capacity?: number | undefined
}

/** How a server serves. */
export interface ServeOptions extends CallMemoryOptions {
  /** Handlers that may be at work at a time, here; default 16. What is more waits, or goes to another server. At most 65 536. */
  readonly concurrency?: number | undefined
  /**
   * Milliseconds for which `close()` lets handlers finish; after that their signals abort, and their callers get
   * `ERR_MILLRACE_PEER_GONE`. Infinity: for as long as they take. Default 5000.
   */
  readonly drainOnClose?: number | undefined
  /** How it is listened for, if the address is not this machine's memory. */
  readonly connection?: ShareOptions | undefined
  /**
   * Functions, by their names, whose handlers get their argument where it lies: a Uint8Array of shared memory, to be used until the call is
   * answered. For those whose argument travels as `bytes`; `ERR_MILLRACE_UNSUPPORTED` otherwise. Default: none, each gets bytes of its own.
   */
  readonly inPlace?: readonly string[] | undefined
  /** Of streams: how much of each this server has room for, and the queues they go through. */
  readonly streams?: StreamServeOptions | undefined
  /** Closes the server, as `close()` does. */
  readonly signal?: AbortSignal | undefined
}

/** How a client connects. */
export interface ConnectOptions extends CallMemoryOptions {
  /**
   * Milliseconds for which `connect`, and later each call, waits where nobody serves, before it is
   * `ERR_MILLRACE_NO_RESPONDER`; Infinity: for ever. Default 0: `connect` waits for nobody, and calls fail at once. Calls by an
   * address that have a `timeout` wait for the connection as long as that, instead.
   */
  readonly waitForServer?: number | undefined
  /** How it is reached, if the address is not this machine's memory. */
  readonly connection?: RemoteOptions | undefined
  /** Of streams: how much of each this client has room for. */
  readonly streams?: ConnectionOptions | undefined
  /** Ends the wait of `connect` with `ERR_MILLRACE_ABORTED`. */
  readonly signal?: AbortSignal | undefined
}

/** How a server is asked for its contract. */
export interface ContractAtOptions extends WaitOptions {
  /** How it is reached. */
  readonly connection?: NetConnectionOptions | undefined
}

/** What a call may take. The context of a handler is one: a call that is made for it ends with it. */
export interface CallOptions {
  /** Milliseconds until `ERR_MILLRACE_TIMEOUT`; default: wait for ever. */
  readonly timeout?: number | undefined
  /** When that comes: a Date, or milliseconds since 1970. The earlier of both counts. Infinity: never. */
  readonly deadline?: number | Date | undefined
  /** Ends the call with `ERR_MILLRACE_ABORTED`; its handler's signal aborts. */
  readonly signal?: AbortSignal | undefined
  /** The call of a handler, for which this one is made: it ends no later than that, and with it, and belongs to the same trace. */
  readonly within?: CallLimits | undefined
  /** The context of the trace that it belongs to, as W3C writes it; default: that of `within`. See docs/tracing.md. */
  readonly traceparent?: string | undefined
}

/** A call whose result is wanted where it lies. */
export interface InPlaceOptions extends CallOptions {
  /**
   * Resolves with a `CallResult`, whose bytes lie in shared memory until it is released. For a `call` whose result travels as `bytes`;
   * `ERR_MILLRACE_UNSUPPORTED` otherwise.
   */
  readonly inPlace: true
}

/** What limits a call: the context of a handler has it. */
export interface CallLimits {
  /** Aborts when nobody waits for it any more. */
  readonly signal?: AbortSignal | undefined
  /** When its caller gives it up: milliseconds since 1970, or a Date; Infinity: never. */
  readonly deadline?: number | Date | undefined
  /** The context of its trace, as W3C writes it. */
  readonly traceparent?: string | undefined
}

const memoryNames = [
  ...accessNames,
  ...tuningNames,
  'calls',
  'bytes',
  'seats',
  'memory',
  'stats',
] as const
const serveNames = [
  ...memoryNames,
  'concurrency',
  'drainOnClose',
  'inPlace',
  'connection',
  'streams',
  'signal',
] as const
const connectNames = [...memoryNames, 'waitForServer', 'connection', 'streams', 'signal'] as const
const callNames = ['timeout', 'deadline', 'signal', 'within', 'traceparent'] as const
/** @internal Of a call of one value. */
export const onceNames = [...callNames, 'inPlace'] as const
/** @internal Of a call with a loan. */
export const loanCallNames = [...onceNames, 'length'] as const

const mostCalls = 65_536
const mostBytes = 2 ** 40

/** @internal ServeOptions that were read. */
export interface GivenServe {
  readonly tuning: Tuning
  readonly native: NativeMemoryPart
  readonly concurrency: number
  readonly drainMs: number
  /** Names of functions. */
  readonly inPlace: ReadonlySet<string>
  readonly streams: GivenStreamServer
  readonly signal: AbortSignal | undefined
}

/** @internal ConnectOptions that were read. */
export interface GivenConnect {
  readonly tuning: Tuning
  readonly native: NativeMemoryPart
  readonly waitMs: number
  readonly streams: GivenStreams
  readonly signal: AbortSignal | undefined
}

/** @internal StreamServeOptions that were read. */
export interface GivenStreamServer {
  readonly connection: GivenStreams
  readonly capacity: number | undefined
}

/** @internal What options say of the memory. */
export type NativeMemoryPart = Omit<NativeCallsOptions, 'place' | 'schema' | 'attachOnly'>

/** @internal */
export function readServe(given: ServeOptions | undefined): GivenServe {
  const options = checkOptions(given, serveNames)
  return {
    concurrency: wholeNumber(options, 'concurrency', 16, [1, 65_536]),
    drainMs: duration(options, 'drainOnClose', 5000),
    inPlace: readNames(options.inPlace),
    streams: readStreamServer(options.streams),
    ...readMemoryPart(options),
    signal: readSignal(options.signal),
  }
}

function readNames(given: unknown): ReadonlySet<string> {
  if (given === undefined) return new Set()
  if (Array.isArray(given) && given.every((name) => typeof name === 'string')) return new Set(given)
  throw invalidArgument(`inPlace must be an array of the names of functions, not ${show(given)}`)
}

/** @internal */
export function readConnect(given: ConnectOptions | undefined): GivenConnect {
  const options = checkOptions(given, connectNames)
  return {
    waitMs: duration(options, 'waitForServer', 0),
    streams: readConnection(options.streams),
    ...readMemoryPart(options),
    signal: readSignal(options.signal),
  }
}

function readStreamServer(given: StreamServeOptions | undefined): GivenStreamServer {
  const { capacity, ...connection } = checkOptions(given, [...connectionNames, 'capacity'])
  return {
    connection: readConnection(connection),
    capacity:
      capacity === undefined
        ? undefined
        : wholeNumber({ capacity }, 'capacity', 65_536, [4096, 2 ** 30]),
  }
}

function readMemoryPart(options: CallMemoryOptions): {
  readonly tuning: Tuning
  readonly native: NativeMemoryPart
} {
  return {
    tuning: readTuning(options),
    native: {
      memory: readMemory(options),
      calls: numberIfAny(options, 'calls', [1, mostCalls]),
      bytes: numberIfAny(options, 'bytes', [0, mostBytes]),
      seats: numberIfAny(options, 'seats', [2, 2048]),
      stats: flag(options, 'stats'),
      ...access(options),
    },
  }
}

function numberIfAny(
  options: object,
  key: string,
  range: readonly [number, number],
): number | undefined {
  const value = (options as Readonly<Record<string, unknown>>)[key]
  return value === undefined ? undefined : wholeNumber(options, key, 0, range)
}

function readSignal(given: unknown): AbortSignal | undefined {
  const signal = checkSignal(given)
  if (signal?.aborted === true) throw abortedError(signal)
  return signal
}

/** @internal CallOptions that were read. */
export interface Limits {
  /** Milliseconds from now; Infinity: for ever. */
  readonly timeout: number
  readonly signal: AbortSignal | undefined
  /** Of the call for which this one is made. */
  readonly outer: AbortSignal | undefined
  /** The context that goes along; undefined: none. */
  readonly traceparent: string | undefined
}

/** @internal */
export const unlimited: Limits = {
  timeout: Infinity,
  signal: undefined,
  outer: undefined,
  traceparent: undefined,
}

/**
 * @internal
 * @throws MillraceError `INVALID_ARGUMENT`, `ABORTED`
 */
export function readLimits(
  given: CallOptions | undefined,
  names: readonly string[] = callNames,
): Limits {
  if (given === undefined) return unlimited
  const options = checkOptions(given, names as readonly (keyof CallOptions)[])
  const { within } = options
  if (within !== undefined && (typeof within !== 'object' || (within as unknown) === null)) {
    throw invalidArgument(`within must be the context of a handler, not ${show(within)}`)
  }
  const timeout = Math.min(
    duration(options, 'timeout', Infinity),
    timeLeft(options.deadline, 'deadline'),
    timeLeft(within?.deadline, 'within.deadline'),
  )
  const signal = checkSignal(options.signal)
  const outer = checkSignal(within?.signal)
  const aborted = [signal, outer].find((one) => one?.aborted === true)
  const traceparent = readContext(options.traceparent, within?.traceparent)
  if (aborted === undefined) return { timeout, signal, outer, traceparent }
  const facts = { cause: aborted.reason as unknown, executed: 'no' } as const
  throw new MillraceError('ERR_MILLRACE_ABORTED', 'the call was aborted before it was made', facts)
}

/** What was given is judged; what has come along with another call goes on, if it is one. */
function readContext(given: unknown, outer: string | undefined): string | undefined {
  if (given !== undefined) {
    traced().readTrace(given)
    return given as string
  }
  return outer === undefined || traced().packTrace(outer) === undefined ? undefined : outer
}

/** @internal What one call of one value may take, that was read. */
export interface GivenCall {
  readonly limits: Limits
  readonly inPlace: boolean
}

/**
 * @internal
 * @throws MillraceError `INVALID_ARGUMENT`, `ABORTED`
 */
export function readCall(
  given: CallOptions | undefined,
  names: readonly string[] = onceNames,
): GivenCall {
  return {
    limits: readLimits(given, names),
    inPlace: given !== undefined && flag(given, 'inPlace'),
  }
}

/** Milliseconds until then. The clock of the day may be set meanwhile: from here on it is not looked at any more. */
function timeLeft(deadline: unknown, name: string): number {
  if (deadline === undefined || deadline === Infinity) return Infinity
  const at = isDate(deadline) ? deadline.getTime() : deadline
  if (typeof at !== 'number' || Number.isNaN(at)) {
    throw invalidArgument(
      `${name} must be a Date, or milliseconds since 1970 as Date.now() tells them, not ${show(deadline)}`,
    )
  }
  return Math.max(at - today(), 0)
}

/** Of another realm, too. */
function isDate(value: unknown): value is Date {
  return Object.prototype.toString.call(value) === '[object Date]'
}
