// The suite for the patterns: what work queues, topics and calls promise, whatever lies between who has them and who uses them.

import type { RemoteOptions, ShareOptions } from '../../net/share.js'
import { checkOptions, duration, show } from '../../base/options.js'
import { invalidArgument } from '../../errors.js'
import { suiteOf, type Asked, type Conformance } from '../suite.js'
import { calls } from './calls.js'
import { PatternScene, type Reaching } from './scene.js'
import { topics } from './topics.js'
import { work } from './work.js'

/** How a transport is put through the suite for patterns. */
export interface PatternConformanceOptions {
  /** Options of whoever connects, as certificates. */
  readonly connecting?: RemoteOptions | undefined
  /** Options of whoever shares or serves. */
  readonly listening?: ShareOptions | undefined
  /** Milliseconds that a case may take; default 20 000. */
  readonly patience?: number | undefined
}

const behaviours: readonly Asked<PatternScene>[] = [...work, ...topics, ...calls]

/**
 * A suite that any transport can be put through: it asks work queues, topics and calls for everything that they promise where two sides
 * are connected by that transport. Connections are cut for it: the scheme is used as `conformance+SCHEME` as well, which is registered
 * when it is first needed.
 *
 * ```js
 * import test from 'node:test'
 * import { patternConformance } from 'millrace/net/conformance'
 *
 * for (const { name, run } of patternConformance('tcp://127.0.0.1:0').cases) test(name, run)
 * ```
 *
 * @param address - where is shared and served, in each case anew: an address, with port 0 or the like, or a function that makes one;
 *   undefined: nowhere, all go through this machine's memory. What is about connections is not claimed then
 * @throws MillraceError `INVALID_ARGUMENT`
 */
export function patternConformance(
  address: string | (() => string | Promise<string>) | undefined,
  options?: PatternConformanceOptions,
): Conformance {
  const given = checkOptions(options, ['connecting', 'listening', 'patience'])
  if (address !== undefined && typeof address !== 'string' && typeof address !== 'function') {
    throw invalidArgument(
      `the address must be a string, or a function that makes one, not ${show(address)}`,
    )
  }
  const patience = duration(given, 'patience', 20_000)
  const reaching: Reaching = {
    address: typeof address === 'string' ? () => address : address,
    connecting: given.connecting ?? {},
    listening: given.listening ?? {},
  }
  return suiteOf(behaviours, patience, () => new PatternScene(reaching))
}
