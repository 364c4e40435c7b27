// Addresses of NATS: nats://[user:password@|token@]host[:port][,host[:port]…][/name][?creds=FILE|nkey=FILE]

import { invalidArgument } from '../../errors.js'
import type { Address } from '../../place/address.js'
import { hostAndPort, serverPlace } from '../place.js'
import type { EngineConnection } from '../port.js'
import { credentialsOf, type NatsCredentials } from './credentials.js'

export interface NatsPlace {
  readonly shown: string
  /** `host:port` each. */
  readonly servers: readonly string[]
  readonly user: string | undefined
  readonly password: string | undefined
  readonly token: string | undefined
  readonly credentials: NatsCredentials | undefined
  /** Empty: none was given. */
  readonly name: string
}

/** @throws MillraceError `INVALID_ARGUMENT` */
export function natsPlace(address: Address, connection: EngineConnection): NatsPlace {
  const example = 'nats://127.0.0.1:4222/thumbnails'
  const keys = ['creds', 'nkey']
  const place = serverPlace(address, connection, { usualPort: 4222, example, keys })
  const { hosts, shown, user, password, token, name } = place
  const credentials = credentialsOf(place.query, shown)
  if (credentials !== undefined && (user ?? token) !== undefined) {
    throw invalidArgument(
      `'${shown}' may say ${credentials.kind}, or something before the @, not both`,
    )
  }
  return { shown, servers: hosts.map(hostAndPort), user, password, token, credentials, name }
}
