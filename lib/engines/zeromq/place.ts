// Addresses of ZeroMQ: zmq+tcp://host:port[/name][?bind][&packed] and zmq+ipc:///absolute/path[?name=…][&bind][&packed]

import { show } from '../../base/options.js'
import { invalidArgument } from '../../errors.js'
import { hostAndPort, isLoopback, socketPath } from '../../net/address.js'
import type { Address } from '../../place/address.js'
import type { EngineConnection } from '../port.js'

export interface ZmqPlace {
  readonly shown: string
  /** As the library takes it, to connect and to bind. */
  readonly connects: string
  readonly binds: string
  /** The path of `ipc`, if it is a file. */
  readonly file: string | undefined
  /** What stands before each subject or method; empty: nothing. */
  readonly name: string
  /** Does this side bind? Otherwise it connects. */
  readonly isBound: boolean
  /** Do many jobs go in one message? */
  readonly isPacked: boolean
}

/** What begins a subject or the name of a function. */
const tokens = /^[^\s.*>/]+(?:\.[^\s.*>/]+)*$/

/** @throws MillraceError `INVALID_ARGUMENT` */
export function zmqPlace(address: Address, connection: EngineConnection): ZmqPlace {
  const { text, scheme, rest, query } = address
  const isLocal = scheme === 'zmq+ipc'
  const allowed = isLocal ? ['bind', 'name', 'packed', 'insecure'] : ['bind', 'packed', 'insecure']
  const unknown = [...query.keys()].find((key) => !allowed.includes(key))
  if (unknown !== undefined) {
    throw invalidArgument(
      `there is no '${unknown}' behind the question mark of ${show(text)}: there may be ${allowed.map((key) => `'${key}'`).join(', ')}`,
    )
  }
  const isBound = query.has('bind')
  const isOpen = connection.insecure || query.has('insecure') || connection.curve !== undefined
  const at = isLocal ? -1 : rest.indexOf('/')
  const name = isLocal ? (query.get('name') ?? '') : at < 0 ? '' : rest.slice(at + 1)
  if (name !== '' && !tokens.test(name)) {
    throw invalidArgument(
      `the name in ${show(text)} begins each subject or function: tokens without blanks, * and >, with dots between them, as in 'zmq+tcp://127.0.0.1:5555/plant'`,
    )
  }
  const judged = { name, isBound, isPacked: query.has('packed'), shown: text }
  if (isLocal) return { ...judged, ...fileOf(address, isOpen) }
  return { ...judged, ...portOf({ ...address, rest: at < 0 ? rest : rest.slice(0, at) }, isOpen) }
}

function fileOf(address: Address, isOpen: boolean): Pick<ZmqPlace, 'connects' | 'binds' | 'file'> {
  const path = socketPath(address)
  if (!path.startsWith('\0')) {
    const endpoint = `ipc://${path}`
    return { connects: endpoint, binds: endpoint, file: path }
  }
  if (!isOpen) {
    throw invalidArgument(
      `${show(address.text)} is an abstract socket, which every user of this machine can reach: take a path, as in 'zmq+ipc:///run/app/sock', ` +
        'say who may come (connection: { curve }), or insecure: true',
    )
  }
  const endpoint = `ipc://@${path.slice(1)}`
  return { connects: endpoint, binds: endpoint, file: undefined }
}

function portOf(address: Address, isOpen: boolean): Pick<ZmqPlace, 'connects' | 'binds' | 'file'> {
  const { host, port } = hostAndPort(address)
  if (port === 0) {
    throw invalidArgument(
      `the address ${show(address.text)} has port 0, which nobody can connect to: say which port, as in 'zmq+tcp://127.0.0.1:5555'`,
    )
  }
  if (!isOpen && !isLoopback(host)) {
    throw invalidArgument(
      `'${address.text}' leaves this machine: everybody on the way could read and change what goes over it. ` +
        'Give keys as `connection: { curve: … }`; or, if the network is trusted, say `insecure: true`, or ?insecure at the end of the address',
    )
  }
  const written = host.includes(':') ? `[${host}]` : host
  // Who binds names an address of this machine.
  const own = host.toLowerCase() === 'localhost' ? '127.0.0.1' : written
  return {
    connects: `tcp://${written}:${String(port)}`,
    binds: `tcp://${own}:${String(port)}`,
    file: undefined,
  }
}
