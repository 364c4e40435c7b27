/**
 * What keeps a program going when what it calls does not: retry, circuit breaker, time-out and bulkhead around calls; a rate and a breaker
 * that all processes of a host share.
 *
 * @module millrace/resilience
 */

export { BreakerPass } from './resilience/breaker-pass.js'
export {
  SharedBreaker,
  type BreakerState,
  type CockatielBreaker,
  type SharedBreakerOptions,
} from './resilience/breaker.js'
export type { Policy } from './resilience/cockatiel.js'
export { judgementOf, worthRetrying, type Judgement } from './resilience/judgement.js'
export type {
  AttemptContext,
  BreakerOptions,
  BulkheadOptions,
  ExecuteOptions,
  ResilienceOptions,
  RetryFacts,
  RetryOptions,
  WithinLimits,
} from './resilience/options.js'
export {
  SharedRateLimiter,
  type RateLimiterState,
  type SharedRateLimiterOptions,
  type TakeOptions,
  type TakeSyncOptions,
} from './resilience/rate-limiter.js'
export { resilient, type Resilient } from './resilience/resilient.js'
export type { WrapOptions } from './resilience/wrap.js'
