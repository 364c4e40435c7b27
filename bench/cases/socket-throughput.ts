// Messages one way over a Unix socket, length-prefixed, one write each or `batch` per write; numbers
// checked at the far end as in queue-throughput.

import { once } from 'node:events'
import { createServer, type Socket } from 'node:net'

import { perMessage, type Measured, type Parameters } from '../measured.js'
import { connectWhenThere, socketPath } from './socket-rtt.js'

const prefixBytes = 4

export async function lead(parameters: Parameters): Promise<Measured> {
  const { bytes, count, batch = 1 } = parameters
  const server = createServer().listen(socketPath(parameters))
  const [socket] = (await once(server, 'connection')) as [Socket]
  const started = performance.now()
  const size = prefixBytes + bytes
  for (let i = 0; i < count; i += batch) {
    const block = Buffer.alloc(size * batch)
    for (let j = 0; j < batch; j++) {
      block.writeUInt32LE(bytes, size * j)
      block.writeUInt32LE(i + j, size * j + prefixBytes)
    }
    if (!socket.write(block)) await once(socket, 'drain')
  }
  socket.end()
  await once(socket, 'close')
  server.close()
  return perMessage(started, count)
}

export async function follow(parameters: Parameters): Promise<void> {
  const socket = await connectWhenThere(socketPath(parameters))
  let rest: Buffer = Buffer.alloc(0)
  let expected = 0
  for await (const chunk of socket as AsyncIterable<Buffer>) {
    const data: Buffer = rest.length > 0 ? Buffer.concat([rest, chunk]) : chunk
    let at = 0
    while (at + prefixBytes <= data.length) {
      const end = at + prefixBytes + data.readUInt32LE(at)
      if (end > data.length) break
      if (data.readUInt32LE(at + prefixBytes) !== expected++) throw new Error('wrong order')
      at = end
    }
    rest = data.subarray(at)
  }
  if (expected < parameters.count) throw new Error('messages are missing')
}
