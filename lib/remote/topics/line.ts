// The client's end of a connection to a shared bus, or to a queue group of one.

import type { FrameChannel } from '../../rpc/streams/channel.js'
import { topicsContract, window, type TopicsLine } from './contract.js'
import { groupContract, type GroupLine } from './group-contract.js'

/** @throws MillraceError `INVALID_ARGUMENT` */
export function topicsLine(channel: FrameChannel): TopicsLine {
  const { connectOver } = require('../../rpc/over.js') as typeof import('../../rpc/over.js')
  return connectOver(channel, topicsContract, window)
}

/** @throws MillraceError `INVALID_ARGUMENT` */
export function groupLine(channel: FrameChannel): GroupLine {
  const { connectOver } = require('../../rpc/over.js') as typeof import('../../rpc/over.js')
  return connectOver(channel, groupContract)
}
