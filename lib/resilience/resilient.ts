// Calls under policies, nested as they should be.

import { loadCockatiel, type Cockatiel } from './cockatiel.js'
import { breakerLayer, bulkheadLayer, retryLayer, timeoutLayer, type Layer } from './layers.js'
import { checkFunction } from '../base/options.js'
import { OneCall } from './one-call.js'
import {
  readCall,
  readResilience,
  type AttemptContext,
  type ExecuteOptions,
  type Given,
  type ResilienceOptions,
} from './options.js'
import { wrapped, type WrapOptions } from './wrap.js'

/** Policies around calls, made by {@link resilient}. */
export interface Resilient {
  /**
   * Calls `work` under the policies, and resolves with what it resolves with. The signal, or the time, ends the call at once, whatever
   * `work` does then; no attempt is begun after that, nor a pause that would last as long.
   *
   * @throws MillraceError (as rejection) `CIRCUIT_OPEN`, `BUSY` (the bulkhead is full), `TIMEOUT`, `ABORTED`, `MISSING_PEER` (cockatiel is
   *   not installed), `INVALID_ARGUMENT`; and what `work` rejects with the last time
   */
  execute<T>(
    work: (context: AttemptContext) => T | PromiseLike<T>,
    options?: AbortSignal | ExecuteOptions,
  ): Promise<T>
  /**
   * The object, with its functions under the policies: those of a client of `millrace/rpc` that have one answer, and of any other object
   * those that it has itself, or that `methods` names. All else is as it was.
   */
  wrap<T extends object>(target: T, options?: WrapOptions): T
}

/**
 * Policies around calls: retry, circuit breaker, time-out and bulkhead of the package `cockatiel`, in the order that makes sense,
 * `retry(breaker(timeout(bulkhead(call))))`, with the knowledge of which errors are worth a retry (`worthRetrying`) and which say that
 * what is called is broken (`judgementOf`). It is loaded with the first call.
 *
 * @example
 * ```ts
 * import { resilient, SharedBreaker } from 'millrace/resilience'
 *
 * const policies = resilient({ retry: { attempts: 5 }, breaker: SharedBreaker.open('site'), timeout: 500 })
 * const answer = await policies.execute(({ signal }) => fetch('http://127.0.0.1:8080/', { signal }))
 * ```
 *
 * @throws MillraceError `INVALID_ARGUMENT`
 */
export function resilient(options?: ResilienceOptions): Resilient {
  const given = readResilience(options)
  let policies: Promise<Layer> | undefined
  const execute: Resilient['execute'] = async (work, limits) => {
    checkFunction('work', work)
    const call = new OneCall(
      readCall(limits instanceof AbortSignal ? { signal: limits } : limits, given),
    )
    policies ??= nested(given).catch((error: unknown) => {
      policies = undefined // it may be installed meanwhile
      throw error
    })
    const layer = await policies
    return await call.run(() =>
      layer(call, async (signal) => {
        const attempt = call.attempts++
        return await work({ signal, attempt, deadline: call.deadline })
      })(call.signal),
    )
  }
  return { execute, wrap: (target, how) => wrapped(target, execute, how) }
}

/** retry(breaker(timeout(bulkhead(call)))) */
async function nested(given: Given): Promise<Layer> {
  const { retry, timeout, bulkhead } = given
  const isNeeded = [retry, given.breaker, timeout, bulkhead].some(
    (part) => part !== undefined && 'of' in part,
  )
  const cockatiel: Cockatiel | undefined = isNeeded ? await loadCockatiel() : undefined
  const breaker = breakerLayer(cockatiel, given.breaker)
  const layers = [
    bulkheadLayer(cockatiel, bulkhead),
    timeoutLayer(cockatiel, timeout),
    breaker.layer,
    retryLayer(cockatiel, retry, breaker.isOpen),
  ]
  return (call, work) => layers.reduce((inner, layer) => layer(call, inner), work)
}
