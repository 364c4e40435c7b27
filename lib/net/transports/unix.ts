// unix:///run/app/sock and unix://@name: sockets of this machine, whose other side the kernel knows.

import { MillraceError } from '../../errors.js'
import { socketPath } from '../address.js'
import { Inflow } from '../inflow.js'
import type { Transport } from '../transport.js'
import { allows, assertAllowed, peerOfSocket } from './credentials.js'
import { fs } from './files.js'
import { connected, listening, net } from './sockets.js'

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
    const isAbstract = path.startsWith('\0')
    if (!isAbstract) {
      // That there is no folder Node would report as missing rights.
      fs().statSync(`${path.slice(0, path.lastIndexOf('/'))}/`)
      await removeStale(path, address.text)
    }
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
        // The socket has its rights from the moment when it has its name.
        const before = isAbstract ? undefined : process.umask(0o777 & ~mode)
        try {
          server.listen({ path })
        } finally {
          if (before !== undefined) process.umask(before)
        }
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

function noSocket(path: string, address: string): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_EXISTS',
    `at '${address}' is a file that is no socket: remove it, or take another path`,
    { path },
  )
}

/** A socket that nobody listens at any more refuses connections; one at which somebody listens does not. */
async function removeStale(path: string, address: string): Promise<void> {
  const found = fs().lstatSync(path, { throwIfNoEntry: false, bigint: true })
  if (found === undefined) return
  if (!found.isSocket()) throw noSocket(path, address)
  const isStale = await new Promise<boolean>((resolve) => {
    const probe = net().connect({ path })
    probe.once('connect', () => {
      probe.destroy()
      resolve(false)
    })
    probe.once('error', (error: NodeJS.ErrnoException) => {
      resolve(error.code === 'ECONNREFUSED')
    })
  })
  if (!isStale) {
    throw new MillraceError(
      'ERR_MILLRACE_EXISTS',
      `somebody listens at '${address}' already: end that, or take another address`,
      { path },
    )
  }
  // Somebody else may have been quicker: what lies there by now is taken aside, looked at, and put back if it is another one.
  const aside = `${path}.stale-${String(process.pid)}`
  try {
    fs().renameSync(path, aside)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return
    throw error
  }
  const taken = fs().lstatSync(aside, { bigint: true })
  // Numbers of files are used again; the time of birth tells them apart.
  if (taken.ino !== found.ino || taken.birthtimeNs !== found.birthtimeNs) {
    try {
      fs().linkSync(aside, path)
    } catch {
      // There is yet another one, which is as good.
    }
  }
  fs().rmSync(aside, { force: true })
}
