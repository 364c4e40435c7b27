// Kafka (kafka://): work over a topic and one consumer group, topics over a topic with the subject as the key. There are no calls.

import { MillraceError } from '../errors.js'
import { kafkajs } from './kafka/kafkajs.js'
import { kafkaPlace } from './kafka/place.js'
import { kafkaTopics } from './kafka/topics.js'
import { kafkaWork } from './kafka/work.js'
import type { Engine, EngineQueueOptions, EngineTraits } from './port.js'

const traits: EngineTraits = {
  work: { leases: 'silence', death: 'timeout', priorities: false, groups: true },
  topics: { waits: false, replays: false, counts: false, redelivers: false },
}

export const kafka: Engine = {
  name: 'Kafka',
  at(address, connection) {
    const place = kafkaPlace(address, connection)
    const library = kafkajs()
    const { shown } = place
    return {
      shown,
      traits,
      work(wanted) {
        assertPossible(wanted, shown)
        return (signal) => kafkaWork(library, place, wanted, connection, signal)
      },
      topics() {
        return (signal) => kafkaTopics(library, place, connection, signal)
      },
      calls() {
        throw new MillraceError(
          'ERR_MILLRACE_UNSUPPORTED',
          `there are no calls over '${shown}': Kafka brings nobody an answer; take nats://, grpc://, or an address of this package (tcp://, unix://)`,
        )
      },
    }
  },
}

/** What somebody says of a queue that Kafka does not have. */
function assertPossible(wanted: EngineQueueOptions, shown: string): void {
  const { jobs, bytes, dead, deadBytes, windowMs, durability } = wanted
  const retention = "Kafka keeps by time and size: see the topic's retention.ms and retention.bytes"
  const impossible: readonly (readonly [string, boolean, string])[] = [
    ['jobs', jobs !== undefined, retention],
    ['bytes', bytes !== undefined, retention],
    ['the number of dead letters', dead !== undefined && dead > 0, retention],
    ['the bytes of dead letters', deadBytes !== undefined, retention],
    ['dedupWindow', windowMs !== undefined && windowMs > 0, 'Kafka does not know ids again'],
    [
      `durability ${String(durability)}`,
      durability !== undefined && durability !== 'file',
      'Kafka confirms when all replicas in sync have a record, and writes it to its disks a little later: leave it out, and see min.insync.replicas',
    ],
  ]
  const found = impossible.find(([, is]) => is)
  if (found === undefined) return
  const [what, , why] = found
  throw new MillraceError('ERR_MILLRACE_UNSUPPORTED', `${what} of '${shown}' cannot be had: ${why}`)
}
