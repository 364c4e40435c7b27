// The file of a socket. ZeroMQ removes whatever is at the path that it binds to, so that is looked at first.

import { MillraceError } from '../../errors.js'

/** @throws MillraceError (as rejection) `EXISTS` (somebody is bound there, or it is no socket) */
export async function claimFile(path: string, shown: string): Promise<void> {
  const { lstatSync } = process.getBuiltinModule('node:fs')
  const found = lstatSync(path, { throwIfNoEntry: false })
  if (found === undefined) return
  if (!found.isSocket()) throw exists(shown, 'something that is no socket is at that path')
  if (await isListening(path)) throw exists(shown, 'somebody is bound there already')
}

/** For this user alone. */
export function guardFile(path: string): void {
  process.getBuiltinModule('node:fs').chmodSync(path, 0o600)
}

/** Nobody is bound there any more. */
export function freeFile(path: string): void {
  process.getBuiltinModule('node:fs').rmSync(path, { force: true })
}

function isListening(path: string): Promise<boolean> {
  const { connect } = process.getBuiltinModule('node:net')
  return new Promise((resolve) => {
    const socket = connect(path)
    const told = (there: boolean) => (): void => {
      socket.destroy()
      resolve(there)
    }
    socket.once('connect', told(true))
    socket.once('error', told(false))
  })
}

function exists(shown: string, why: string): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_EXISTS',
    `'${shown}' cannot be bound: ${why}; take another path, or do not bind here`,
    { executed: 'no' },
  )
}
