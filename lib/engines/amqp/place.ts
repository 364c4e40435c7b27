// Addresses of AMQP: amqp[s]://[user:password@]host[:port][,host[:port]…][/name][?vhost=…]

import { invalidArgument } from '../../errors.js'
import type { Address } from '../../place/address.js'
import { serverPlace, type ServerPlace } from '../place.js'
import type { EngineConnection } from '../port.js'

/** Of a name of a queue, an exchange, a routing key, in bytes. */
export const longestName = 255

export interface AmqpPlace {
  readonly shown: string
  readonly hosts: ServerPlace['hosts']
  readonly secure: boolean
  readonly user: string
  readonly password: string
  readonly vhost: string
  /** Empty: none was given. */
  readonly name: string
}

/** @throws MillraceError `INVALID_ARGUMENT` */
export function amqpPlace(address: Address, connection: EngineConnection): AmqpPlace {
  const secure = address.scheme === 'amqps'
  const example = `${address.scheme}://127.0.0.1/thumbnails`
  const { shown, hosts, user, password, token, name, query } = serverPlace(address, connection, {
    usualPort: secure || connection.tls !== undefined ? 5671 : 5672,
    example,
    keys: ['vhost'],
    secure,
  })
  if (token !== undefined) {
    throw invalidArgument(`what stands before the @ in '${shown}' must be a user and a password`)
  }
  const { rejectUnauthorized } = (connection.tls ?? {}) as { readonly rejectUnauthorized?: boolean }
  if (rejectUnauthorized === false) {
    throw invalidArgument(
      'tls.rejectUnauthorized: false would take anybody for the server: give the certificate of its authority as tls.ca instead',
    )
  }
  return {
    shown,
    hosts,
    secure: secure || connection.tls !== undefined,
    // As every server has it, for who comes from its own machine.
    user: user ?? 'guest',
    password: password ?? 'guest',
    vhost: query.get('vhost') ?? '/',
    name,
  }
}
