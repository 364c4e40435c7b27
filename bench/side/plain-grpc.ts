// @grpc/grpc-js as it is: a service that gives back what it gets, with no serialization besides, and its client.

import { peer, type Grpc } from './peer.js'

const load = () => peer('@grpc/grpc-js') as Grpc

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

export interface GrpcServing {
  readonly port: number
  close(): void
}

/** `came` sees what comes, before it goes back. */
export async function serveGrpc(
  address: string,
  came: (bytes: Buffer) => void,
): Promise<GrpcServing> {
  const { Server, ServerCredentials } = load()
  const server = new Server()
  server.addService(definition, {
    echo(call: { request: Buffer }, done: (error: null, answer: Buffer) => void) {
      came(call.request)
      done(null, call.request)
    },
  })
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound)
      else reject(error)
    })
  })
  return {
    port,
    close: () => {
      server.forceShutdown()
    },
  }
}

export interface GrpcClient {
  echo(message: Buffer): Promise<Buffer>
  close(): void
}

export function grpcClient(place: string): GrpcClient {
  const grpc = load()
  const Client = grpc.makeGenericClientConstructor(definition, 'Bench')
  const client = new Client(place, grpc.credentials.createInsecure())
  return {
    echo: (message) =>
      new Promise((resolve, reject) => {
        client.echo(message, (error, answer) => {
          if (error === null) resolve(answer)
          else reject(error)
        })
      }),
    close: () => {
      client.close()
    },
  }
}
