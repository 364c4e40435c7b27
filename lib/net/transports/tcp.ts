// tcp://host:port: sockets of the network, readable and writable by everybody on the way. So they stay on this machine, unless the
// program says that it may be otherwise.

import type { AddressInfo, Socket } from 'node:net'

import { invalidArgument, MillraceError } from '../../errors.js'
import type { Address } from '../../place/address.js'
import { checkHostAndPort, hostAndPort, isLoopback } from '../address.js'
import { Inflow } from '../inflow.js'
import type { GivenConnection } from '../options.js'
import type { Transport } from '../transport.js'
import { connected, listening, net } from './sockets.js'

/** Milliseconds of silence: where a way is cut, nobody says so. */
export const silenceMs = 10_000

export const tcp: Transport = {
  scheme: 'tcp',
  traits: { zeroCopy: false, reliable: true, ordered: true, death: 'timeout', directions: 'both' },
  heartbeat: silenceMs,

  check(address, given) {
    const { host } = checkHostAndPort(address, given)
    if (mayLeave(address, given) || isLoopback(host)) return
    throw invalidArgument(
      `'${address.text}' leaves this machine, and everybody on the way can read and change what goes over tcp://: take tls://, or say ` +
        'insecure: true, or end the address with ?insecure, if the network itself is trusted',
    )
  },

  async connect(address, given, signal) {
    const { host, port } = hostAndPort(address)
    const socket = Inflow.connect((reading) =>
      net().connect({ host, port, allowHalfOpen: true, noDelay: true, ...reading }),
    )
    const stream = await connected(socket, signal)
    if (!mayLeave(address, given) && !isLoopback(stream.remoteAddress ?? '')) {
      stream.destroy()
      throw new MillraceError(
        'ERR_MILLRACE_PERMISSION',
        `'${address.text}' has turned out to be ${stream.remoteAddress ?? 'elsewhere'}, which is not this machine: say insecure: true, or take tls://`,
      )
    }
    return { stream, peer: { address: remoteOf(stream) } }
  },

  async listen(address, given, arrivals) {
    const { host, port } = hostAndPort(address)
    const server = net().createServer(
      { allowHalfOpen: true, noDelay: true, pauseOnConnect: true },
      (stream) => {
        stream.on('error', () => undefined)
        const isAllowed = mayLeave(address, given) || isLoopback(stream.remoteAddress ?? '')
        if (!arrivals.hasRoom() || !isAllowed) {
          arrivals.turnedAway()
          stream.destroy()
          return
        }
        arrivals.arrived({ stream, peer: { address: remoteOf(stream) } })
      },
    )
    return await listening(
      server,
      arrivals,
      () => server.listen({ host, port }),
      () => boundAddress(address, server.address() as AddressInfo),
    )
  },
}

/** Does the program say, or who has set the address, that the network is trusted? */
function mayLeave({ query }: Address, { insecure }: GivenConnection): boolean {
  return insecure || query.has('insecure')
}

/** `host:port`, with brackets where they are needed. */
export function remoteOf({ remoteAddress = '', remotePort = 0 }: Socket): string {
  return remoteAddress.includes(':')
    ? `[${remoteAddress}]:${String(remotePort)}`
    : `${remoteAddress}:${String(remotePort)}`
}

/** As it was given, with the port that the system has chosen. */
export function boundAddress(address: Address, { port }: AddressInfo): string {
  return address.text.replace(/:\d+(?=\/?(?:\?|$))/, `:${String(port)}`)
}
