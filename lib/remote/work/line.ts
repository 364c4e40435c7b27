// The client's end of a connection to a shared work queue.

import type { FrameChannel } from '../../rpc/streams/channel.js'
import type { ConnectionOptions } from '../../rpc/streams/options.js'
import { workContract, type WorkLine } from './contract.js'

/** @throws MillraceError `INVALID_ARGUMENT` */
export function workLine(channel: FrameChannel, options?: ConnectionOptions): WorkLine {
  const { connectOver } = require('../../rpc/over.js') as typeof import('../../rpc/over.js')
  return connectOver(channel, workContract, options)
}
