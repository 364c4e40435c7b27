// Reading options: each wrong one is named, with what was expected.

import { abortedError, invalidArgument } from '../errors.js'
import type { MemoryOptions } from '../addon/memory-options.js'
import { native } from '../addon/native.js'
import { OwnSignal } from './abort-signals.js'

/** Options of every call that waits. */
export interface WaitOptions {
  /** Ends the wait with `ERR_MILLRACE_ABORTED`. */
  readonly signal?: AbortSignal | undefined
  /** Milliseconds until `ERR_MILLRACE_TIMEOUT`; default: wait for ever. */
  readonly timeout?: number | undefined
}

/** The names of {@link WaitOptions}, {@link TuningOptions} and {@link AccessOptions}, for `checkOptions`. */
export const waitNames = ['signal', 'timeout'] as const
export const tuningNames = ['poll', 'spin'] as const
export const accessNames = ['mode', 'owner'] as const
export const schemaNames = ['schema'] as const

/** WaitOptions that were read. */
export type Wait = Pick<Required<WaitOptions>, 'signal' | 'timeout'>

const forEver: Wait = { signal: undefined, timeout: Infinity }

/**
 * The options of a wait, judged before anything is done: a call whose signal is aborted, or that cannot be understood,
 * takes nothing and sends nothing, however much is there.
 *
 * @throws MillraceError `INVALID_ARGUMENT`, `ABORTED`
 */
export function readWait(given: WaitOptions | undefined): Wait {
  if (given === undefined) return forEver
  const options = checkOptions(given, waitNames)
  const timeout = duration(options, 'timeout', Infinity)
  const signal = checkSignal(options.signal)
  if (signal?.aborted === true) throw abortedError(signal)
  return { signal, timeout }
}

/** How a channel waits before it sleeps. */
export interface TuningOptions {
  /**
   * Milliseconds (fractions allowed) to go on looking, one look per turn of the event loop, before
   * sleeping in the kernel. The loop stays responsive; a core is busy meanwhile. Adaptive: looking that
   * does not pay is given up. Default 0.1, or 0 where there is one processor only; 0 sleeps at once.
   */
  readonly poll?: number | undefined
  /**
   * Milliseconds (fractions allowed) to spin without giving the event loop a turn, before polling. After the
   * first microsecond the processor is offered to others between two looks. By default 0.02 as long as that pays, to
   * this channel and to all of the thread together, else (and with `poll: 0`) 0. A number that is given here is kept
   * to at every wait: for a process that does nothing else. At most 60 000; after 20 the event loop has its turns
   * between two looks, so that signals, time-outs and deaths are noticed in time.
   */
  readonly spin?: number | undefined
}

/** Who may use a channel. */
export interface AccessOptions {
  /**
   * Rights of a new object, and the widest accepted of an existing one: `0o600` (default), `0o640` or
   * `0o660`. Anything that lets the world in is refused.
   */
  readonly mode?: number | undefined
  /**
   * User id whose objects are accepted when opening; default: this process's user. Another one than that has to create it:
   * until then it is `ERR_MILLRACE_NOT_FOUND`.
   */
  readonly owner?: number | undefined
}

/** What the bytes of a channel mean; a `struct()` is one. */
export interface Schema {
  /** 64 bits that differ when the meaning differs; not 0. */
  readonly fingerprint: bigint
}

/** What this process takes the content of a channel for. */
export interface SchemaOptions<S extends Schema = Schema> {
  /**
   * What is sent, usually a `struct()`. Whoever states another schema than was stated first on this channel
   * gets `ERR_MILLRACE_SCHEMA`. Left out: nothing is said and nothing compared.
   */
  readonly schema?: S | undefined
}

/** What a reader can ask for, who must not change the memory. */
export type ReaderMemoryOptions = Pick<MemoryOptions, 'lock' | 'prefault'>

/** TuningOptions as read, in milliseconds. */
export interface Tuning {
  readonly poll: number
  readonly spin: number
  /** Spin only while that pays? */
  readonly adaptiveSpin: boolean
}

/** About what a wake-up through the kernel takes: who spins for longer would have been quicker asleep. */
const defaultSpinMs = 0.02
const defaultPollMs = 0.1
/** More is no spinning before a sleep, but a mistake. */
const longestSpinMs = 60_000
/**
 * Where the peer can only run when we do not, looking without giving way is in vain. (To ask node:os would take a
 * process 0.2 ms.)
 */
export const sharesProcessor = native.processors === 1

/** To be read before anything is opened: a refused option must not leave a side open. */
export function readTuning(options: TuningOptions): Tuning {
  const poll = duration(options, 'poll', sharesProcessor ? 0 : defaultPollMs)
  const spin = spinTime(options, options.poll === 0 ? 0 : defaultSpinMs)
  return { poll, spin, adaptiveSpin: options.spin === undefined }
}

type Range = readonly [least: number, most: number]

export function wholeNumber(
  options: object,
  key: string,
  otherwise: number,
  [least, most]: Range,
): number {
  const value = (options as Record<string, unknown>)[key]
  if (value === undefined) return otherwise
  if (typeof value !== 'number' || !Number.isInteger(value) || value < least || value > most) {
    throw invalidArgument(
      `${key} must be a whole number from ${String(least)} to ${String(most)}, not ${show(value)}`,
    )
  }
  return value
}

