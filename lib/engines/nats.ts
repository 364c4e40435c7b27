// NATS (nats://): work over JetStream, topics over its subjects, calls by requests.

import { invalidArgument, MillraceError } from '../errors.js'
import { natsCalls } from './nats/calls.js'
import { natsLibrary } from './nats/library.js'
import { natsPlace } from './nats/place.js'
import { natsTopics } from './nats/topics.js'
import { natsWork } from './nats/work.js'
import type { Engine, EngineTraits } from './port.js'

/** The longest that both of a stream and of the one with its dead letters have room for. */
const streamName = /^[\w-]{1,200}$/
/** What a subject begins with. */
const tokens = /^[^\s.*>/]+(?:\.[^\s.*>/]+)*$/

const traits: EngineTraits = {
  work: { leases: 'silence', death: 'timeout', priorities: false, groups: false },
  topics: { waits: false, replays: false, counts: false, redelivers: false },
}

export const nats: Engine = {
  name: 'NATS',
  at(address, connection) {
    const place = natsPlace(address, connection)
    natsLibrary()
    const { shown } = place
    return {
      shown,
      traits,
      streams: true,
      work(wanted) {
        if (!streamName.test(place.name)) {
          throw invalidArgument(
            `the address '${shown}' must name a queue, of letters, digits, - and _, as in 'nats://127.0.0.1:4222/thumbnails'`,
          )
        }
        if (wanted.durability === 'disk') {
          throw new MillraceError(
            'ERR_MILLRACE_UNSUPPORTED',
            `durability disk of '${shown}': JetStream confirms before what it keeps is on the disk; take durability file, and a server that syncs (sync_interval)`,
          )
        }
        return (signal) => natsWork(place, wanted, connection, signal)
      },
      topics() {
        if (place.name !== '' && !tokens.test(place.name)) {
          throw invalidArgument(
            `what stands behind the host in '${shown}' begins each subject: tokens without blanks, * and >, with dots between them, as in 'nats://127.0.0.1:4222/plant'`,
          )
        }
        return (signal) => natsTopics(place, connection, signal)
      },
      calls() {
        if (!tokens.test(place.name)) {
          throw invalidArgument(
            `the address '${shown}' must name what is served, by tokens without blanks, * and >, as in 'nats://127.0.0.1:4222/calc'`,
          )
        }
        return (signal) => natsCalls(place, connection, signal)
      },
    }
  },
}
