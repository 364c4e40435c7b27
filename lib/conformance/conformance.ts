// The suite for channels.

import type { Channel, Listener } from '../net/channel.js'
import type { ConnectOptions, ListenOptions } from '../net/options.js'
import { checkOptions, duration, show } from '../base/options.js'
import { invalidArgument } from '../errors.js'
import { connecting } from './connecting.js'
import { ending } from './ending.js'
import { messages } from './messages.js'
import { Scene, type ConformanceEnds, type Making } from './scene.js'
import { suiteOf, type Asked, type Conformance } from './suite.js'

/** How a transport is put through the suite. */
export interface ConformanceOptions {
  /** What connects; default: `connect` of `millrace/net`. */
  readonly connect?: ((address: string, options: ConnectOptions) => Promise<Channel>) | undefined
  /** What listens; default: `listen` of `millrace/net`. */
  readonly listen?: ((address: string, options: ListenOptions) => Promise<Listener>) | undefined
  /** What makes both ends at once, where nobody listens; what is about listeners is not claimed then. */
  readonly pair?: ((options: ConnectOptions) => Promise<ConformanceEnds>) | undefined
  /** Options of whoever connects, as certificates. */
  readonly connecting?: ConnectOptions | undefined
  /** Options of whoever listens. */
  readonly listening?: ListenOptions | undefined
  /** Addresses of its scheme that are none; default: the scheme with nothing behind it. */
  readonly wrong?: readonly string[] | undefined
  /** Milliseconds that a case may take; default 20 000. */
  readonly patience?: number | undefined
}

const behaviours: readonly Asked<Scene>[] = [...connecting, ...messages, ...ending]

/**
 * A suite that any transport can be put through: it asks for everything that a channel promises, and for nothing that the transport does
 * not claim.
 *
 * ```js
 * import test from 'node:test'
 * import { conformance } from 'millrace/net/conformance'
 *
 * for (const { name, run } of conformance('tcp://127.0.0.1:0').cases) test(name, run)
 * ```
 *
 * @param address - where it listens, in each case anew: an address, with port 0 or the like, or a function that makes one
 * @throws MillraceError `INVALID_ARGUMENT`
 */
export function conformance(
  address: string | (() => string | Promise<string>),
  options?: ConformanceOptions,
): Conformance {
  const given = checkOptions(options, [
    ...['connect', 'listen', 'pair', 'connecting', 'listening', 'wrong', 'patience'],
  ] as (keyof ConformanceOptions)[])
  if (typeof address !== 'string' && typeof address !== 'function') {
    throw invalidArgument(
      `the address must be a string, or a function that makes one, not ${show(address)}`,
    )
  }
  for (const key of ['connect', 'listen', 'pair'] as const) {
    if (given[key] === undefined || typeof given[key] === 'function') continue
    throw invalidArgument(`${key} must be a function, not ${show(given[key])}`)
  }
  const patience = duration(given, 'patience', 20_000)
  const making: Making = {
    address: typeof address === 'string' ? () => address : address,
    connect: given.connect ?? ((...from) => net().connect(...from)),
    listen: given.listen ?? ((...from) => net().listen(...from)),
    pair: given.pair,
    connecting: given.connecting ?? {},
    listening: given.listening ?? {},
    wrong: given.wrong,
  }
  return suiteOf(behaviours, patience, () => new Scene(making))
}

const net = (): typeof import('../net/connect.js') =>
  require('../net/connect.js') as typeof import('../net/connect.js')
