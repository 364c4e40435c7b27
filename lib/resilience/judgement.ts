// What an error says: whether to try again, and whether what was called is at fault. One table for all codes of this package, one for
// those of the system.

import { isAnswer } from '../rpc/described.js'
import { MillraceError } from '../errors.js'

/** What the end of a call says about what was called. */
export type Judgement = 'success' | 'failure' | 'nothing'

/**
 * `transient`: it may be otherwise soon. `interrupted`: try again at once. `broken`: it will be so again, and what was called is at fault.
 * `refused`: the caller is; it will be so again.
 */
type Verdict = 'transient' | 'interrupted' | 'broken' | 'refused'

/** All codes of this package, and those that are to come; a test holds it against them. */
const verdicts: Readonly<Record<string, Verdict>> = {
  ERR_MILLRACE_INVALID_ARGUMENT: 'refused',
  ERR_MILLRACE_INVALID_NAME: 'refused',
  ERR_MILLRACE_NAME_TOO_LONG: 'refused',
  ERR_MILLRACE_EXISTS: 'refused',
  ERR_MILLRACE_NOT_FOUND: 'transient', // not started yet, or being started again
  ERR_MILLRACE_PERMISSION: 'refused',
  ERR_MILLRACE_NOT_OURS: 'refused',
  ERR_MILLRACE_GEOMETRY: 'refused',
  ERR_MILLRACE_SCHEMA: 'refused',
  ERR_MILLRACE_LAYOUT: 'refused',
  ERR_MILLRACE_CORRUPT: 'broken',
  ERR_MILLRACE_ROLE_TAKEN: 'transient', // whoever had it before is about to leave
  ERR_MILLRACE_NO_LANE: 'transient',
  ERR_MILLRACE_PEER_GONE: 'transient',
  ERR_MILLRACE_PEER_FAILED: 'transient',
  ERR_MILLRACE_NO_RESPONDER: 'transient',
  ERR_MILLRACE_CLOSED: 'refused', // a handle that is closed stays so
  ERR_MILLRACE_BUSY: 'transient',
  ERR_MILLRACE_TOO_LARGE: 'refused',
  ERR_MILLRACE_INCOMPLETE: 'refused',
  ERR_MILLRACE_NO_SPACE: 'broken', // trying again fills it no less
  ERR_MILLRACE_ABORTED: 'refused',
  ERR_MILLRACE_TIMEOUT: 'transient',
  ERR_MILLRACE_RELEASED: 'refused',
  ERR_MILLRACE_TOO_MANY_HELD: 'refused',
  ERR_MILLRACE_LEASE_LOST: 'refused',
  ERR_MILLRACE_CIRCUIT_OPEN: 'refused', // no retry around an open breaker
  ERR_MILLRACE_MISSING_PEER: 'refused',
  ERR_MILLRACE_UNREACHABLE: 'transient',
  ERR_MILLRACE_PROTOCOL: 'broken',
  ERR_MILLRACE_UNSUPPORTED: 'refused',
  ERR_MILLRACE_UNSUPPORTED_PLATFORM: 'refused',
  ERR_MILLRACE_UNSUPPORTED_RUNTIME: 'refused',
}

/** Errors of the system, by their names. The second one of each: may what was asked for have been done? */
const systemVerdicts: Readonly<Record<string, readonly [Verdict, executed: boolean]>> = {
  EINTR: ['interrupted', false],
  EAGAIN: ['transient', false],
  EAI_AGAIN: ['transient', false],
  EBUSY: ['transient', false],
  ECONNABORTED: ['transient', true],
  ECONNREFUSED: ['transient', false],
  ECONNRESET: ['transient', true],
  EHOSTDOWN: ['transient', false],
  EHOSTUNREACH: ['transient', false],
  EMFILE: ['transient', false],
  ENETDOWN: ['transient', false],
  ENETRESET: ['transient', true],
  ENETUNREACH: ['transient', false],
  ENFILE: ['transient', false],
  ENOBUFS: ['transient', false],
  ENOMEM: ['transient', false],
  ENOTCONN: ['transient', false],
  EPIPE: ['transient', true],
  ETIMEDOUT: ['transient', true],
  UND_ERR_CONNECT_TIMEOUT: ['transient', false],
  UND_ERR_HEADERS_TIMEOUT: ['transient', true],
  UND_ERR_BODY_TIMEOUT: ['transient', true],
  UND_ERR_SOCKET: ['transient', true],
}

