// The one error class. Its `code` is stable and is what programs test; the message names the cause and
// the cure for people.

/** All codes a {@link MillraceError} can have; docs/errors.md explains each. */
export const errorCodes = [
  'ERR_MILLRACE_INVALID_ARGUMENT',
  'ERR_MILLRACE_INVALID_NAME',
  'ERR_MILLRACE_NAME_TOO_LONG',
  'ERR_MILLRACE_EXISTS',
  'ERR_MILLRACE_NOT_FOUND',
  'ERR_MILLRACE_PERMISSION',
  'ERR_MILLRACE_NOT_OURS',
  'ERR_MILLRACE_GEOMETRY',
  'ERR_MILLRACE_SCHEMA',
  'ERR_MILLRACE_LAYOUT',
  'ERR_MILLRACE_CORRUPT',
  'ERR_MILLRACE_ROLE_TAKEN',
  'ERR_MILLRACE_NO_LANE',
  'ERR_MILLRACE_PEER_GONE',
  'ERR_MILLRACE_PEER_FAILED',
  'ERR_MILLRACE_NO_RESPONDER',
  'ERR_MILLRACE_UNREACHABLE',
  'ERR_MILLRACE_PROTOCOL',
  'ERR_MILLRACE_CLOSED',
  'ERR_MILLRACE_BUSY',
  'ERR_MILLRACE_TOO_LARGE',
  'ERR_MILLRACE_INCOMPLETE',
  'ERR_MILLRACE_NO_SPACE',
  'ERR_MILLRACE_ABORTED',
  'ERR_MILLRACE_TIMEOUT',
  'ERR_MILLRACE_RELEASED',
  'ERR_MILLRACE_TOO_MANY_HELD',
  'ERR_MILLRACE_LEASE_LOST',
  'ERR_MILLRACE_CIRCUIT_OPEN',
  'ERR_MILLRACE_MISSING_PEER',
  'ERR_MILLRACE_UNSUPPORTED',
  'ERR_MILLRACE_UNSUPPORTED_PLATFORM',
  'ERR_MILLRACE_UNSUPPORTED_RUNTIME',
  'ERR_MILLRACE_SYSTEM',
] as const

/** One of {@link errorCodes}. */
export type ErrorCode = (typeof errorCodes)[number]

/** What a failed system call adds to an error. */
export interface SystemCallFacts {
  readonly syscall?: string | undefined
  readonly errno?: number | undefined
  readonly path?: string | undefined
  readonly cause?: unknown
  readonly executed?: Executed | undefined
}

/** May a call that failed have been executed? `no`: no handler has begun with it. `unknown`: one may have, wholly or in part. */
export type Executed = 'no' | 'unknown'

/** Every error this package throws or rejects with. */
export class MillraceError extends Error {
  /** Stable; test this, not the message. */
  readonly code: ErrorCode
  /** The system call that failed, if one did. */
  declare readonly syscall?: string // `declare`: an error without one has no such property
  /** Its errno, a positive number. */
  declare readonly errno?: number
  /** The object it was about. */
  declare readonly path?: string
  /** Of a call (`millrace/rpc`) that was sent and failed: may it have been executed? */
  declare readonly executed?: Executed

  /** @internal */
  constructor(code: ErrorCode, message: string, facts: SystemCallFacts = {}) {
    super(message, facts.cause === undefined ? undefined : { cause: facts.cause })
    this.code = code
    if (facts.syscall !== undefined) this.syscall = facts.syscall
    if (facts.errno !== undefined) this.errno = facts.errno
    if (facts.path !== undefined) this.path = facts.path
    if (facts.executed !== undefined) this.executed = facts.executed
  }

  /** `AbortError` with the code `ERR_MILLRACE_ABORTED`, otherwise `MillraceError`. */
  override get name(): string {
    // As everywhere in Node: the name tells an abort from a failure.
    return this.code === 'ERR_MILLRACE_ABORTED' ? 'AbortError' : 'MillraceError'
  }
}

export function invalidArgument(message: string, cause?: unknown): MillraceError {
  return new MillraceError('ERR_MILLRACE_INVALID_ARGUMENT', message, { cause })
}

export function closedError(what: string): MillraceError {
  return new MillraceError('ERR_MILLRACE_CLOSED', `${what} is closed; open it again to go on`)
}

export function corruptError(what: string): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_CORRUPT',
    `${what} holds impossible values, written by a broken or hostile peer; it has been closed: ` +
      'find the process that writes to it, then open it again',
  )
}

/** `who` left saying that it failed; `reason`: why, as far as it said. That is the message of the cause, too. */
export function peerFailedError(
  who: string,
  pid: number,
  reason: string,
  cure: string,
): MillraceError {
  const why = reason === '' ? 'failed, and gave no reason' : `failed: ${reason}`
  return new MillraceError(
    'ERR_MILLRACE_PEER_FAILED',
    `${who} (pid ${String(pid)}) ${why}; ${cure}`,
    reason === '' ? {} : { cause: new Error(reason) },
  )
}

export function abortedError(signal: AbortSignal): MillraceError {
  return new MillraceError('ERR_MILLRACE_ABORTED', 'the wait was aborted', {
    cause: signal.reason,
  })
}

/** `advice`: who would have had to do it, and what to do. */
export function timeoutError(what: string, milliseconds: number, advice: string): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_TIMEOUT',
    `${what} did not happen within ${milliseconds.toFixed()} ms; ${advice}`,
  )
}

export function hasCode(error: unknown, code: ErrorCode): boolean {
  return error instanceof MillraceError && error.code === code
}

/** Does this runtime forbid ArrayBuffers over shared memory? */
export function isRefusal(error: unknown): boolean {
  return hasCode(error, 'ERR_MILLRACE_UNSUPPORTED_RUNTIME')
}
