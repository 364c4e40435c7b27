// What the transports over names of the file system have in common: whose it is, and locks.

import type { Stats } from 'node:fs'

import { native } from '../../addon/native.js'
import { invalidArgument, MillraceError } from '../../errors.js'
import type { Address } from '../../place/address.js'
import type { PeerAllow } from '../options.js'
import { allows } from './credentials.js'

/** @internal */
export const fs = (): typeof import('node:fs') => process.getBuiltinModule('node:fs')

const { EAGAIN, EACCES } = process.getBuiltinModule('node:os').constants.errno

/**
 * No kernel says who is at the other side, but who owns the file does decide who that can be.
 *
 * @throws MillraceError `PERMISSION`
 */
export function assertOwner(
  { uid, gid, mode }: Stats,
  allow: PeerAllow | undefined,
  address: string,
): void {
  const isAllowed = allows(allow?.pids === undefined ? allow : { ...allow, pids: undefined }, {
    uid,
    gid,
  })
  if (isAllowed && (mode & 0o002) === 0) return
  throw new MillraceError(
    'ERR_MILLRACE_PERMISSION',
    isAllowed
      ? `everybody may write to '${address}': take its rights away (chmod o-w), or take another path`
      : `'${address}' belongs to user ${String(uid)}, group ${String(gid)}, who is not allowed: name one of them in allow, if you trust it`,
    { path: address },
  )
}

/** Of whoever writes there: taken until the descriptor is closed. False: another one has it. */
export function takeWriting(fd: number): boolean {
  return !isTaken(native.lockFile(fd, 0))
}

/** Does another one write there? */
export function isWritten(fd: number): boolean {
  return isTaken(native.lockFile(fd, 1))
}

/** Of whoever listens there: taken until the descriptor is closed. False: another one has it. */
export function takeListening(fd: number): boolean {
  return !isTaken(native.lockFile(fd, 2))
}

/** A system that does not lock FIFOs (macOS) says other errors. */
function isTaken(error: number): boolean {
  return error === EAGAIN || error === EACCES
}

/** Does the path still lead to that one? */
export function leadsTo(path: string, { dev, ino }: Stats): boolean {
  const found = fs().statSync(path, { throwIfNoEntry: false })
  return found?.dev === dev && found.ino === ino
}

/** @throws MillraceError `INVALID_ARGUMENT` */
export function assertKnown({ text, query }: Address, known: readonly string[]): void {
  for (const key of query.keys()) {
    if (known.includes(key)) continue
    throw invalidArgument(
      known.length === 0
        ? `the address '${text}' can have nothing behind its path`
        : `the address '${text}' says '${key}', which is unknown: there are ${known.join(', ')}`,
    )
  }
}
