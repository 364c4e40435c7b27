// fd://3 and fd://NAME: sockets that this process was started with, by whoever started it; by systemd, which names them.

import type { Socket } from 'node:net'

import { invalidArgument, MillraceError } from '../../errors.js'
import type { Address } from '../../place/address.js'
import type { Peer } from '../channel.js'
import type { GivenConnect, GivenListen } from '../options.js'
import type { Transport } from '../transport.js'
import { isLoopback } from '../address.js'
import { allows, assertAllowed, peerOfSocket } from './credentials.js'
import { listening, net } from './sockets.js'
import { remoteOf, silenceMs } from './tcp.js'

/** The first descriptor that systemd passes on. */
const firstOfSystemd = 3

export const fd: Transport = {
  scheme: 'fd',
  // Of which kind the socket is is known when it is opened: so what all kinds have.
  traits: { zeroCopy: false, reliable: true, ordered: true, death: 'timeout', directions: 'both' },
  heartbeat: silenceMs,

  check(address) {
    descriptorOf(address)
  },

  connect(address, given) {
    const stream = new (net().Socket)({
      fd: socketOf(address),
      allowHalfOpen: true,
      readable: true,
      writable: true,
    })
    try {
      const peer = peerOf(stream)
      assertWelcome(given, peer, address.text)
      return Promise.resolve({ stream, peer })
    } catch (error) {
      stream.on('error', () => undefined)
      stream.destroy()
      return Promise.reject(error)
    }
  },

  async listen(address, given, arrivals) {
    const descriptor = socketOf(address)
    const server = net().createServer({ allowHalfOpen: true, pauseOnConnect: true }, (stream) => {
      stream.on('error', () => undefined)
      const peer = peerOf(stream)
      if (!arrivals.hasRoom() || !isWelcome(given, peer)) {
        arrivals.turnedAway()
        stream.destroy()
        return
      }
      arrivals.arrived({ stream, peer })
    })
    return await listening(
      server,
      arrivals,
      () => server.listen({ fd: descriptor }),
      () => address.text,
    )
  },
}

/** Of a Unix socket the kernel says who it is; of one of the network its address is known. */
function peerOf(stream: Socket): Peer {
  if (stream.remoteAddress === undefined) return peerOfSocket(stream)
  stream.setNoDelay(true)
  return { address: remoteOf(stream) }
}

type Given = GivenConnect | GivenListen

function isWelcome({ allow, insecure }: Given, peer: Peer): boolean {
  if (peer.address === undefined) return allows(allow, peer)
  return insecure || isLoopback(hostOf(peer.address))
}

function assertWelcome(given: Given, peer: Peer, address: string): void {
  if (peer.address === undefined) assertAllowed(given.allow, peer, address)
  else if (!isWelcome(given, peer)) {
    throw new MillraceError(
      'ERR_MILLRACE_PERMISSION',
      `'${address}' is a connection to ${peer.address}, which is not this machine: say insecure: true, if the network itself is trusted`,
    )
  }
}

const hostOf = (address: string): string =>
  address.slice(0, address.lastIndexOf(':')).replace(/^\[|\]$/g, '')

/** The descriptor, of which it is known that it is a socket. */
function socketOf(address: Address): number {
  const descriptor = descriptorOf(address)
  const fs = process.getBuiltinModule('node:fs')
  let found
  try {
    found = fs.fstatSync(descriptor)
  } catch (cause) {
    throw new MillraceError(
      'ERR_MILLRACE_NOT_FOUND',
      `'${address.text}' names descriptor ${String(descriptor)}, which is not open: see how this process was started`,
      { cause },
    )
  }
  if (found.isSocket()) return descriptor
  throw new MillraceError(
    'ERR_MILLRACE_UNSUPPORTED',
    `'${address.text}' names descriptor ${String(descriptor)}, which is no socket: fd:// takes sockets that listen or are connected`,
  )
}

/** @throws MillraceError `INVALID_ARGUMENT` */
function descriptorOf({ text, rest }: Address): number {
  if (/^\d{1,9}$/.test(rest)) return Number(rest)
  const wrong = (what: string): MillraceError =>
    invalidArgument(
      `the address '${text}' names a socket of systemd, and ${what}; a descriptor is named by its number, as in 'fd://3'`,
    )
  if (rest === '') throw wrong('has no name')
  const { LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES } = process.env
  if (LISTEN_FDS === undefined) throw wrong('systemd has passed none on: LISTEN_FDS is not set')
  if (LISTEN_PID !== String(process.pid)) {
    throw wrong(
      `those are for process ${String(LISTEN_PID)} (LISTEN_PID), and this is ${String(process.pid)}`,
    )
  }
  const names = (LISTEN_FDNAMES ?? '').split(':')
  const at = names.indexOf(rest)
  if (at >= 0 && at < Number(LISTEN_FDS)) return firstOfSystemd + at
  throw wrong(
    `there are ${names.join(', ')} (LISTEN_FDNAMES): FileDescriptorName= says it in the unit`,
  )
}
