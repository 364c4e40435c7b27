// Addresses of Kafka: kafka://[user:password@]host[:port][,host[:port]…]/topic[?sasl=MECHANISM]

import { invalidArgument } from '../../errors.js'
import type { Address } from '../../place/address.js'
import { hostAndPort, serverPlace } from '../place.js'
import type { EngineConnection } from '../port.js'

export interface KafkaPlace {
  readonly shown: string
  /** `host:port` each, of brokers that tell of the others. */
  readonly brokers: readonly string[]
  readonly sasl:
    { readonly mechanism: string; readonly username: string; readonly password: string } | undefined
  readonly topic: string
}

const mechanisms = ['plain', 'scram-sha-256', 'scram-sha-512']
/** The longest that both of a topic and of the one with its dead letters have room for. */
const topicName = /^(?!\.\.?$)[\w.-]{1,244}$/

/** @throws MillraceError `INVALID_ARGUMENT` */
export function kafkaPlace(address: Address, connection: EngineConnection): KafkaPlace {
  const example = 'kafka://127.0.0.1:9092/thumbnails'
  const place = serverPlace(address, connection, { usualPort: 9092, example, keys: ['sasl'] })
  const { shown, hosts, user, password, token, name, query } = place
  if (!topicName.test(name)) {
    throw invalidArgument(
      `the address '${shown}' must name a topic, of up to 244 letters, digits, ., _ and -, as in '${example}'`,
    )
  }
  if (token !== undefined) {
    throw invalidArgument(
      `what stands before the @ of '${shown}' must be a user and a password, with a colon between them`,
    )
  }
  const mechanism = query.get('sasl') ?? 'plain'
  if (!mechanisms.includes(mechanism)) {
    throw invalidArgument(
      `sasl of '${shown}' must be one of ${mechanisms.map((one) => `'${one}'`).join(', ')}`,
    )
  }
  if (query.has('sasl') && user === undefined) {
    throw invalidArgument(`sasl of '${shown}' needs a user and a password before the @`)
  }
  return {
    shown,
    brokers: hosts.map(hostAndPort),
    sasl: user === undefined ? undefined : { mechanism, username: user, password: password ?? '' },
    topic: name,
  }
}
