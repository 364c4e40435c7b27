// Who the kernel says to be at the other side of a Unix socket, and whether that is somebody we want.

import type { Socket } from 'node:net'

import { native } from '../../addon/native.js'
import { MillraceError } from '../../errors.js'
import type { Peer } from '../channel.js'
import type { PeerAllow } from '../options.js'

/** Nothing where the runtime does not tell the descriptor of a socket. */
export function peerOfSocket(socket: Socket): Peer {
  const { fd } = (socket as unknown as { _handle?: { fd?: unknown } })._handle ?? {}
  if (typeof fd !== 'number' || fd < 0) return {}
  const [uid, gid, pid] = native.socketPeer(fd)
  return pid === 0 ? { uid, gid } : { uid, gid, pid }
}

/** A peer is allowed if its uid is among `uids` or its gid among `gids`; without either list, if its uid is ours. `pids` narrow that. */
export function allows(allow: PeerAllow | undefined, { uid, gid, pid }: Peer): boolean {
  const { uids, gids, pids } = allow ?? {}
  const among = (list: readonly number[] | undefined, id: number | undefined): boolean =>
    id !== undefined && list?.includes(id) === true
  const isKnown =
    uids === undefined && gids === undefined
      ? uid === process.geteuid?.()
      : among(uids, uid) || among(gids, gid)
  return isKnown && (pids === undefined || among(pids, pid))
}

/** @throws MillraceError `PERMISSION` */
export function assertAllowed(allow: PeerAllow | undefined, peer: Peer, address: string): void {
  if (allows(allow, peer)) return
  const who =
    peer.uid === undefined
      ? 'this runtime does not tell who'
      : `it is process ${String(peer.pid ?? '?')} of user ${String(peer.uid)}, group ${String(peer.gid)}`
  throw new MillraceError(
    'ERR_MILLRACE_PERMISSION',
    `the process at the other side of '${address}' is not allowed: ${who}; name its uid or gid in allow, if you trust it`,
    { path: address },
  )
}
