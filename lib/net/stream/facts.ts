// What the transport says of a stream.

import type { Peer, Traits } from '../channel.js'
import type { Connection, Transport } from '../transport.js'

export interface StreamFacts {
  readonly address: string
  readonly peer: Peer
  readonly traits: Omit<Traits, 'maxBytes'>
  /** Milliseconds of silence, if the program does not say; 0: death is told. */
  readonly heartbeat: number
  /** Does `send` wait until it is written? */
  readonly confirms: boolean
  /** Default true: `end()` can be told to the other side. */
  readonly halfCloses?: boolean
  /** Why the stream has ended, if it is not that the other side is gone. */
  readonly why: (() => Error | undefined) | undefined
}

export function factsOf(
  {
    peer,
    directions,
    confirms = false,
    why,
  }: Extract<Connection, { readonly channel?: undefined; readonly link?: undefined }>,
  address: string,
  { traits, heartbeat = 0 }: Transport,
): StreamFacts {
  const way = directions ?? traits.directions
  return { address, peer, traits: { ...traits, directions: way }, heartbeat, confirms, why }
}
