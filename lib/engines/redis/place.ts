// Addresses of Redis: redis[s]://[user:password@]host[:port][/name][?db=number]

import { invalidArgument } from '../../errors.js'
import type { Address } from '../../place/address.js'
import { serverPlace } from '../place.js'
import type { EngineConnection } from '../port.js'

export interface RedisPlace {
  readonly shown: string
  readonly host: string
  readonly port: number
  readonly user: string | undefined
  readonly password: string | undefined
  /** Empty: none was given. */
  readonly name: string
  /** Which of the server's databases. */
  readonly database: number
  /** Does the scheme ask for TLS? */
  readonly secure: boolean
}

/** @throws MillraceError `INVALID_ARGUMENT` */
export function redisPlace(address: Address, connection: EngineConnection): RedisPlace {
  const secure = address.scheme === 'rediss'
  const place = serverPlace(address, connection, {
    usualPort: 6379,
    example: `${address.scheme}://127.0.0.1:6379/thumbnails`,
    keys: ['db'],
    secure,
  })
  const { shown, hosts, user, password, token, name, query } = place
  if (hosts.length > 1) {
    throw invalidArgument(
      `the address '${shown}' must name one server: what Sentinel and clusters do is not done here`,
    )
  }
  if (token !== undefined) {
    throw invalidArgument(
      `before the @ of '${shown}' a user and a password must stand, with a colon between them; a password alone is written as ':password@'`,
    )
  }
  const database = query.get('db') ?? '0'
  if (!/^\d{1,5}$/.test(database)) {
    throw invalidArgument(`db of '${shown}' must be the number of a database, as in '?db=2'`)
  }
  return {
    shown: database === '0' ? shown : `${shown}?db=${database}`,
    ...hosts[0]!,
    user: user === '' ? undefined : user,
    password,
    name,
    database: Number(database),
    secure,
  }
}
