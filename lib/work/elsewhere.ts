// Queues whose memory is elsewhere. What opens them stands on a floor above, and is loaded when the first one is opened; the entry
// point says from where.

import type { RemoteOptions, Share, ShareOptions } from '../net/share.js'
import type { readWork, workAt } from './working.js'

/** What a queue elsewhere needs of the classes of this room. */
export interface WorkParts {
  readonly readWork: typeof readWork
  readonly workAt: typeof workAt
}

/** What the program says of the queue: it must be so. */
export interface WorkWanted {
  readonly jobs: number | undefined
  readonly bytes: number | undefined
  readonly levels: number | undefined
  readonly seats: number | undefined
  /** 0: Infinity. */
  readonly attempts: number | undefined
  readonly durability: number | undefined
  /** Dead letters that are kept. */
  readonly dead: number | undefined
  readonly deadBytes: number | undefined
  readonly windowMs: number | undefined
  readonly leaseMs: number | undefined
  /** Is counted how long jobs take? Not over a connection. */
  readonly stats?: boolean | undefined
  /** Of a queue of an engine: does nobody else take there? */
  readonly alone?: boolean | undefined
  /** Likewise: so many are always wanted. */
  readonly ahead?: number | undefined
}

/** What the floor above can do. */
export interface Elsewhere {
  /** A queue, as its user sees it. */
  openWork(
    address: string,
    wanted: WorkWanted,
    connection: RemoteOptions | undefined,
    parts: WorkParts,
  ): object
  /** Of a queue of this machine's memory. */
  shareWork(queue: object, address: string, options: ShareOptions | undefined): Promise<Share>
}

let load: (() => Elsewhere) | undefined

/** @internal Once, by the entry point. */
export function workElsewhere(loader: () => Elsewhere): void {
  load = loader
}

export function elsewhere(): Elsewhere {
  return load!()
}
