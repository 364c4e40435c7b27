// What who looks on is shown of calls: from the client's side until the answer or the last item, and of the handler.

import type { CallTrace, ProcessTrace } from '../base/traced.js'
import { isPromise } from '../base/promised.js'
import { calling, processing, traced } from '../base/tracing.js'
import type { HandlerContext } from './contract.js'
import type { MethodPlan } from './methods.js'
import { onceNames, type CallOptions } from './options.js'

const { carrying, trace, traceHandler, traceItems } = traced()

/** What is served, and where. */
export interface ServedAt {
  readonly address: string
  /** The name of the contract. */
  readonly contract: string
}

export function tracedCall(
  { kind, name }: MethodPlan,
  { address, contract }: ServedAt,
  options: CallOptions | undefined,
  call: (options: CallOptions | undefined) => unknown,
): unknown {
  const given = options?.traceparent ?? options?.within?.traceparent
  const context: CallTrace = {
    operation: kind,
    destination: address,
    contract,
    method: name,
    traceparent: given,
  }
  const made = (): unknown => {
    const { traceparent } = context
    return call(traceparent === given ? options : carrying(options, onceNames, traceparent))
  }
  return kind === 'call' || kind === 'upload'
    ? trace(calling, context, made)
    : traceItems(calling, context, made)
}

export function tracedHandler(
  { kind, name }: MethodPlan,
  { address, contract }: ServedAt,
  given: HandlerContext,
  handler: () => unknown,
): unknown {
  const { traceparent } = given
  const context: ProcessTrace = {
    ...{ operation: kind, kind: 'calls', destination: address, contract, source: name },
    ...{ subject: undefined, id: undefined, attempt: 1, count: 1, bytes: 0 },
    traceparent,
    traceparents: traceparent === undefined ? [] : [traceparent],
    ...{ given, settled: undefined, around: undefined },
  }
  if (kind === 'call' || kind === 'upload') return traceHandler(context, handler, () => undefined)
  const made = traceItems(processing, context, handler)
  // One that gives its items later is seen until it does.
  return isPromise(made) ? Promise.resolve(made) : made
}
