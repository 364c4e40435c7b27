// What a process shares with others by an address, and what others open by it.

import type { ReconnectOptions } from './backoff.js'
import type { Refusals } from './channel.js'
import type { ConnectionOptions, ListenOptions } from './options.js'

/** How something of this process is shared. */
export type ShareOptions = ListenOptions

/** How something elsewhere is reached. */
export interface RemoteOptions extends ConnectionOptions {
  /**
   * Whether the connection is made anew when it breaks, and how long is waited between two attempts: a random part of a span that
   * doubles from `base` (default 50 ms) to `cap` (default 5000 ms). Default true.
   */
  readonly reconnect?: boolean | ReconnectOptions | undefined
}

/** Something of this process that others reach by an address, until this is closed. */
export interface Share {
  /** Where: port 0 has become the port. */
  readonly address: string
  /** Clients at this moment. */
  readonly connections: number
  /** Clients that were turned away. */
  readonly refused: number
  /** The same, by cause. */
  readonly refusals: Refusals
  /** Was it closed? */
  readonly closed: boolean
  /** Takes no more clients, and ends the connections of those that are there. Resolves when they have ended. */
  close(): Promise<void>
  /** Keeps the process alive (the default). */
  ref(): this
  /** Lets the process end. */
  unref(): this
  /** What `await using` calls at the end of its block: `close()`. */
  [Symbol.asyncDispose](): Promise<void>
}
