// tls://host:port: the network, encrypted; each side knows the other by its certificate, as far as it wants to.

import type { AddressInfo, Socket } from 'node:net'
import type { ConnectionOptions, TLSSocket } from 'node:tls'

import { invalidArgument } from '../../errors.js'
import { checkHostAndPort, hostAndPort } from '../address.js'
import type { Peer } from '../channel.js'
import type { Transport } from '../transport.js'
import { connected, listening, net } from './sockets.js'
import { boundAddress, remoteOf, silenceMs } from './tcp.js'

const tlsOfNode = (): typeof import('node:tls') => process.getBuiltinModule('node:tls')

export const tls: Transport = {
  scheme: 'tls',
  traits: { zeroCopy: false, reliable: true, ordered: true, death: 'timeout', directions: 'both' },
  heartbeat: silenceMs,

  check(address, all) {
    checkHostAndPort(address, all)
    const { tls: given } = all
    if (given?.rejectUnauthorized === false && given.requestCert !== true) {
      throw invalidArgument(
        'tls.rejectUnauthorized: false would take anybody for the other side: give the certificate of its authority as tls.ca instead',
      )
    }
  },

  async connect(address, { tls: given }, signal) {
    const { host, port } = hostAndPort(address)
    const servername = net().isIP(host) === 0 ? { servername: host } : {}
    const options = {
      ...servername,
      ...given,
      host,
      port,
      rejectUnauthorized: true,
      allowHalfOpen: true,
    }
    const socket = tlsOfNode().connect(options as ConnectionOptions)
    socket.setNoDelay(true)
    const stream = await connected(socket, signal, 'secureConnect')
    return { stream, peer: peerOf(stream) }
  },

  async listen(address, { tls: given, helloMs }, arrivals) {
    const { host, port } = hostAndPort(address)
    if (given?.key === undefined && given?.pfx === undefined && given?.SNICallback === undefined) {
      throw invalidArgument(
        `'${address.text}' needs a certificate: give tls: { key, cert }, as node:tls takes them`,
      )
    }
    const mutual = given.requestCert === true ? { rejectUnauthorized: true } : {}
    const options = {
      ...given,
      ...mutual,
      allowHalfOpen: true,
      handshakeTimeout: Math.min(helloMs, 120_000),
    }
    const server = tlsOfNode().createServer(options, (stream) => {
      stream.on('error', () => undefined)
      if (!arrivals.hasRoom()) {
        arrivals.turnedAway()
        stream.destroy()
        return
      }
      stream.setNoDelay(true)
      arrivals.arrived({ stream, peer: peerOf(stream) })
    })
    server.on('tlsClientError', (_error, socket) => {
      arrivals.turnedAway('hello')
      socket.destroy()
    })
    // Before the handshake, too, connections are bounded.
    server.prependListener('connection', (socket: Socket) => {
      if (arrivals.hasRoom()) return
      arrivals.turnedAway()
      socket.destroy()
    })
    return await listening(
      server,
      arrivals,
      () => server.listen({ host, port }),
      () => boundAddress(address, server.address() as AddressInfo),
    )
  },
}

function peerOf(stream: TLSSocket): Peer {
  const found = stream.getPeerCertificate()
  const protocol = typeof stream.alpnProtocol === 'string' ? stream.alpnProtocol : undefined
  const certificate =
    stream.authorized && typeof found.fingerprint256 === 'string'
      ? {
          commonName: typeof found.subject.CN === 'string' ? found.subject.CN : undefined,
          alternativeNames: found.subjectaltname,
          fingerprint: found.fingerprint256,
        }
      : undefined
  return { address: remoteOf(stream), certificate, protocol }
}
