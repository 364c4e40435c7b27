// Unary calls of @grpc/grpc-js over a Unix socket, or the loopback of TCP; the bytes are the message, with no further serialization.

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { tmpdir } from 'node:os'

import { Content, payload } from '../side/content.js'
import type { Measured } from '../side/measured.js'
import { trips } from '../side/measuring.js'
import type { Parameters } from '../side/parameters.js'
import { grpcClient, serveGrpc } from '../side/plain-grpc.js'

const address = ({ name, transport }: Parameters) =>
  transport === 'tcp' ? '127.0.0.1:0' : `unix://${tmpdir()}/${name}.grpc`

export async function lead(parameters: Parameters, follower: ChildProcess): Promise<Measured> {
  const [place] = (await once(follower, 'message')) as [string]
  const client = grpcClient(place)
  const content = new Content(parameters)
  const message = payload(parameters.bytes)
  const measured = await trips(parameters, follower.pid!, async (i) => {
    content.write(message, i)
    content.read(await client.echo(message), i)
  })
  client.close()
  follower.send('end')
  return measured
}

export async function follow(parameters: Parameters): Promise<void> {
  const content = new Content(parameters)
  let sequence = 0
  const server = await serveGrpc(address(parameters), (bytes) => {
    content.read(bytes, sequence++)
  })
  const { port } = server
  process.send?.(parameters.transport === 'tcp' ? `127.0.0.1:${String(port)}` : address(parameters))
  await once(process, 'message')
  server.close()
}
