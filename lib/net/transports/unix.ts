// unix:///run/app/sock and unix://@name: sockets of this machine, whose other side the kernel knows.

import { socketPath } from '../address.js'
import { Inflow } from '../inflow.js'
import type { Transport } from '../transport.js'
import { allows, assertAllowed, peerOfSocket } from './credentials.js'
import { fs } from './files.js'
import { connected, listening, net } from './sockets.js'
import { listenAtPath, noSocket, readyPath } from './socket-file.js'

export const unix: Transport = {
  scheme: 'unix',
  traits: { zeroCopy: false, reliable: true, ordered: true, death: 'exact', directions: 'both' },

  check(address) {
    socketPath(address)
  },

  async connect(address, { allow }, signal) {
    const path = socketPath(address)
    const socket = Inflow.connect((reading) =>
      net().connect({ path, allowHalfOpen: true, ...reading }),
    )
    const stream = await connected(socket, signal).catch((error: unknown) => {
      throw isFile(path, error) ? noSocket(path, address.text) : error
    })
    try {
      const peer = peerOfSocket(stream)
      assertAllowed(allow, peer, address.text)
      return { stream, peer }
    } catch (error) {
      stream.destroy()
      throw error
    }
  },

  async listen(address, { allow, mode }, arrivals) {
    const path = socketPath(address)
    await readyPath(path, address.text)
    const server = net().createServer({ allowHalfOpen: true, pauseOnConnect: true }, (stream) => {
      stream.on('error', () => undefined)
      const peer = peerOfSocket(stream)
      if (!arrivals.hasRoom() || !allows(allow, peer)) {
        arrivals.turnedAway()
        stream.destroy()
        return
      }
      arrivals.arrived({ stream, peer })
    })
    return await listening(
      server,
      arrivals,
      () => {
        listenAtPath(server, path, mode)
      },
      () => address.text,
    )
  },
}

/** Were we refused since it is no socket at all? */
function isFile(path: string, error: unknown): boolean {
  const { code } = error as NodeJS.ErrnoException
  if (code !== 'ECONNREFUSED' || path.startsWith('\0')) return false
  return fs().statSync(path, { throwIfNoEntry: false })?.isSocket() === false
}
