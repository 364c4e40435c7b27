// How a gateway comes back to an engine or a host that was away, if nobody says otherwise: one process does that for a whole host, so it
// may look more often than each of many clients, and carries again within a second.

import type { RemoteOptions } from '../net/share.js'
import { addressElsewhere } from '../place/elsewhere.js'
import type { Topics } from '../topics/topics.js'

const usual = { base: 50, cap: 500 }

/** What `place` is connected to by; undefined: it is in this machine's memory, and nothing was said. */
export function connectionTo(
  place: string,
  given: RemoteOptions | undefined,
): RemoteOptions | undefined {
  if (addressElsewhere(place) === undefined || given?.reconnect !== undefined) return given
  return { ...given, reconnect: usual }
}

/** So that whoever listens there is connected when the first message comes. Memory needs no connection. */
export function willPublish(target: Topics): void {
  const elsewhere = target as { willPublish?(): void }
  elsewhere.willPublish?.()
}
