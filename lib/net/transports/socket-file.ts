// The file of a socket: where somebody listens, has listened, or will.

import type { Server } from 'node:net'

import { MillraceError } from '../../errors.js'
import { fs } from './files.js'
import { net } from './sockets.js'

/**
 * Sees that a socket can be made there, and removes what a process has left that is no more.
 *
 * @throws MillraceError (as rejection) `EXISTS`, and what the system says
 */
export async function readyPath(path: string, address: string): Promise<void> {
  if (path.startsWith('\0')) return
  // That there is no folder Node would report as missing rights.
  fs().statSync(`${path.slice(0, path.lastIndexOf('/'))}/`)
  await removeStale(path, address)
}

/** The socket has its rights from the moment when it has its name. */
export function listenAtPath(server: Server, path: string, mode: number): void {
  const before = path.startsWith('\0') ? undefined : process.umask(0o777 & ~mode)
  try {
    server.listen({ path })
  } finally {
    if (before !== undefined) process.umask(before)
  }
}

export function noSocket(path: string, address: string): MillraceError {
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
