// A connection to something that is shared: made, greeted, and as frames.

import type { WaitOptions } from '../base/options.js'
import { now } from '../base/time.js'
import type { Channel } from '../net/channel.js'
import type { ChannelFrames } from '../net/frame-channel.js'
import type { ConnectionOptions } from '../net/options.js'
import type { RemoteOptions } from '../net/share.js'
import { ask, greet, type Kind } from './greeting.js'

/** Milliseconds for one attempt: who waits for the connection waits for several. */
const attemptMs = 5000

/**
 * `name`: of the contract, for messages.
 *
 * @throws MillraceError (as rejection) as `connect` and `greet`
 */
export async function dial(
  address: string,
  { reconnect: _reconnect, ...options }: RemoteOptions,
  kind: Kind,
  fingerprint: bigint,
  signal: AbortSignal,
  name?: string,
): Promise<{
  readonly frames: ChannelFrames
  readonly channel: Channel
  /** May contexts of traces go along with calls? */
  readonly takesTraces: boolean
}> {
  const { connect } = require('../net/connect.js') as typeof import('../net/connect.js')
  const { ChannelFrames: Frames } =
    require('../net/frame-channel.js') as typeof import('../net/frame-channel.js')
  const end = now() + attemptMs
  const channel = await connect(address, { ...options, signal, timeout: attemptMs })
  let takesTraces: boolean
  try {
    const wait = { signal, timeout: Math.max(end - now(), 1) }
    takesTraces = await greet(channel, kind, { fingerprint, name }, wait)
  } catch (error) {
    channel.destroy()
    throw error
  }
  return { frames: new Frames(channel), channel, takesTraces }
}

/**
 * What is shared there, as whoever shares it describes it.
 *
 * @throws MillraceError (as rejection) as `connect` and `ask`
 */
export async function dialToAsk(
  address: string,
  connection: ConnectionOptions | undefined,
  kind: Kind,
  { signal, timeout = attemptMs }: WaitOptions,
): Promise<unknown> {
  const { connect } = require('../net/connect.js') as typeof import('../net/connect.js')
  const end = now() + timeout
  const channel = await connect(address, { ...connection, reconnect: false, signal, timeout })
  try {
    return await ask(channel, kind, { signal, timeout: Math.max(end - now(), 0) })
  } finally {
    channel.destroy()
  }
}
