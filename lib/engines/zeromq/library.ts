// What is used of zeromq, an optional peer. Its options are properties of a socket, and are given when it is made.

import { loadPeer } from '../peer.js'

export type Frames = readonly Uint8Array[]

export interface ZmqContext {
  blocky: boolean
}

export interface ZmqNative {
  readonly closed: boolean
  /** Is there something to be received? */
  readonly readable: boolean
  sendTimeout: number
  bind(address: string): Promise<void>
  connect(address: string): void
  disconnect(address: string): void
  /** Rejects with `EAGAIN` when the time of `sendTimeout` is over. One at a time. */
  send(frames: readonly (Uint8Array | string)[]): Promise<void>
  /** Rejects with `EAGAIN` when the time of `receiveTimeout` is over, or it was closed. One at a time. */
  receive(): Promise<Buffer[]>
  subscribe(...prefixes: string[]): void
  unsubscribe(...prefixes: string[]): void
  close(): void
}

type ZmqClass = new (options: object) => ZmqNative

export type ZmqKind = 'Push' | 'Pull' | 'Publisher' | 'Subscriber' | 'Dealer' | 'Router'

export type ZmqLibrary = Readonly<Record<ZmqKind, ZmqClass>> & {
  readonly capability: { readonly ipc?: boolean; readonly curve?: boolean }
  readonly Context: new (options: { readonly blocky: boolean }) => ZmqContext
}

const loaded: { library?: ZmqLibrary; context?: ZmqContext } = {}

/** @throws MillraceError `MISSING_PEER` */
export function zmqLibrary(): ZmqLibrary {
  return (loaded.library ??= loadPeer(
    'zeromq',
    'addresses of zmq+tcp:// and zmq+ipc://',
  ) as ZmqLibrary)
}

/**
 * One of our own: who may come in is asked of one handler for each context, and that of the library may have another one. Its end waits
 * for no more than the sockets say.
 */
export function zmqContext(): ZmqContext {
  return (loaded.context ??= new (zmqLibrary().Context)({ blocky: false }))
}
