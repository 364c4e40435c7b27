// Messages that go to every subscriber, by what carries them.

import type { BusName } from '../../side/buses/bus.js'
import type { Parameters } from '../../side/parameters.js'
import type { Row } from '../row.js'
import { spinningCores } from '../pinning.js'
import type { ServerName } from '../servers/servers.js'
import { ofCase, row, size } from './making.js'

const bytes = 64
const many = 4
/** So many messages the publisher is ahead at most: millrace's log holds that many; where nothing does, the publisher waits. */
const window = 4096
/** Timed together: many times what fits into the log, or the publisher's pace would be taken for that of all. */
const block = 4 * window

interface Peer {
  readonly what: string
  readonly bus: BusName
  readonly peers: readonly string[]
  readonly server?: ServerName
}
const carriers: readonly Peer[] = [
  { what: 'millrace', bus: 'millrace', peers: [] },
  { what: 'millrace, batches', bus: 'millraceBatches', peers: [] },
  { what: 'zeromq PUB and SUB', bus: 'zeromq', peers: ['zeromq'] },
  { what: 'NATS', bus: 'nats', peers: ['@nats-io/transport-node'], server: 'nats' },
]

function fanOut(): Row[] {
  const name = (what: string) => `topic ${size(bytes)} to ${String(many)} subscribers: ${what}`
  const facts = { unit: 'message', waiting: 'waiting' } as const
  const parameters = { bytes, many, block }
  return carriers.map(({ what, bus, peers, server }) => {
    const limited = { ...parameters, ...(peers.length === 0 ? { log: window } : { window }) }
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

/** What a publisher pays for who is there. */
function publishing(): Row[] {
  const facts = { unit: 'message', waiting: 'spinning', cores: spinningCores } as const
  const name = (what: string) => `topic publish ${size(bytes)}: ${what}`
  const ofPublish = (parameters: Partial<Parameters>) =>
    ofCase('topic-publish', { bytes, ...parameters })
  return [
    row(name('no subscriber'), ofPublish({ many: 0 }), facts),
    row(name('8 subscribers of others'), ofPublish({ many: 0, others: 8 }), facts),
    row(name('1 subscriber'), ofPublish({ many: 1 }), facts),
    row(
      name('100 subscribers of 10,000 subjects'),
      ofPublish({ many: 100, subjects: 10_000 }),
      facts,
    ),
    row(`publish ${size(bytes)}: 1 reader`, ofCase('frame-fanout', { bytes, many: 1 }), {
      ...facts,
      unit: 'frame',
    }),
  ]
}

export const topics: readonly Row[] = [...fanOut(), ...publishing()]
