// Round trips between the event loop of Node and that of Python (asyncio), each message echoed: over two queues, or over a Unix socket,
// in Node as in queue-rtt and socket-rtt, in Python with callbacks (asyncio.Protocol), which is the fastest that asyncio has.

import { followedByPython } from '../side/python.js'
import type { Measured } from '../side/measured.js'
import type { Parameters } from '../side/parameters.js'
import { lead as overQueues } from './queue-rtt.js'
import { lead as overSocket } from './socket-rtt.js'

export async function lead(parameters: Parameters): Promise<Measured> {
  return parameters.transport === 'unix'
    ? await followedByPython('echo_socket', parameters, overSocket)
    : await followedByPython('echo_queue', parameters, overQueues)
}
