// Addresses of NATS: nats://[user:password@|token@]host[:port][,host[:port]…][/name][?creds=FILE|nkey=FILE][&replicas=N]

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
  /** How many servers of a cluster keep what is made; undefined: one, and any number of what is there. */
  readonly replicas: number | undefined
  /** Empty: none was given. */
  readonly name: string
}

/** @throws MillraceError `INVALID_ARGUMENT` */
export function natsPlace(address: Address, connection: EngineConnection): NatsPlace {
  const example = 'nats://127.0.0.1:4222/thumbnails'
  const keys = ['creds', 'nkey', 'replicas']
  const place = serverPlace(address, connection, { usualPort: 4222, example, keys })
  const { hosts, shown, user, password, token, name } = place
  const credentials = credentialsOf(place.query, shown)
  if (credentials !== undefined && (user ?? token) !== undefined) {
    throw invalidArgument(
      `'${shown}' may say ${credentials.kind}, or something before the @, not both`,
    )
  }
  const replicas = place.query.get('replicas')
  if (replicas !== undefined && !/^[1-5]$/.test(replicas)) {
    throw invalidArgument(
      `replicas of '${shown}' must be from 1 to 5, and no more than the cluster has servers`,
    )
  }
  return {
    ...{ shown, servers: hosts.map(hostAndPort), user, password, token, credentials, name },
    replicas: replicas === undefined ? undefined : Number(replicas),
  }
}
