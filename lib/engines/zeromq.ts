// ZeroMQ (zmq+tcp://, zmq+ipc://): work over PUSH and PULL, topics over PUB and SUB, calls over DEALER and ROUTER. There is no server: of
// the two sides of an address one binds, and the other connects.

import { invalidArgument, MillraceError } from '../errors.js'
import type { Engine, EngineTraits } from './port.js'
import { ZmqCalls } from './zeromq/calls.js'
import { assertKeys } from './zeromq/line.js'
import { zmqLibrary } from './zeromq/library.js'
import { zmqPlace, type ZmqPlace } from './zeromq/place.js'
import { ZmqTopics } from './zeromq/topics.js'
import { assertWanted, ZmqWork } from './zeromq/work.js'

const traits: EngineTraits = {
  work: {
    leases: 'connection',
    death: 'timeout',
    priorities: false,
    groups: false,
    redelivers: false,
  },
  topics: { waits: false, replays: false, counts: false, redelivers: false },
}

export const zeromq: Engine = {
  name: 'ZeroMQ',
  at(address, connection) {
    const place = zmqPlace(address, connection)
    const { capability } = zmqLibrary()
    const { shown, isBound } = place
    if (address.scheme === 'zmq+ipc' && capability.ipc !== true) {
      throw new MillraceError(
        'ERR_MILLRACE_UNSUPPORTED_PLATFORM',
        `'${shown}' cannot be had: ZeroMQ has no ipc on this system; take zmq+tcp://127.0.0.1`,
      )
    }
    if (connection.tls !== undefined) {
      throw invalidArgument(
        `connection.tls: ZeroMQ knows no TLS, so '${shown}' takes keys of CURVE instead, as connection: { curve: … }`,
      )
    }
    return {
      shown,
      traits,
      streams: true,
      work(wanted) {
        if (place.name !== '') {
          throw invalidArgument(
            `the address '${shown}' must not name a queue: PUSH and PULL of ZeroMQ know none; take an address for each`,
          )
        }
        assertWanted(wanted, shown)
        assertKeys(place, connection, isBound)
        return () => Promise.resolve(new ZmqWork(place, connection, wanted))
      },
      topics() {
        assertNotPacked(place)
        assertKeys(place, connection, isBound)
        return () => Promise.resolve(new ZmqTopics(place, connection))
      },
      calls() {
        assertNotPacked(place)
        if (isBound) {
          throw invalidArgument(
            `'${shown}' must not say 'bind': of calls the server binds, and its clients connect`,
          )
        }
        return () => Promise.resolve(new ZmqCalls(place, connection))
      },
    }
  },
}

/** @throws MillraceError `INVALID_ARGUMENT` */
function assertNotPacked({ isPacked, shown }: ZmqPlace): void {
  if (!isPacked) return
  throw invalidArgument(
    `'${shown}' must not say 'packed': jobs alone go many in one message; leave it out`,
  )
}
