// Addresses of NATS: nats://[user:password@|token@]host[:port][,host[:port]…][/name]

import type { Address } from '../../place/address.js'
import { hostAndPort, serverPlace } from '../place.js'
import type { EngineConnection } from '../port.js'

export interface NatsPlace {
  readonly shown: string
  /** `host:port` each. */
  readonly servers: readonly string[]
  readonly user: string | undefined
  readonly password: string | undefined
  readonly token: string | undefined
  /** Empty: none was given. */
  readonly name: string
}

/** @throws MillraceError `INVALID_ARGUMENT` */
export function natsPlace(address: Address, connection: EngineConnection): NatsPlace {
  const example = 'nats://127.0.0.1:4222/thumbnails'
  const { hosts, ...rest } = serverPlace(address, connection, { usualPort: 4222, example })
  return { ...rest, servers: hosts.map(hostAndPort) }
}