/** What is known of an error; nothing of one that neither this package nor the system has made. */
interface Finding {
  readonly verdict: Verdict | undefined
  readonly mayHaveRun: boolean
}

/** Causes of causes that are looked at: `fetch` hides what has happened one below. */
const mostCauses = 3

/**
 * Is it worth while to try again what rejected with that error? Never if it was the caller's fault, or a breaker is open; never if it may
 * have been done already, unless it is `idempotent`: doing it twice does no harm. Of errors that neither this package nor the system has
 * made nothing is known: no.
 */
export function worthRetrying(error: unknown, { idempotent = false } = {}): boolean {
  const { verdict, mayHaveRun } = findingOf(error)
  if (verdict !== 'transient' && verdict !== 'interrupted') return false
  return idempotent || !mayHaveRun
}

/**
 * What an error says about what was called: the `failure` that a breaker counts, or `nothing`, where the caller was at fault, gave up, or
 * was not let through. An error of which nothing is known is a failure, unless a handler of `millrace/rpc` has thrown it: that is an
 * answer, and a `success`.
 */
export function judgementOf(error: unknown): Judgement {
  if (isAbort(error)) return 'nothing'
  const { verdict } = findingOf(error)
  // What a handler of millrace/rpc throws is an answer: it works.
  if (verdict === undefined && isAnswer(error)) return 'success'
  return verdict === 'refused' ? 'nothing' : 'failure'
}

/** @internal To be done again without a pause. */
export function wasInterrupted(error: unknown): boolean {
  return findingOf(error).verdict === 'interrupted'
}

function isAbort(error: unknown): boolean {
  return nameOfError(error) === 'AbortError'
}

function nameOfError(error: unknown): unknown {
  return (error as { readonly name?: unknown } | null | undefined)?.name
}

function findingOf(given: unknown): Finding {
  if (isAbort(given)) return { verdict: 'refused', mayHaveRun: true }
  // Of `AbortSignal.timeout`.
  if (nameOfError(given) === 'TimeoutError') return { verdict: 'transient', mayHaveRun: true }
  let error = given
  // What a handler has thrown, whoever made it, it has thrown while it ran.
  let hasRun = false
  for (let i = 0; i <= mostCauses && typeof error === 'object' && error !== null; i++) {
    hasRun ||= isAnswer(error)
    const found =
      error instanceof MillraceError
        ? ownFinding(error)
        : systemFinding((error as { readonly code?: unknown }).code)
    if (found !== undefined) return { ...found, mayHaveRun: found.mayHaveRun || hasRun }
    error = (error as { readonly cause?: unknown }).cause
  }
  return { verdict: undefined, mayHaveRun: true }
}

function ownFinding(error: MillraceError): Finding {
  const said = error.executed === 'unknown'
  if (error.code !== 'ERR_MILLRACE_SYSTEM') {
    return { verdict: verdicts[error.code] ?? 'refused', mayHaveRun: said }
  }
  const found = error.errno === undefined ? undefined : systemFinding(nameOf(error.errno))
  return { verdict: found?.verdict ?? 'broken', mayHaveRun: said || found?.mayHaveRun === true }
}

function systemFinding(code: unknown): Finding | undefined {
  if (typeof code !== 'string' || !Object.hasOwn(systemVerdicts, code)) return undefined
  const [verdict, mayHaveRun] = systemVerdicts[code]!
  return { verdict, mayHaveRun }
}

/** `EINTR` and the like; their numbers differ between systems. */
function nameOf(errno: number): string | undefined {
  try {
    return process.getBuiltinModule('node:util').getSystemErrorName(-errno)
  } catch {
    return undefined
  }
}
