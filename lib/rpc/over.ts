// A contract over one connection: one side serves it, the other side calls, and the connection knows when either ends.

import { show } from '../base/options.js'
import { invalidArgument } from '../errors.js'
import { checkContract, type Client, type Contract, type Handlers } from './contract.js'
import { describe } from './described.js'
import type { FrameChannel } from './streams/channel.js'
import { StreamClient } from './streams/client.js'
import { readConnection, type ConnectionOptions } from './streams/options.js'
import { StreamServer, type AnyHandler } from './streams/server.js'

/**
 * Serves a contract over one channel: calls and streams, many at a time. It ends with the channel: when the other side closes, or
 * dies, the signals of all handlers abort, and the generators among them return.
 *
 * @throws MillraceError `INVALID_ARGUMENT`
 */
export function serveOver<C extends Contract>(
  channel: FrameChannel,
  contract: C,
  handlers: Handlers<C>,
  options?: ConnectionOptions,
): StreamServer {
  checkContract(contract)
  const given = readConnection(options)
  const methods = checkHandlers(contract, handlers)
  return new StreamServer(checkChannel(channel), given, methods)
}

/**
 * The functions of a contract that is served at the other side of a channel, and the connection itself. Nothing is sent for a stream
 * before its first item is asked for.
 *
 * @throws MillraceError `INVALID_ARGUMENT`
 */
export function connectOver<C extends Contract>(
  channel: FrameChannel,
  contract: C,
  options?: ConnectionOptions,
): Client<C> & StreamClient {
  checkContract(contract)
  const given = readConnection(options)
  for (const { name } of contract.plans) {
    if (name in StreamClient.prototype || name === 'ended') {
      throw invalidArgument(
        `a client has a '${name}' of its own: a function of the contract must be called something else`,
      )
    }
  }
  const client = new StreamClient(checkChannel(channel), given)
  for (const plan of contract.plans) {
    const { name, kind, idempotent } = plan
    const value = describe(client.methodOf(plan), { once: kind === 'call', idempotent })
    Object.defineProperty(client, name, { value, enumerable: true })
  }
  return client as Client<C> & StreamClient
}

/** @internal Its server does not know contexts of traces. */
export function withoutTraces(client: StreamClient): void {
  StreamClient.withoutTraces(client)
}

/**
 * @internal A handler for each function, in the order of their numbers.
 * @throws MillraceError `INVALID_ARGUMENT`
 */
export function checkHandlers(
  { plans, methods }: Contract,
  handlers: unknown,
): { readonly plan: Contract['plans'][number]; readonly handler: AnyHandler }[] {
  if (typeof handlers !== 'object' || handlers === null) {
    throw invalidArgument(
      `the handlers must be an object with a function for each of the contract's, not ${show(handlers)}`,
    )
  }
  const given = handlers as Readonly<Record<string, unknown>>
  for (const name of Object.keys(given)) {
    if (Object.hasOwn(methods, name)) continue
    throw invalidArgument(`the contract has no function '${name}' for this handler`)
  }
  return plans.map((plan) => {
    const handler = given[plan.name]
    if (typeof handler !== 'function') {
      throw invalidArgument(
        `the handler of ${plan.name}() must be a function, not ${show(handler)}`,
      )
    }
    return { plan, handler: (input, context) => handler.call(given, input, context) as unknown }
  })
}

const needed = ['trySend', 'send', 'receive', 'close'] as const

function checkChannel(channel: FrameChannel): FrameChannel {
  const given: unknown = channel
  if (typeof given !== 'object' || given === null) {
    throw invalidArgument(`the channel must be one of frames, not ${show(given)}`)
  }
  const lacking = needed.find(
    (method) => typeof (given as Record<string, unknown>)[method] !== 'function',
  )
  if (lacking !== undefined || !(channel.maxFrame >= 64)) {
    throw invalidArgument(
      `the channel must be one of frames, with ${needed.join(', ')} and a maxFrame of at least 64, as queueChannel() makes ` +
        `it of two queues, not ${show(given)}`,
    )
  }
  return channel
}
