// Addresses of gRPC: grpc://host:port/NAME, grpcs://host:port/NAME, grpc+unix:///abs/path/NAME

import { invalidArgument } from '../../errors.js'
import { isLoopback, socketPath } from '../../net/address.js'
import type { Address } from '../../place/address.js'
import { serverPlace } from '../place.js'
import type { EngineConnection } from '../port.js'

export interface GrpcPlace {
  readonly address: Address
  readonly shown: string
  /** What is served: the service, as gRPC calls it. */
  readonly name: string
  readonly host: string
  readonly port: number
  /** Of a socket of this machine, in the place of host and port. */
  readonly path: string | undefined
  readonly secure: boolean
}

const examples = {
  grpc: 'grpc://127.0.0.1:5000/calc',
  grpcs: 'grpcs://example.com:5000/calc',
  'grpc+unix': 'grpc+unix:///run/app/sock/calc',
} as const

/** The name of a service, with its package before it. */
const names = /^[A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*)*$/

/** @throws MillraceError `INVALID_ARGUMENT` */
export function grpcPlace(address: Address, connection: EngineConnection): GrpcPlace {
  const scheme = address.scheme as keyof typeof examples
  const example = examples[scheme]
  const place = scheme === 'grpc+unix' ? unixPlace(address) : hostPlace(address, connection)
  if (!names.test(place.name)) {
    throw invalidArgument(
      `the address '${place.shown}' must end with the name of what is served, letters, digits, _ and -, with dots between, as in '${example}'`,
    )
  }
  if (place.name.startsWith('grpc.') || place.name.startsWith('millrace.')) {
    throw invalidArgument(
      `the name '${place.name}' is one of those that begin with grpc. or millrace., which have a meaning of their own: take another`,
    )
  }
  return place
}

function hostPlace(address: Address, connection: EngineConnection): GrpcPlace {
  const { scheme } = address
  const secure = scheme === 'grpcs' || connection.tls !== undefined
  const { hosts, shown, user, token, name } = serverPlace(address, connection, {
    usualPort: 0,
    example: examples[scheme as 'grpc' | 'grpcs'],
    secure,
    anyPort: true,
  })
  const [first, ...others] = hosts
  if (others.length > 0) {
    throw invalidArgument(`the address '${shown}' names several hosts, and gRPC takes one`)
  }
  if (user !== undefined || token !== undefined) {
    throw invalidArgument(
      `the address '${shown}' has a user in it, which gRPC has not: give tls with key and cert, by which the server knows who comes`,
    )
  }
  return { address, shown, name, ...first!, path: undefined, secure }
}

function unixPlace(address: Address): GrpcPlace {
  const { scheme, rest, query } = address
  const shown = `${scheme}://${rest}`
  const at = rest.lastIndexOf('/')
  if (at < 1 || query.size > 0) {
    throw invalidArgument(
      `the address '${shown}' must have an absolute path and, behind its last slash, the name of what is served, as in '${examples['grpc+unix']}'`,
    )
  }
  const path = socketPath({ ...address, rest: rest.slice(0, at) })
  return { address, shown, name: rest.slice(at + 1), host: '', port: 0, path, secure: false }
}

/** Who calls says which port. */
export function checkPort({ shown, port, path }: GrpcPlace): void {
  if (port > 0 || path !== undefined) return
  throw invalidArgument(
    `the address '${shown}' has no port, or port 0, which is any port for who serves and none to call at: take server.address`,
  )
}

/** Can nobody elsewhere be at the other side? */
export function isHere({ path, host }: GrpcPlace): boolean {
  return path !== undefined || isLoopback(host)
}
