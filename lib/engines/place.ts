// What addresses of servers have in common: SCHEME://[user:password@|token@]host[:port][,host[:port]…][/name][?key=value]

import { show } from '../base/options.js'
import { invalidArgument } from '../errors.js'
import { isLoopback } from '../net/address.js'
import type { Address } from '../place/address.js'
import type { EngineConnection } from './port.js'

/** What an engine's addresses look like. */
export interface PlaceShape {
  readonly usualPort: number
  /** One that is right, for messages. */
  readonly example: string
  /** What may stand behind the question mark, beside `insecure`. */
  readonly keys?: readonly string[]
  /** Does the scheme itself ask for TLS? */
  readonly secure?: boolean
  /** May the port be 0, which is any for who listens? */
  readonly anyPort?: boolean
}

export interface ServerPlace {
  /** The address without what is secret in it. */
  readonly shown: string
  readonly hosts: readonly { readonly host: string; readonly port: number }[]
  readonly user: string | undefined
  readonly password: string | undefined
  /** What stands before the `@`, if it is not a user and a password. */
  readonly token: string | undefined
  /** What stands behind the hosts; empty: nothing. */
  readonly name: string
  readonly query: ReadonlyMap<string, string>
}

/** @throws MillraceError `INVALID_ARGUMENT` */
export function serverPlace(
  { text, scheme, rest, query }: Address,
  { tls, insecure }: EngineConnection,
  shape: PlaceShape,
): ServerPlace {
  const { keys = [], secure = false } = shape
  const at = rest.indexOf('/')
  const authority = at < 0 ? rest : rest.slice(0, at)
  const sign = authority.lastIndexOf('@')
  const secret = sign < 0 ? undefined : authority.slice(0, sign)
  const named = authority.slice(sign + 1)
  const shown = `${scheme}://${secret === undefined ? '' : '…@'}${named}${at < 0 ? '' : rest.slice(at)}`
  const allowed = [...keys, 'insecure']
  const unknown = [...query.keys()].find((key) => !allowed.includes(key))
  if (unknown !== undefined) {
    throw invalidArgument(
      `there is no '${unknown}' behind the question mark of '${shown}': there may be ${allowed.map((key) => `'${key}'`).join(', ')}`,
    )
  }
  const hosts = named.split(',').map((one) => hostOf(one, shown, shape))
  if (!secure && tls === undefined && !insecure && !query.has('insecure')) {
    if (hosts.some(({ host }) => !isLoopback(host))) throw leaves(shown)
  }
  if (text.includes(' ')) throw invalidArgument(`the address ${show(shown)} has a blank in it`)
  const colon = secret?.indexOf(':') ?? -1
  return {
    shown,
    hosts,
    user: colon < 0 ? undefined : decoded(secret!.slice(0, colon), shown),
    password: colon < 0 ? undefined : decoded(secret!.slice(colon + 1), shown),
    token: secret !== undefined && colon < 0 ? decoded(secret, shown) : undefined,
    name: at < 0 ? '' : rest.slice(at + 1),
    query,
  }
}

/** As `host:port`, for libraries that take it so. */
export function hostAndPort({ host, port }: ServerPlace['hosts'][number]): string {
  return `${host.includes(':') ? `[${host}]` : host}:${String(port)}`
}

function leaves(shown: string): Error {
  return invalidArgument(
    `'${shown}' leaves this machine: everybody on the way could read and change what goes over it. ` +
      'Say `connection: { tls: {} }`; or, if the network is trusted, `insecure: true`, or ?insecure at the end of the address',
  )
}

function hostOf(
  text: string,
  shown: string,
  { usualPort, example, anyPort = false }: PlaceShape,
): ServerPlace['hosts'][number] {
  const found = /^(?:\[([0-9a-f:.%a-z]+)\]|([^:[\]/]+))(?::(\d{1,5}))?$/i.exec(text)
  const host = found?.[1] ?? found?.[2]
  const port = Number(found?.[3] ?? usualPort)
  if (host === undefined || !(port >= (anyPort ? 0 : 1) && port <= 65_535)) {
    throw invalidArgument(
      `the address '${shown}' must name a host, and may name a port, as in '${example}'; several are parted by commas`,
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
