// The client's end of a connection to a shared bus.

import type { FrameChannel } from '../../rpc/streams/channel.js'
import { topicsContract, window, type TopicsLine } from './contract.js'

/** @throws MillraceError `INVALID_ARGUMENT` */
export function topicsLine(channel: FrameChannel): TopicsLine {
  const { connectOver } = require('../../rpc/over.js') as typeof import('../../rpc/over.js')
  return connectOver(channel, topicsContract, window)
}
