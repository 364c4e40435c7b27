// A channel of what a transport hands over: a stream, or a link of whole messages, which becomes one.

import { streamOf } from '../link.js'
import type { GivenConnection } from '../options.js'
import type { Connection, Transport } from '../transport.js'
import type { Budget } from './budget.js'
import { StreamChannel } from './channel.js'
import { factsOf } from './facts.js'

export function channelOver(
  connection: Extract<Connection, { readonly channel?: undefined }>,
  address: string,
  transport: Transport,
  given: GivenConnection,
  budget?: Budget,
): StreamChannel {
  if (connection.link === undefined) {
    return new StreamChannel(
      connection.stream,
      factsOf(connection, address, transport),
      given,
      budget,
    )
  }
  const { link, peer } = connection
  const { stream, why } = streamOf(link)
  const facts = factsOf({ stream, peer, why }, address, transport)
  return new StreamChannel(stream, { ...facts, halfCloses: link.end !== undefined }, given, budget)
}
