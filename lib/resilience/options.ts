// What `resilient` takes, each part judged before anything is called.

import {
  checkFunction,
  checkOptions,
  checkSignal,
  duration,
  flag,
  show,
  wholeNumber,
} from '../base/options.js'
import { now } from '../base/time.js'
import { abortedError, invalidArgument } from '../errors.js'
import { today } from '../rpc/today.js'
import { SharedBreaker } from './breaker.js'
import type { Policy } from './cockatiel.js'
import type { Judgement } from './judgement.js'

/** A retry, as `onRetry` is told of it. */
export interface RetryFacts {
  /** What the attempt before rejected with. */
  readonly error: unknown
  /** Of the attempt that comes: 1 for the first one that is made again. */
  readonly attempt: number
  /** Milliseconds until then. */
  readonly delay: number
}

/** When a call is made again. */
export interface RetryOptions {
  /** How often at most, after the first time; default 3. */
  readonly attempts?: number | undefined
  /** Milliseconds: the first pause is up to so long, each one after it up to twice the one before. Default 50. */
  readonly base?: number | undefined
  /** Milliseconds that no pause exceeds; default 5000. */
  readonly cap?: number | undefined
  /** Instead of `worthRetrying`: is it worth while after that error? Never asked about an open breaker. */
  readonly when?: ((error: unknown, facts: { readonly idempotent: boolean }) => boolean) | undefined
  /** Told of each retry, before the pause. What it throws ends the call. */
  readonly onRetry?: ((facts: RetryFacts) => void) | undefined
}

/** When calls are not made any more for a while. */
export interface BreakerOptions {
  /** Failures in a row that open it; default 5. */
  readonly failures?: number | undefined
  /** Milliseconds until one call may try again; default 10 000. */
  readonly halfOpenAfter?: number | undefined
  /** Instead of `judgementOf`: what does an error say about what is called? */
  readonly counts?: ((error: unknown) => Judgement) | undefined
}

/** How many calls are on their way at a time. */
export interface BulkheadOptions {
  /** So many at most. */
  readonly limit: number
  /** So many more wait for one of them to end; what is more is `BUSY`. Default 0. */
  readonly queue?: number | undefined
}

/**
 * The policies around a call. Each is left out (its default), `false` (none), options, or a policy of your own: of cockatiel, or any object
 * with such an `execute`.
 */
export interface ResilienceOptions {
  /** When it is made again. */
  readonly retry?: false | RetryOptions | Policy | undefined
  /** When it is not made. A `SharedBreaker` is one for all processes. */
  readonly breaker?: false | BreakerOptions | SharedBreaker | Policy | undefined
  /** Milliseconds for each attempt; default 10 000. */
  readonly timeout?: false | number | Policy | undefined
  /** How many are on their way at a time: a number, or options. Default: any number. */
  readonly bulkhead?: false | number | BulkheadOptions | Policy | undefined
  /** May calls be made twice, if it is not known whether they were executed? Default false. */
  readonly idempotent?: boolean | undefined
  /** Milliseconds for all attempts of a call and the pauses between them. Default: as long as they take. */
  readonly total?: number | undefined
}

/** What limits the call for which another one is made. The context of a handler has it. */
export interface WithinLimits {
  /** Aborts when nobody waits for it any more. */
  readonly signal?: AbortSignal | undefined
  /** When its caller gives it up: milliseconds since 1970, or a Date; Infinity: never. */
  readonly deadline?: number | Date | undefined
}

/** What one call may take. */
export interface ExecuteOptions {
  /** Ends it with `ERR_MILLRACE_ABORTED`, whatever it is at. */
  readonly signal?: AbortSignal | undefined
  /** Milliseconds for all attempts and pauses, from now; the earliest of all limits counts. */
  readonly total?: number | undefined
  /** When that is over: a Date, or milliseconds since 1970; Infinity: never. */
  readonly deadline?: number | Date | undefined
  /** The call of a handler of `millrace/rpc`, for which this one is made: it ends no later than that, and with it. */
  readonly within?: WithinLimits | undefined
  /** May it be made twice? Default: what `resilient` was told. */
  readonly idempotent?: boolean | undefined
}

/** What an attempt is told. It can be given to a call of `millrace/rpc` as `within`. */
export interface AttemptContext {
  /** Aborts when nobody waits for this attempt any more. */
  readonly signal: AbortSignal
  /** When the call is over, in milliseconds since 1970; Infinity: never. */
  readonly deadline: number
  /** 0 for the first one. */
  readonly attempt: number
}

/** @internal */
export interface GivenRetry {
  readonly attempts: number
  readonly base: number
  readonly cap: number
  readonly when: RetryOptions['when']
  readonly onRetry: RetryOptions['onRetry']
}

/** @internal */
export interface GivenBreaker {
  readonly failures: number
  readonly halfOpenAfter: number
  readonly counts: BreakerOptions['counts']
}

