// gRPC (grpc://, grpcs://, grpc+unix://): calls, of one value and of many, served and called.

import { MillraceError } from '../errors.js'
import { grpcCalls } from './grpc/client.js'
import { grpcLibrary } from './grpc/library.js'
import { checkPort, grpcPlace } from './grpc/place.js'
import { grpcServes } from './grpc/server.js'
import type { Engine, EngineTraits } from './port.js'

/** gRPC has calls alone. */
const traits: EngineTraits = {
  work: { leases: 'connection', death: 'exact', priorities: false, groups: false },
  topics: { waits: false, replays: false, counts: false, redelivers: false },
}

export const grpc: Engine = {
  name: 'gRPC',
  at(address, connection) {
    const place = grpcPlace(address, connection)
    grpcLibrary()
    const { shown } = place
    return {
      shown,
      traits,
      streams: true,
      work() {
        throw notCarried(
          `a work queue at '${shown}'`,
          'take an engine that keeps jobs (nats://, amqp://, redis://), or share a queue of this machine at tcp:// or tls://',
        )
      },
      topics() {
        throw notCarried(
          `topics at '${shown}'`,
          'take an engine that has them (nats://, redis://, kafka://, zmq+tcp://), or serve a stream',
        )
      },
      calls(side = 'calls') {
        if (side === 'serves') return (signal) => grpcServes(place, connection, signal)
        checkPort(place)
        return (signal) => grpcCalls(place, connection, signal, side)
      },
    }
  },
}

function notCarried(what: string, cure: string): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_UNSUPPORTED',
    `${what} cannot be had: gRPC carries calls, and keeps nothing; ${cure}`,
  )
}
