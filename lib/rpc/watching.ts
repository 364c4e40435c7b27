// Where who looks on sees calls: around the functions of clients, and around the handlers of servers. What is done for them is in
// traced-calls.ts, which is loaded with the first of them.

import { calling, processing } from '../base/tracing.js'
import type { MethodPlan } from './methods.js'
import type { CallOptions } from './options.js'
import type { AnyHandler } from './streams/server.js'
import type { ServedAt } from './traced-calls.js'

type Function = (input: unknown, options?: CallOptions) => unknown

/** A function of a client, which whoever looks on sees. */
export function watched(plan: MethodPlan, at: ServedAt, method: Function): Function {
  const made: Function = (input, options) =>
    calling.yes
      ? tracedCalls().tracedCall(plan, at, options, (those) => method(input, those))
      : method(input, options)
  // What it has beside being called.
  return Object.defineProperties(made, own(method))
}

function own(method: Function): PropertyDescriptorMap {
  const loan = Object.getOwnPropertyDescriptor(method, 'loan')
  return loan === undefined ? {} : { loan }
}

/** A handler of a server, likewise. */
export function watchedHandler(plan: MethodPlan, at: ServedAt, handler: AnyHandler): AnyHandler {
  return (input, context) =>
    processing.yes
      ? tracedCalls().tracedHandler(plan, at, context, () => handler(input, context))
      : handler(input, context)
}

function tracedCalls(): typeof import('./traced-calls.js') {
  return require('./traced-calls.js') as typeof import('./traced-calls.js')
}