/** @internal Options that were read: of each policy nothing, what to make it of, or itself. */
export interface Given {
  readonly retry: undefined | { made: Policy } | { of: GivenRetry }
  readonly breaker: undefined | { made: Policy } | { shared: SharedBreaker } | { of: GivenBreaker }
  readonly timeout: undefined | { made: Policy } | { of: number }
  readonly bulkhead: undefined | { made: Policy } | { of: { limit: number; queue: number } }
  readonly idempotent: boolean
  readonly total: number
}

/** @internal One call's, with its deadline by the clock of base/time. */
export interface GivenCall {
  readonly signals: readonly AbortSignal[]
  readonly until: number
  readonly idempotent: boolean
}

const names = ['retry', 'breaker', 'timeout', 'bulkhead', 'idempotent', 'total'] as const
const callNames = ['signal', 'total', 'deadline', 'within', 'idempotent'] as const
const most = 1_000_000

/** @throws MillraceError `INVALID_ARGUMENT` */
export function readResilience(given: ResilienceOptions | undefined): Given {
  const options = checkOptions(given, names)
  return {
    retry: part('retry', options.retry, readRetry),
    breaker:
      options.breaker instanceof SharedBreaker
        ? { shared: options.breaker }
        : part('breaker', options.breaker, readBreaker),
    timeout: part('timeout', options.timeout, readTimeout),
    bulkhead:
      options.bulkhead === undefined ? undefined : part('bulkhead', options.bulkhead, readBulkhead),
    idempotent: flag(options, 'idempotent'),
    total: duration(options, 'total', Infinity),
  }
}

/** @throws MillraceError `INVALID_ARGUMENT`, `ABORTED` */
export function readCall(given: ExecuteOptions | undefined, all: Given): GivenCall {
  const options = checkOptions(given, callNames)
  const within = readWithin(options.within)
  const signals = [checkSignal(options.signal), checkSignal(within.signal)].filter(
    (signal) => signal !== undefined,
  )
  const total = Math.min(duration(options, 'total', Infinity), all.total)
  const left = Math.min(total, leftUntil(options.deadline), leftUntil(within.deadline))
  const idempotent = options.idempotent === undefined ? all.idempotent : flag(options, 'idempotent')
  for (const signal of signals) if (signal.aborted) throw abortedError(signal)
  return { signals, until: left === Infinity ? Infinity : now() + left, idempotent }
}

function part<T, Made>(
  what: string,
  given: false | T | Policy | undefined,
  read: (given: T | undefined) => Made,
): undefined | { made: Policy } | { of: Made } {
  if (given === false) return undefined
  if (isPolicy(given)) return { made: given }
  if (given === null) throw invalidArgument(`${what} must be options, false or a policy, not null`)
  return { of: read(given) }
}

function isPolicy(given: unknown): given is Policy {
  return (
    typeof given === 'object' &&
    typeof (given as { readonly execute?: unknown } | null)?.execute === 'function'
  )
}

function readRetry(given: RetryOptions | undefined): GivenRetry {
  const options = checkOptions(given, ['attempts', 'base', 'cap', 'when', 'onRetry'])
  const { when, onRetry } = options
  if (when !== undefined) checkFunction('when', when)
  if (onRetry !== undefined) checkFunction('onRetry', onRetry)
  return {
    attempts: wholeNumber(options, 'attempts', 3, [0, most]),
    base: duration(options, 'base', 50),
    cap: duration(options, 'cap', 5000),
    when,
    onRetry,
  }
}

function readBreaker(given: BreakerOptions | undefined): GivenBreaker {
  const options = checkOptions(given, ['failures', 'halfOpenAfter', 'counts'])
  if (options.counts !== undefined) checkFunction('counts', options.counts)
  return {
    failures: wholeNumber(options, 'failures', 5, [1, most]),
    halfOpenAfter: duration(options, 'halfOpenAfter', 10_000),
    counts: options.counts,
  }
}

function readTimeout(given: number | undefined): number {
  return duration({ timeout: given }, 'timeout', 10_000)
}

function readBulkhead(given: number | BulkheadOptions | undefined): {
  limit: number
  queue: number
} {
  const options = checkOptions(typeof given === 'number' ? { limit: given } : given, [
    'limit',
    'queue',
  ])
  if (options.limit === undefined) throw invalidArgument('bulkhead must have a limit')
  return {
    limit: wholeNumber(options, 'limit', 1, [1, most]),
    queue: wholeNumber(options, 'queue', 0, [0, most]),
  }
}

/** The context of a handler has more than its limits. */
function readWithin(given: unknown): NonNullable<ExecuteOptions['within']> {
  if (given === undefined) return {}
  if (typeof given === 'object' && given !== null) return given
  throw invalidArgument(`within must be the context of a handler, not ${show(given)}`)
}

/** Milliseconds. */
function leftUntil(deadline: unknown): number {
  if (deadline === undefined) return Infinity
  const at = deadline instanceof Date ? deadline.getTime() : deadline
  if (typeof at !== 'number' || Number.isNaN(at)) {
    throw invalidArgument(
      `deadline must be a Date or a number of milliseconds since 1970, not ${show(deadline)}`,
    )
  }
  return at === Infinity ? Infinity : Math.max(at - today(), 0)
}