/** A duration in milliseconds, fractions and Infinity allowed. */
export function duration(options: object, key: string, otherwise: number): number {
  const value = (options as Record<string, unknown>)[key]
  if (value === undefined) return otherwise
  if (typeof value !== 'number' || Number.isNaN(value) || value < 0) {
    throw invalidArgument(`${key} must be a number of milliseconds, not ${show(value)}`)
  }
  return value
}

/** The spin option in milliseconds. Whoever spins does nothing else: for ever is refused. */
export function spinTime(options: object, otherwise: number): number {
  const spin = duration(options, 'spin', otherwise)
  if (spin <= longestSpinMs) return spin
  throw invalidArgument(
    `spin must be a number of milliseconds up to ${String(longestSpinMs)}, not ${show(spin)}; ` +
      'to go on looking for longer, use poll, which gives the event loop its turns',
  )
}

/** A list of whole numbers, or undefined if it was left out. */
export function wholeNumbers(options: object, key: string, range: Range): number[] | undefined {
  const value = (options as Record<string, unknown>)[key]
  if (value === undefined) return undefined
  if (!Array.isArray(value) || value.length === 0) {
    throw invalidArgument(`${key} must be a list of whole numbers, not ${show(value)}`)
  }
  return value.map((one: unknown) => wholeNumber({ [key]: one }, key, NaN, range))
}

const memoryNames = ['hugePages', 'lock', 'prefault', 'numa', 'zeroOnClose'] as const
const numaPolicies = ['bind', 'preferred', 'interleave']

/** The memory option, each part checked. */
export function readMemory(options: {
  readonly memory?: MemoryOptions | undefined
}): MemoryOptions {
  if (options.memory === undefined) return {}
  const memory = checkOptions(options.memory, memoryNames)
  const read = {
    hugePages: flag(memory, 'hugePages'),
    lock: flag(memory, 'lock'),
    prefault: flag(memory, 'prefault'),
    zeroOnClose: flag(memory, 'zeroOnClose'),
  }
  if (memory.numa === undefined) return read
  const { policy, ...numa } = checkOptions(memory.numa, ['policy', 'nodes'])
  const nodes = wholeNumbers(numa, 'nodes', [0, 1023])
  if (policy === undefined || !numaPolicies.includes(policy) || nodes === undefined) {
    throw invalidArgument(`numa must have nodes, and a policy of ${numaPolicies.join(', ')}`)
  }
  if (policy === 'preferred' && nodes.length !== 1) {
    throw invalidArgument('numa: exactly one node can be preferred')
  }
  return { ...read, numa: { policy, nodes } }
}

export function flag(options: object, key: string): boolean {
  const value = (options as Record<string, unknown>)[key]
  if (value === undefined) return false
  if (typeof value !== 'boolean') {
    throw invalidArgument(`${key} must be true or false, not ${show(value)}`)
  }
  return value
}

export function checkName(name: unknown): string {
  if (typeof name !== 'string')
    throw invalidArgument(`the name must be a string, not ${show(name)}`)
  return name
}

/**
 * An options argument that was left out is an empty one; anything but an object is refused, and so is an object with an
 * option that is not `known`: a slip of the pen must not be a default.
 */
export function checkOptions<T extends object>(
  options: T | undefined,
  known: readonly (keyof T & string)[],
): Partial<T> {
  if (options === undefined) return {}
  if (typeof options !== 'object' || (options as unknown) === null) {
    throw invalidArgument(`options must be an object, not ${show(options)}`)
  }
  for (const name in options) {
    if (options[name] === undefined || (known as readonly string[]).includes(name)) continue
    throw invalidArgument(`there is no option '${name}' here; there are: ${known.join(', ')}`)
  }
  return options
}

/** By what it can do: one of another realm, as in a vm context, is as good. */
export function checkSignal(signal: unknown): AbortSignal | undefined {
  if (signal === undefined) return undefined
  if (signal instanceof OwnSignal) return signal as unknown as AbortSignal
  if (isSignal(signal)) return signal
  throw invalidArgument(`signal must be an AbortSignal, not ${show(signal)}`)
}

function isSignal(value: unknown): value is AbortSignal {
  if (typeof value !== 'object' || value === null) return false
  const { aborted, addEventListener } = value as Partial<AbortSignal>
  return typeof aborted === 'boolean' && typeof addEventListener === 'function'
}

export function checkFunction(name: string, value: unknown): void {
  if (typeof value !== 'function') {
    throw invalidArgument(`${name} must be a function, not ${show(value)}`)
  }
}

/** The fingerprint of the schema option, 0n if there is none. */
export function fingerprint({ schema }: SchemaOptions): bigint {
  if (schema === undefined) return 0n
  const value = (schema as Schema | null)?.fingerprint
  if (typeof value !== 'bigint' || value <= 0n || value >> 64n !== 0n) {
    throw invalidArgument(
      `schema must be a struct(), or have a fingerprint of 64 bits that is not 0, not ${show(schema)}`,
    )
  }
  return value
}

const unixIds: Range = [0, 0xffff_ffff]

export function access(options: AccessOptions): { mode: number; owner: number | undefined } {
  return {
    mode: wholeNumber(options, 'mode', 0o600, [0, 0o7777]),
    owner: options.owner === undefined ? undefined : wholeNumber(options, 'owner', 0, unixIds),
  }
}

export function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value)
  if (typeof value === 'bigint') return `${String(value)}n`
  return typeof value === 'object' && value !== null
    ? process.getBuiltinModule('node:util').inspect(value, { depth: 0 })
    : String(value)
}
