// What is used of @redis/client, an optional peer.

import { startTurn } from '../../base/time.js'
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

const asking = ['sendCommand', 'subscribe', 'unsubscribe', 'pSubscribe', 'pUnsubscribe'] as const

interface RedisLibrary {
  createClient(options: object): RedisClient
}

const timers = globalThis as unknown as { setImmediate: (callback: () => void) => unknown }
/** Node's own: its text says what it is, and it has no clock. Undefined: another one was there before. */
const nodes =
  String(timers.setImmediate).startsWith('function setImmediate') &&
  !('clock' in timers.setImmediate)
    ? timers.setImmediate
    : undefined

const loaded: { library?: RedisLibrary } = {}

/**
 * A client of the library. It writes in the next turn of the event loop, for which it asks the global `setImmediate`. What a test has put in
 * the place of that never comes; so while a client is asked something, turns are those of the system.
 *
 * @throws MillraceError `MISSING_PEER`
 */
export function redisClient(options: object): RedisClient {
  const client = redisLibrary().createClient(options)
  for (const name of asking) {
    const ask = client[name].bind(client) as (...args: readonly unknown[]) => never
    client[name] = (...args: readonly unknown[]) => inTurn(ask, args)
  }
  return client
}

function inTurn<T>(ask: (...args: readonly unknown[]) => T, args: readonly unknown[]): T {
  const theirs = timers.setImmediate
  if (theirs === nodes) return ask(...args)
  timers.setImmediate = startTurn
  try {
    return ask(...args)
  } finally {
    timers.setImmediate = theirs
  }
}

/** @throws MillraceError `MISSING_PEER` */
export function redisLibrary(): RedisLibrary {
  return (loaded.library ??= loadPeer(
    '@redis/client',
    'addresses of redis:// and rediss://',
  ) as RedisLibrary)
}
