// Unary calls of @grpc/grpc-js over a Unix socket, or the loopback of TCP; the bytes are the message, with no further serialization.

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { tmpdir } from 'node:os'

import { Content, payload } from '../side/content.js'
import type { Measured } from '../side/measured.js'
import { trips } from '../side/measuring.js'
import type { Parameters } from '../side/parameters.js'
import { peer, type Grpc } from '../side/peer.js'

const grpc = peer('@grpc/grpc-js') as Grpc
const address = ({ name, transport }: Parameters) =>
  transport === 'tcp' ? '127.0.0.1:0' : `unix://${tmpdir()}/${name}.grpc`

const asItIs = (bytes: Buffer) => bytes
const definition = {
  echo: {
    path: '/Bench/Echo',
    requestStream: false,
    responseStream: false,
    requestSerialize: asItIs,
    requestDeserialize: asItIs,
    responseSerialize: asItIs,
    responseDeserialize: asItIs,
  },
}

export async function lead(parameters: Parameters, follower: ChildProcess): Promise<Measured> {
  const [place] = (await once(follower, 'message')) as [string]
  const Client = grpc.makeGenericClientConstructor(definition, 'Bench')
  const client = new Client(place, grpc.credentials.createInsecure())
  const content = new Content(parameters)
  const message = payload(parameters.bytes)
  const call = () =>
    new Promise<Buffer>((resolve, reject) => {
      client.echo(message, (error, answer) => {
        if (error === null) resolve(answer)
        else reject(error)
      })
    })
  const measured = await trips(parameters, follower.pid!, async (i) => {
    content.write(message, i)
    content.read(await call(), i)
  })
  client.close()
  follower.send('end')
  return measured
}

export async function follow(parameters: Parameters): Promise<void> {
  const server = new grpc.Server()
  const content = new Content(parameters)
  let sequence = 0
  server.addService(definition, {
    echo(call: { request: Buffer }, done: (error: null, answer: Buffer) => void) {
      content.read(call.request, sequence++)
      done(null, call.request)
    },
  })
  const credentials = grpc.ServerCredentials.createInsecure()
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(address(parameters), credentials, (error, bound) => {
      if (error === null) resolve(bound)
      else reject(error)
    })
  })
  process.send?.(parameters.transport === 'tcp' ? `127.0.0.1:${String(port)}` : address(parameters))
  await once(process, 'message')
  server.forceShutdown()
}
