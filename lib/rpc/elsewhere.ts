// Calls that do not go through this machine's memory. What makes them stands on a floor above, and is loaded when the first such
// address is named; the entry point says from where.

import type { WaitOptions } from '../base/options.js'
import type { ConnectionOptions } from '../net/options.js'
import type { RemoteOptions, ShareOptions } from '../net/share.js'
import type { Contract } from './contract.js'
import type { ConnectionOptions as StreamOptions } from './streams/options.js'
import type { ServedMethod } from './streams/server.js'

/** What is said of the memory, which there is none of there. */
interface WithoutMemory {
  readonly native?: { readonly stats: boolean } | undefined
}

/** How a contract is served there. */
export interface ServedElsewhere extends WithoutMemory {
  readonly concurrency: number
  readonly drainMs: number
  readonly signal: AbortSignal | undefined
  readonly connection: ShareOptions | undefined
  /** Of each client's connection. */
  readonly streams: StreamOptions
  /** What is told of the contract to who asks. */
  readonly describe: () => object
}

/** How it is called there. */
export interface ConnectedElsewhere extends WithoutMemory {
  readonly waitMs: number
  readonly signal: AbortSignal | undefined
  readonly connection: RemoteOptions | undefined
  readonly streams: StreamOptions
}

/** How it is asked for what it is. */
export interface AskedElsewhere {
  readonly wait: WaitOptions
  readonly connection: ConnectionOptions | undefined
}

/** What the floor above can do. */
export interface Elsewhere {
  /** A server, as its user sees it. */
  serveCalls(
    address: string,
    contract: Contract,
    methods: readonly ServedMethod[],
    given: ServedElsewhere,
  ): Promise<object>
  /** A client, as its user sees it. */
  connectCalls(address: string, contract: Contract, given: ConnectedElsewhere): Promise<object>
  /** What `describe` tells of the contract that is served there. */
  describeCalls(address: string, given: AskedElsewhere): Promise<unknown>
}

let load: (() => Elsewhere) | undefined

/** @internal Once, by the entry point. */
export function callsElsewhere(loader: () => Elsewhere): void {
  load = loader
}

export function elsewhere(): Elsewhere {
  return load!()
}
