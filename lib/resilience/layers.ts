// The policies, each as a function around the next: retry(breaker(timeout(bulkhead(call)))). What cockatiel rejects with becomes an error
// of this package at the policy that it comes from, so that those around it know what has happened.

import { now } from '../base/time.js'
import { MillraceError } from '../errors.js'
import type { SharedBreaker } from './breaker.js'
import {
  CircuitState,
  isFromCockatiel,
  type Backoff,
  type Cockatiel,
  type Policy,
  type RetryContext,
} from './cockatiel.js'
import { judgementOf, wasInterrupted, worthRetrying, type Judgement } from './judgement.js'
import type { OneCall } from './one-call.js'
import type { Given, GivenBreaker, GivenRetry } from './options.js'

/** What is beneath: the call, or the policies within. */
export type Inner<T> = (signal: AbortSignal) => Promise<T>
export type Layer = <T>(call: OneCall, inner: Inner<T>) => Inner<T>

export const noLayer: Layer = (_call, inner) => inner

/** Errors that policies of ours have made, which say nothing about what is called. */
const ours = new WeakSet<object>()

function own(error: MillraceError): MillraceError {
  ours.add(error)
  return error
}

/** What an error says of what is called. */
function judged(error: unknown, counts: (error: unknown) => Judgement): Judgement {
  if (typeof error === 'object' && error !== null && ours.has(error)) return 'nothing'
  return counts(error)
}

export function bulkheadLayer(cockatiel: Cockatiel | undefined, given: Given['bulkhead']): Layer {
  if (given === undefined) return noLayer
  const policy = 'made' in given ? given.made : cockatiel!.bulkhead(given.of.limit, given.of.queue)
  return (_call, inner) => async (signal) => {
    try {
      return await policy.execute(() => inner(signal), signal)
    } catch (error) {
      if (isFromCockatiel(error, 'isTaskCancelledError') && signal.aborted) throw signal.reason
      if (!isFromCockatiel(error, 'isBulkheadRejectedError')) throw error
      throw own(
        new MillraceError(
          'ERR_MILLRACE_BUSY',
          'as many calls as the bulkhead allows are on their way, and wait; try again later, or allow more',
          { cause: error, executed: 'no' },
        ),
      )
    }
  }
}

export function timeoutLayer(cockatiel: Cockatiel | undefined, given: Given['timeout']): Layer {
  if (given === undefined || ('of' in given && given.of === Infinity)) return noLayer
  const policy = 'made' in given ? given.made : cockatiel!.timeout(given.of, 'aggressive')
  const long = 'made' in given ? 'the time that was given' : `${String(given.of)} ms`
  return (call, inner) => async (signal) => {
    const before = call.attempts
    try {
      return await policy.execute((context) => inner(context.signal), signal)
    } catch (error) {
      if (!isFromCockatiel(error, 'isTaskCancelledError')) throw error
      if (signal.aborted) throw signal.reason
      const begun = call.attempts > before
      const late = new MillraceError(
        'ERR_MILLRACE_TIMEOUT',
        `the call did not end within ${long}; see what it waits for, or allow more time`,
        { cause: error, executed: begun ? 'unknown' : 'no' },
      )
      throw begun ? late : own(late)
    }
  }
}

/** The layer, and whether a call that was made now would be refused. */
export interface BreakerLayer {
  readonly layer: Layer
  readonly isOpen: () => boolean
}

export function breakerLayer(
  cockatiel: Cockatiel | undefined,
  given: Given['breaker'],
): BreakerLayer {
  if (given === undefined) return { layer: noLayer, isOpen: () => false }
  if ('shared' in given) return sharedLayer(given.shared)
  const policy = 'made' in given ? given.made : cockatielBreaker(cockatiel!, given.of)
  return {
    layer: (_call, inner) => async (signal) => {
      try {
        return await policy.execute(() => inner(signal), signal)
      } catch (error) {
        if (isFromCockatiel(error, 'isTaskCancelledError') && signal.aborted) throw signal.reason
        if (!isFromCockatiel(error, 'isBrokenCircuitError')) throw error
        throw new MillraceError(
          'ERR_MILLRACE_CIRCUIT_OPEN',
          'the circuit breaker is open: what is called has failed; see what is wrong there, and do not try again at once',
          { cause: error, executed: 'no' },
        )
      }
    },
    isOpen: () => {
      const { state } = policy as { readonly state?: unknown }
      return state === CircuitState.open || state === CircuitState.isolated
    },
  }
}

function cockatielBreaker(
  cockatiel: Cockatiel,
  { failures, halfOpenAfter, counts = judgementOf }: GivenBreaker,
): Policy & { readonly state: number } {
  const policy = cockatiel.circuitBreaker(
    cockatiel.handleWhen((error) => {
      const judgement = judged(error, counts)
      // What it is not to handle closes it when it tries: a trial that says nothing is to leave it open.
      if (policy.state === CircuitState.halfOpen) return judgement !== 'success'
      return judgement === 'failure'
    }),
    { halfOpenAfter, breaker: new cockatiel.ConsecutiveBreaker(failures) },
  )
  return policy
}

function sharedLayer(breaker: SharedBreaker): BreakerLayer {
  return {
    layer: (_call, inner) => (signal) =>
      breaker.execute(
        () => inner(signal),
        signal,
        (error) => judged(error, judgementOf),
      ),
    isOpen: () => breaker.state === 'open' && breaker.retryAfter > 0,
  }
}

/** The calls on their way, by the signals that cockatiel hands on. */
const calls = new WeakMap<AbortSignal, OneCall>()

export function retryLayer(
  cockatiel: Cockatiel | undefined,
  given: Given['retry'],
  isOpen: () => boolean,
): Layer {
  if (given === undefined) return noLayer
  const policy =
    'made' in given
      ? given.made
      : cockatiel!.retry(cockatiel!.handleAll, {
          maxAttempts: given.of.attempts,
          backoff: { next: (context) => pauseAfter(context, given.of, isOpen) },
        })
  return (call, inner) => (signal) => {
    calls.set(signal, call)
    return policy.execute(async () => {
      await call.pause()
      return await inner(signal)
    }, signal)
  }
}

/**
 * Before each retry: throws what the attempt before rejected with, if it is not to be made. The pause is our own, by timers of the system,
 * and ends with the call.
 */
function pauseAfter(
  { attempt, signal, result }: RetryContext,
  given: GivenRetry,
  isOpen: () => boolean,
): Backoff {
  const { error } = result
  const call = calls.get(signal)!
  const { idempotent } = call
  const isWorth = given.when?.(error, { idempotent }) ?? worthRetrying(error, { idempotent })
  if (!isWorth || isBroken(error) || isOpen()) throw error
  const delay = wasInterrupted(error) ? 0 : fullJitter(attempt, given)
  if (now() + delay >= call.until) throw error
  given.onRetry?.({ error, attempt, delay })
  call.pauseFor(delay)
  return { duration: 0, next: (context) => pauseAfter(context, given, isOpen) }
}

function isBroken(error: unknown): boolean {
  return error instanceof MillraceError && error.code === 'ERR_MILLRACE_CIRCUIT_OPEN'
}

/** Any time up to an end that doubles: those who failed together do not come again together. */
function fullJitter(attempt: number, { base, cap }: GivenRetry): number {
  return Math.random() * Math.min(cap, base * 2 ** (attempt - 1))
}
