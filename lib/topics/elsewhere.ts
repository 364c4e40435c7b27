// Buses whose memory is elsewhere. What opens them stands on a floor above, and is loaded when the first one is opened; the entry
// point says from where.

import type { RemoteOptions, Share, ShareOptions } from '../net/share.js'

/** What the program says of the bus: it must be so. */
export interface TopicsWanted {
  readonly messages: number | undefined
  readonly subjects: number | undefined
  readonly subscriptions: number | undefined
  readonly seats: number | undefined
}

/** What the floor above can do. */
export interface Elsewhere {
  /** A bus, as its user sees it. */
  openTopics(address: string, wanted: TopicsWanted, connection: RemoteOptions | undefined): object
  /** Of a bus of this machine's memory. */
  shareTopics(bus: object, address: string, options: ShareOptions | undefined): Promise<Share>
}

let load: (() => Elsewhere) | undefined

/** @internal Once, by the entry point. */
export function topicsElsewhere(loader: () => Elsewhere): void {
  load = loader
}

export function elsewhere(): Elsewhere {
  return load!()
}
