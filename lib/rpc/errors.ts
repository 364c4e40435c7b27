// What a handler throws, on its way to whoever called: name, code, message, data and causes. Never the stack, which is nobody's
// business outside of the process; never more than so many bytes; and to write it down does not fail.

import { errorCodes, MillraceError, type ErrorCode, type Executed } from '../errors.js'
import { asAnswer } from './described.js'
import { show } from '../base/options.js'

/** UTF-16 units of a message, of names and codes, of all data together, and causes of causes. What is more is cut off. */
const longestMessage = 2048
const longestWord = 128
const longestData = 8192
const mostCauses = 4

/** An error as JSON: whatever the codec of the contract, everybody can read it. */
interface Written {
  readonly name?: string
  readonly message: string
  readonly code?: string | number
  readonly data?: unknown
  /** Something else was thrown than an error. */
  readonly thrown?: unknown
  /** Is it one of this package? */
  readonly own?: boolean
  readonly syscall?: string
  readonly errno?: number
  readonly path?: string
  readonly executed?: Executed
  readonly cause?: Written
}

/** The bytes of whatever was thrown. Never throws; at most some 40 kB. */
export function encodeError(error: unknown): Uint8Array {
  try {
    return Buffer.from(JSON.stringify(written(error, mostCauses, { left: longestData })))
  } catch {
    // An object that does not let itself be looked at.
    return Buffer.from('{"message":"something was thrown that cannot be told"}')
  }
}

/** The error of such bytes. Never throws. */
export function decodeError(bytes: Uint8Array): Error {
  if (bytes.length === 0) {
    return asAnswer(new Error('the handler failed; there was no room to say why'))
  }
  try {
    const { buffer, byteOffset, byteLength } = bytes
    return asAnswer(
      read(JSON.parse(Buffer.from(buffer, byteOffset, byteLength).toString()), mostCauses),
    )
  } catch (cause) {
    return new MillraceError(
      'ERR_MILLRACE_CORRUPT',
      'the handler failed, and what was said of it is no error: see that both sides are of the same version',
      { cause },
    )
  }
}

function written(error: unknown, causes: number, room: { left: number }): Written {
  if (!isError(error))
    return { message: cut(thrownText(error), longestMessage), thrown: fit(error, room) }
  const own = error instanceof MillraceError
  const { name, message, code, data, cause } = error
  const facts: Record<string, unknown> = { message: cut(text(message), longestMessage) }
  if (typeof name === 'string') facts['name'] = cut(name, longestWord)
  if (typeof code === 'string') facts['code'] = cut(code, longestWord)
  if (typeof code === 'number') facts['code'] = code
  if (data !== undefined) facts['data'] = fit(data, room)
  if (own) {
    facts['own'] = true
    for (const fact of ['syscall', 'errno', 'path'] as const) facts[fact] = error[fact]
    // That a call which the handler made was not executed says nothing of the handler's own.
    if (causes < mostCauses) facts['executed'] = error.executed
  }
  if (cause !== undefined && causes > 0) facts['cause'] = written(cause, causes - 1, room)
  return facts as unknown as Written
}

/** Errors of other realms (jest, vm) are errors, too. */
function isError(
  given: unknown,
): given is Error & { readonly code?: unknown; readonly data?: unknown } {
  if (given instanceof Error) return true
  return Object.prototype.toString.call(given) === '[object Error]'
}

function text(message: unknown): string {
  return typeof message === 'string' ? message : show(message)
}

function thrownText(value: unknown): string {
  return typeof value === 'string' ? value : `${show(value)} was thrown`
}

function cut(long: string, most: number): string {
  return long.length <= most ? long : `${long.slice(0, most - 1)}…`
}

/** What JSON makes of the value, if there is room for it; else nothing. */
function fit(value: unknown, room: { left: number }): unknown {
  try {
    const json = JSON.stringify(value) as string | undefined
    if (json === undefined || json.length > room.left) return undefined
    room.left -= json.length
    return JSON.parse(json) as unknown
  } catch {
    return undefined // a BigInt, a cycle
  }
}

/** Those that every program knows by their classes. */
const known: Readonly<Record<string, ErrorConstructor>> = {
  EvalError,
  RangeError,
  ReferenceError,
  SyntaxError,
  TypeError,
  URIError,
}

function read(given: unknown, causes: number): Error {
  if (typeof given !== 'object' || given === null) throw new TypeError('no error')
  const from = given as Partial<Record<keyof Written, unknown>>
  const message = from.message
  if (typeof message !== 'string') throw new TypeError('an error without a message')
  const cause =
    from.cause === undefined || causes === 0 ? from.thrown : read(from.cause, causes - 1)
  const error = isOwn(from) ? own(from, message, cause) : foreign(from, message, cause)
  if (from.data !== undefined) Object.assign(error, { data: from.data })
  return error
}

function isOwn({ own, code }: Partial<Record<keyof Written, unknown>>): boolean {
  return own === true && (errorCodes as readonly unknown[]).includes(code)
}

function own(
  { code, syscall, errno, path, executed }: Partial<Record<keyof Written, unknown>>,
  message: string,
  cause: unknown,
): Error {
  return new MillraceError(code as ErrorCode, message, {
    syscall: typeof syscall === 'string' ? syscall : undefined,
    errno: typeof errno === 'number' ? errno : undefined,
    path: typeof path === 'string' ? path : undefined,
    executed: executed === 'no' || executed === 'unknown' ? executed : undefined,
    cause,
  })
}

function foreign(
  { name, code }: Partial<Record<keyof Written, unknown>>,
  message: string,
  cause: unknown,
): Error {
  const Known = typeof name === 'string' && Object.hasOwn(known, name) ? known[name]! : Error
  const error = new Known(message, cause === undefined ? undefined : { cause })
  if (typeof name === 'string' && error.name !== name) {
    Object.defineProperty(error, 'name', { value: name, configurable: true, writable: true })
  }
  if (typeof code === 'string' || typeof code === 'number') Object.assign(error, { code })
  return error
}
