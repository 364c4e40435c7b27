// A connection to something that is shared: made, greeted, and as frames.

import { now } from '../base/time.js'
import type { Channel } from '../net/channel.js'
import type { RemoteOptions } from '../net/share.js'
import type { FrameChannel } from '../rpc/streams/channel.js'
import { greet, type Kind } from './greeting.js'

/** Milliseconds for one attempt: who waits for the connection waits for several. */
const attemptMs = 5000

/** @throws MillraceError (as rejection) as `connect` and `greet` */
export async function dial(
  address: string,
  { reconnect: _reconnect, ...options }: RemoteOptions,
  kind: Kind,
  fingerprint: bigint,
  signal: AbortSignal,
): Promise<{ readonly frames: FrameChannel; readonly channel: Channel }> {
  const { connect } = require('../net/connect.js') as typeof import('../net/connect.js')
  const { ChannelFrames } =
    require('../net/frame-channel.js') as typeof import('../net/frame-channel.js')
  const end = now() + attemptMs
  const channel = await connect(address, { ...options, signal, timeout: attemptMs })
  try {
    await greet(channel, kind, fingerprint, { signal, timeout: Math.max(end - now(), 1) })
  } catch (error) {
    channel.destroy()
    throw error
  }
  return { frames: new ChannelFrames(channel), channel }
}
