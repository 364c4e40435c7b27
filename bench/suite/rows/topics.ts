// Messages that go to every subscriber, by what carries them.

import type { BusName } from '../../side/buses/bus.js'
import type { Row } from '../row.js'
import type { ServerName } from '../servers/servers.js'
import { ofCase, row, size } from './making.js'

const bytes = 64
const many = 4
/** Where nothing else holds the publisher back, it is so many messages ahead at most. */
const window = 4096

interface Peer {
  readonly what: string
  readonly bus: BusName
  readonly peers: readonly string[]
  readonly server?: ServerName
}
const carriers: readonly Peer[] = [
  { what: 'zeromq PUB and SUB', bus: 'zeromq', peers: ['zeromq'] },
  { what: 'NATS', bus: 'nats', peers: ['@nats-io/transport-node'], server: 'nats' },
]

function fanOut(): Row[] {
  const name = (what: string) => `topic ${size(bytes)} to ${String(many)} subscribers: ${what}`
  const facts = { unit: 'message', waiting: 'waiting' } as const
  const parameters = { bytes, many, block: 1024 }
  return carriers.map(({ what, bus, peers, server }) => {
    const limited = peers.length === 0 ? parameters : { ...parameters, window }
    return row(
      name(what),
      {
        ...ofCase('topic-fanout', { ...limited, bus }, ...peers),
        ...(server === undefined ? {} : { server }),
      },
      facts,
    )
  })
}

export const topics: readonly Row[] = fanOut()
