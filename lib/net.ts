/**
 * Connections: {@link connect} and {@link listen}, messages of bytes both ways over shared memory, Unix sockets, TCP, TLS and whatever
 * else a transport is registered for; the address decides.
 *
 * @module millrace/net
 */

import { knowTransport } from './net/transport.js'
import { fd } from './net/transports/fd.js'
import { file } from './net/transports/file.js'
import { pipe } from './net/transports/pipe.js'
import { shm } from './net/transports/shm.js'
import { tcp } from './net/transports/tcp.js'
import { tls } from './net/transports/tls.js'
import { unix } from './net/transports/unix.js'

knowTransport('shm', () => shm)
knowTransport('unix', () => unix)
knowTransport('tcp', () => tcp)
knowTransport('tls', () => tls)
knowTransport('fd', () => fd)
knowTransport('pipe', () => pipe)
knowTransport('file', () => file)

export type {
  Channel,
  Listener,
  Peer,
  PeerCertificate,
  ReconnectingChannel,
  Refusals,
  Traits,
} from './net/channel.js'
export { connect, listen } from './net/connect.js'
export type {
  ConnectionEmitter,
  ConnectionEvents,
  ConnectionGap,
  ConnectionListener,
  ConnectionLoss,
  ConnectionState,
  ConnectionStatus,
} from './net/connection-status.js'
export { ChannelFrames } from './net/frame-channel.js'
export type { LinkEvents, MessageLink } from './net/link.js'
export type {
  ConnectOptions,
  ConnectionOptions,
  CurveOptions,
  GivenConnect,
  GivenConnection,
  GivenListen,
  ListenOptions,
  PeerAllow,
} from './net/options.js'
export type { ReconnectOptions } from './net/backoff.js'
export type { RemoteOptions, Share, ShareOptions } from './net/share.js'
/** @internal */
export { crc32 } from './net/checksum.js'
/** @internal */
export { readConnect } from './net/options.js'
/** @internal */
export { judgeWay } from './net/judged.js'
/** @internal */
export { Session } from './net/session.js'
/** @internal */
export { transportOf } from './net/transport.js'
/** @internal */
export { Line } from './net/waits.js'
export {
  registerTransport,
  type Arrivals,
  type Connection,
  type Listening,
  type Transport,
} from './net/transport.js'
export type { Address, Resolve, Resolver } from './place/address.js'
export { setResolve } from './place/elsewhere.js'
/** @internal */
export { addressElsewhere } from './place/elsewhere.js'
