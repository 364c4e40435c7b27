// What is used of cockatiel, an optional peer: loaded when the first policy of it is needed, and then once for all.

import { MillraceError } from '../errors.js'

/** What cockatiel hands to a backoff, as far as it is used. */
export interface RetryContext {
  /** Of the attempt that comes: 1 for the first retry. */
  readonly attempt: number
  readonly signal: AbortSignal
  readonly result: { readonly error?: unknown }
}

export interface Backoff {
  readonly duration: number
  next(context: RetryContext): Backoff
}

/** A policy of cockatiel, or whatever else calls a function under conditions of its own. */
export interface Policy {
  /** Calls `work`, or does not; resolves and rejects as it does, or as the policy has it. */
  execute<T>(
    work: (context: { readonly signal: AbortSignal }) => T | PromiseLike<T>,
    signal?: AbortSignal,
  ): Promise<T>
}

/** Its `CircuitState`. */
export const CircuitState = { closed: 0, open: 1, halfOpen: 2, isolated: 3 } as const

export interface Cockatiel {
  readonly handleAll: object
  handleWhen(predicate: (error: unknown) => boolean): object
  retry(
    policy: object,
    options: { maxAttempts: number; backoff: { next(context: RetryContext): Backoff } },
  ): Policy
  circuitBreaker(
    policy: object,
    options: { halfOpenAfter: number; breaker: object },
  ): Policy & { readonly state: number }
  readonly ConsecutiveBreaker: new (threshold: number) => object
  timeout(milliseconds: number, strategy: 'aggressive'): Policy
  bulkhead(limit: number, queue: number): Policy
}

const loaded: { cockatiel?: Promise<Cockatiel> } = {}

/** @throws MillraceError (as rejection) `MISSING_PEER` */
export function loadCockatiel(): Promise<Cockatiel> {
  return (loaded.cockatiel ??= load())
}

async function load(): Promise<Cockatiel> {
  const name = 'cockatiel' // a bundler does not look for it
  try {
    return (await import(name)) as Cockatiel
  } catch (cause) {
    delete loaded.cockatiel // it may be installed meanwhile
    throw new MillraceError(
      'ERR_MILLRACE_MISSING_PEER',
      'policies of millrace/resilience need the package cockatiel, which could not be loaded: npm install cockatiel',
      { cause },
    )
  }
}

/**
 * How its errors say what has happened, by properties that they have on purpose: several copies of it may be loaded.
 */
export function isFromCockatiel(
  error: unknown,
  which: 'isBrokenCircuitError' | 'isBulkheadRejectedError' | 'isTaskCancelledError',
): boolean {
  return (error as Record<string, unknown> | null | undefined)?.[which] === true
}
