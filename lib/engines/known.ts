// Which engines there are, by the schemes of addresses. Each is loaded when an address first names it.

import type { Engine } from './port.js'

const known: Readonly<Record<string, () => Engine>> = {
  amqp: () => (require('./amqp.js') as typeof import('./amqp.js')).amqp,
  amqps: () => (require('./amqp.js') as typeof import('./amqp.js')).amqp,
  grpc: loadGrpc,
  'grpc+unix': loadGrpc,
  grpcs: loadGrpc,
  kafka: () => (require('./kafka.js') as typeof import('./kafka.js')).kafka,
  nats: () => (require('./nats.js') as typeof import('./nats.js')).nats,
  redis: () => (require('./redis.js') as typeof import('./redis.js')).redis,
  rediss: () => (require('./redis.js') as typeof import('./redis.js')).redis,
  'zmq+ipc': () => (require('./zeromq.js') as typeof import('./zeromq.js')).zeromq,
  'zmq+tcp': () => (require('./zeromq.js') as typeof import('./zeromq.js')).zeromq,
}

/** What addresses of engines begin with. */
export const engineSchemes: readonly string[] = Object.keys(known)

/** The engine of a scheme; undefined: it is none of an engine. */
export function engineOf(scheme: string): Engine | undefined {
  return Object.hasOwn(known, scheme) ? known[scheme]!() : undefined
}

function loadGrpc(): Engine {
  return (require('./grpc.js') as typeof import('./grpc.js')).grpc
}
