// What is used of @redis/client, an optional peer.

import { loadPeer } from '../peer.js'

export type RedisArgument = string | Buffer

/** As `listener(message, channel)`, both as they are on the wire. */
export type RedisListener = (message: Buffer, channel: Buffer) => void

export interface RedisClient {
  connect(): Promise<unknown>
  sendCommand(args: readonly RedisArgument[], options?: object): Promise<unknown>
  subscribe(channel: string, listener: RedisListener, asBuffers: true): Promise<void>
  unsubscribe(channel: string, listener: RedisListener, asBuffers: true): Promise<void>
  pSubscribe(pattern: string, listener: RedisListener, asBuffers: true): Promise<void>
  pUnsubscribe(pattern: string, listener: RedisListener, asBuffers: true): Promise<void>
  on(event: 'error' | 'terminated', listener: (error: Error) => void): this
  /** Whatever waits for an answer rejects. */
  destroy(): void
  ref(): void
  unref(): void
}

interface RedisLibrary {
  createClient(options: object): RedisClient
}

const loaded: { library?: RedisLibrary } = {}

/** @throws MillraceError `MISSING_PEER` */
export function redisLibrary(): RedisLibrary {
  return (loaded.library ??= loadPeer(
    '@redis/client',
    'addresses of redis:// and rediss://',
  ) as RedisLibrary)
}
