// AMQP 0-9-1 as RabbitMQ speaks it (amqp://, amqps://): work over quorum queues.

import { invalidArgument, MillraceError } from '../errors.js'
import { amqpLibrary } from './amqp/library.js'
import { amqpPlace } from './amqp/place.js'
import { amqpWork } from './amqp/work.js'
import type { Engine, EngineTraits } from './port.js'

/** There is room for what is added to it, and for what the server says of it: what a queue has is learned from that. */
const queueName = /^[\w-]{1,100}$/

const traits: EngineTraits = {
  work: { leases: 'connection', death: 'exact', priorities: false, groups: false },
  topics: { waits: false, replays: false, counts: false, redelivers: false },
}

export const amqp: Engine = {
  name: 'AMQP',
  at(address, connection) {
    const place = amqpPlace(address, connection)
    amqpLibrary()
    const { shown } = place
    return {
      shown,
      traits,
      work(wanted) {
        if (!queueName.test(place.name)) {
          throw invalidArgument(
            `the address '${shown}' must name a queue, of up to 100 letters, digits, - and _, as in 'amqp://127.0.0.1/thumbnails'`,
          )
        }
        if (wanted.durability === 'memory') {
          throw unsupported(
            `durability memory of '${shown}': quorum queues keep all on the disk; leave it out`,
          )
        }
        if (wanted.windowMs !== undefined && wanted.windowMs > 0) {
          throw unsupported(
            `dedupWindow of '${shown}': RabbitMQ knows no id again; leave it out, and see by the id of a job whether it was done`,
          )
        }
        return (signal) => amqpWork(place, wanted, connection, signal)
      },
      topics() {
        throw unsupported(
          `a bus at '${shown}' cannot be had: RabbitMQ has work queues here; take an engine that has topics (nats://, redis://, kafka://, zmq+tcp://)`,
        )
      },
      calls() {
        throw unsupported(
          `calls at '${shown}' cannot be had: RabbitMQ has work queues here; take an engine that has calls (nats://, grpc://, zmq+tcp://)`,
        )
      },
    }
  },
}

function unsupported(what: string): MillraceError {
  return new MillraceError('ERR_MILLRACE_UNSUPPORTED', what)
}
