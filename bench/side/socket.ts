// Sockets as well as Node allows: no delay, messages with a length before them, reads into one static buffer without
// an allocation per chunk where Node offers it (the connecting side).

import { once } from 'node:events'
import { connect, createServer, type NetConnectOpts, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { SpscQueue } from 'millrace'

import type { Parameters } from './parameters.js'

export const prefixBytes = 4

const unixPath = ({ name }: Parameters) => join(tmpdir(), `${name}.sock`)

/** The leading side: waits for the other one. */
export async function accepted(parameters: Parameters): Promise<Socket> {
  const server = createServer({ noDelay: true })
  server.listen(
    parameters.transport === 'tcp' ? { host: '127.0.0.1', port: 0 } : unixPath(parameters),
  )
  await once(server, 'listening')
  // Tells the other side that it can connect, and where.
  using ready = SpscQueue.producer(parameters.name)
  const address = server.address()
  const place = typeof address === 'object' ? address?.port : address
  const connection = once(server, 'connection') as Promise<[Socket]>
  await ready.push(JSON.stringify(place))
  const [socket] = await connection
  server.close()
  await ready.end()
  return socket
}

/** The following side. `onBytes` gets each piece that arrives, valid during the call. */
export async function connected(
  parameters: Parameters,
  staticBytes: number,
  onBytes: (bytes: Buffer, length: number) => void,
): Promise<Socket> {
  const socket = connect({
    ...(await placeOf(parameters)),
    onread: {
      buffer: Buffer.allocUnsafeSlow(staticBytes),
      callback(length, bytes) {
        onBytes(bytes as Buffer, length)
        return true
      },
    },
  })
  await once(socket, 'connect')
  return socket
}

/** The following side, with pieces as `data` brings them. */
export async function called(parameters: Parameters): Promise<Socket> {
  const socket = connect(await placeOf(parameters))
  await once(socket, 'connect')
  return socket
}

async function placeOf({ name }: Parameters): Promise<NetConnectOpts> {
  using ready = SpscQueue.consumer(name)
  const place = JSON.parse((await ready.pop())!.toString()) as number | string
  const where = typeof place === 'number' ? { host: '127.0.0.1', port: place } : { path: place }
  return { ...where, noDelay: true }
}

/** Cuts pieces into messages of up to `bytes`; only one that two pieces share is copied together. */
export function cutting(
  bytes: number,
  onMessage: (source: Buffer, at: number, length: number) => void,
): (piece: Buffer, length: number) => void {
  const cut = Buffer.alloc(prefixBytes + bytes)
  let held = 0
  return (piece, length) => {
    let at = 0
    if (held > 0) {
      if (held < prefixBytes) {
        const more = Math.min(prefixBytes - held, length)
        piece.copy(cut, held, 0, more)
        held += more
        at = more
        if (held < prefixBytes) return
      }
      const missing = prefixBytes + cut.readUInt32LE(0) - held
      const more = Math.min(missing, length - at)
      piece.copy(cut, held, at, at + more)
      held += more
      at += more
      if (more < missing) return
      onMessage(cut, prefixBytes, held - prefixBytes)
      held = 0
    }
    while (at + prefixBytes <= length) {
      const size = piece.readUInt32LE(at)
      const end = at + prefixBytes + size
      if (end > length) break
      onMessage(piece, at + prefixBytes, size)
      at = end
    }
    held = length - at
    if (held > 0) piece.copy(cut, 0, at, length)
  }
}
