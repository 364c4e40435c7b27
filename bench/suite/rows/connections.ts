// Connections by address, beside queues in memory, sockets with framing by hand, zeromq and grpc-js.

import type { Row } from '../row.js'
import { ofCase, row, size } from './making.js'

const bytes = 64
/** Timed together: several times what both sides keep, or the sender's pace would be taken for that of all. */
const block = 65_536
/** zeromq: so many messages are kept at each side. */
const window = 4096

const trip = { unit: 'round trip', waiting: 'waiting' } as const
const stream = { unit: 'message', waiting: 'waiting' } as const
const rtt = (what: string) => `rtt event loop: ${what}`
const throughput = (what: string) => `throughput ${size(bytes)}: ${what}`

export const connections: readonly Row[] = [
  ...(['shm', 'unix', 'tcp'] as const).map((transport) =>
    row(rtt(`channel, ${transport}://`), ofCase('channel-rtt', { bytes, transport }), trip),
  ),
  row(rtt('Unix socket, framed by hand'), ofCase('framed-rtt', { bytes }), trip),
  row(
    rtt('call, json, tcp://'),
    ofCase('call-rtt', { bytes, codec: 'json', transport: 'tcp' }),
    trip,
  ),
  row(rtt('grpc-js, TCP'), ofCase('grpc-rtt', { bytes, transport: 'tcp' }, '@grpc/grpc-js'), trip),
  ...(['shm', 'unix', 'tcp'] as const).map((transport) =>
    row(
      throughput(`channel, ${transport}://`),
      ofCase('channel-throughput', { bytes, transport, block }),
      stream,
    ),
  ),
  row(
    throughput('Unix socket, framed by hand'),
    ofCase('framed-throughput', { bytes, block }),
    stream,
  ),
  row(
    throughput('zeromq PUSH and PULL, TCP'),
    ofCase('push-pull', { bytes, block, window }, 'zeromq'),
    stream,
  ),
]
