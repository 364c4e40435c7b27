// Calls of many values over DEALER and ROUTER of ZeroMQ.

import { tcpAddress } from './support/zeromq.js'
import { valueScenes } from './support/values.js'

valueScenes(async () => (await tcpAddress()).at())
