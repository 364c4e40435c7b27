// Addresses of NATS: nats://[user:password@|token@]host[:port][,host[:port]…][/name]

import { show } from '../../base/options.js'
import { invalidArgument } from '../../errors.js'
import { isLoopback } from '../../net/address.js'
import type { Address } from '../../place/address.js'
import type { EngineConnection } from '../port.js'

const usualPort = 4222

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
export function natsPlace(
  { text, rest, query }: Address,
  { tls, insecure }: EngineConnection,
): NatsPlace {
  const at = rest.indexOf('/')
  const authority = at < 0 ? rest : rest.slice(0, at)
  const name = at < 0 ? '' : rest.slice(at + 1)
  const sign = authority.lastIndexOf('@')
  const secret = sign < 0 ? undefined : authority.slice(0, sign)
  const hosts = authority.slice(sign + 1)
  const shown = `nats://${secret === undefined ? '' : '…@'}${hosts}${at < 0 ? '' : rest.slice(at)}`
  const unknown = [...query.keys()].find((key) => key !== 'insecure')
  if (unknown !== undefined) {
    throw invalidArgument(
      `there is no '${unknown}' behind the question mark of '${shown}': there may be 'insecure'`,
    )
  }
  const colon = secret?.indexOf(':') ?? -1
  const servers = hosts.split(',').map((one) => serverOf(one, shown))
  if (tls === undefined && !insecure && !query.has('insecure')) {
    const far = servers.find(({ host }) => !isLoopback(host))
    if (far !== undefined) {
      throw invalidArgument(
        `'${shown}' leaves this machine: everybody on the way could read and change what goes over it. ` +
          'Say `connection: { tls: {} }`; or, if the network is trusted, `insecure: true`, or ?insecure at the end of the address',
      )
    }
  }
  if (text.includes(' ')) throw invalidArgument(`the address ${show(shown)} has a blank in it`)
  return {
    shown,
    servers: servers.map(
      ({ host, port }) => `${host.includes(':') ? `[${host}]` : host}:${String(port)}`,
    ),
    user: colon < 0 ? undefined : decoded(secret!.slice(0, colon), shown),
    password: colon < 0 ? undefined : decoded(secret!.slice(colon + 1), shown),
    token: secret !== undefined && colon < 0 ? decoded(secret, shown) : undefined,
    name,
  }
}

function serverOf(text: string, shown: string): { readonly host: string; readonly port: number } {
  const found = /^(?:\[([0-9a-f:.%a-z]+)\]|([^:[\]/]+))(?::(\d{1,5}))?$/i.exec(text)
  const host = found?.[1] ?? found?.[2]
  const port = Number(found?.[3] ?? usualPort)
  if (host === undefined || !(port > 0 && port <= 65_535)) {
    throw invalidArgument(
      `the address '${shown}' must name a host, and may name a port, as in 'nats://127.0.0.1:4222/thumbnails'; several are parted by commas`,
    )
  }
  return { host, port }
}

function decoded(text: string, shown: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw invalidArgument(
      `user and password of '${shown}' must be written as in a URL: a per cent sign is %25`,
    )
  }
}
