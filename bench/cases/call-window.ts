// Calls of which so many are under way at a time, as fast as they are answered: of @grpc/grpc-js over a Unix socket; or from shared
// memory to shared memory, through two gateways that speak gRPC with each other over one.

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { tmpdir } from 'node:os'

import { connect, serve } from 'millrace/rpc'

import { Content, payload, sequenceOf } from '../side/content.js'
import { echoing } from '../side/echoing.js'
import { gatewayEnded, gatewayStarted } from '../side/gateways.js'
import { InFlight } from '../side/in-flight.js'
import type { Measured } from '../side/measured.js'
import { stream } from '../side/measuring.js'
import type { Parameters } from '../side/parameters.js'
import { grpcClient, serveGrpc } from '../side/plain-grpc.js'

interface Caller {
  echo(message: Buffer): Promise<Buffer | Uint8Array>
  close(): Promise<void>
}

/** Gateways connect in the background. */
const patienceMs = 20_000

const socketOf = ({ name }: Parameters) => `${tmpdir()}/${name}.grpc`
const betweenOf = (parameters: Parameters) => `grpc+unix://${socketOf(parameters)}/bench`
const hereOf = ({ name }: Parameters) => `${name}-here`
const thereOf = ({ name }: Parameters) => `${name}-there`

export async function lead(parameters: Parameters, follower: ChildProcess): Promise<Measured> {
  await once(follower, 'message')
  const caller = await (parameters.through === 'grpc' ? callerHere(parameters) : plain(parameters))
  const content = new Content(parameters)
  const calls = new InFlight(parameters.inFlight ?? 1)
  const call = async (sequence: number): Promise<void> => {
    const message = payload(parameters.bytes)
    content.write(message, sequence)
    content.read(await caller.echo(message), sequence)
  }
  const measured = await stream(
    parameters,
    follower.pid!,
    async (from, to) => {
      for (let i = from; i < to; i++) await calls.add(call(i))
    },
    () => calls.all(),
  )
  await caller.close()
  follower.send('end')
  return measured
}

function plain(parameters: Parameters): Promise<Caller> {
  const client = grpcClient(`unix://${socketOf(parameters)}`)
  return Promise.resolve({
    echo: (message) => client.echo(message),
    close: () => {
      client.close()
      return Promise.resolve()
    },
  })
}

async function callerHere(parameters: Parameters): Promise<Caller> {
  const [from, to] = [hereOf(parameters), betweenOf(parameters)]
  const gateway = await gatewayStarted('here', { kind: 'calls', from, to })
  const client = await connect(from, echoing, { waitForServer: patienceMs })
  return {
    echo: (message) => client.echo(message),
    close: async () => {
      client.close()
      await gatewayEnded(gateway)
    },
  }
}

export async function follow(parameters: Parameters): Promise<void> {
  const content = new Content(parameters)
  const came = (bytes: Uint8Array): void => {
    content.read(bytes, sequenceOf(bytes))
  }
  const close = await (parameters.through === 'grpc'
    ? servedThere(parameters, came)
    : servedPlain(parameters, came))
  process.send?.('ready')
  await once(process, 'message')
  await close()
}

async function servedPlain(
  parameters: Parameters,
  came: (bytes: Uint8Array) => void,
): Promise<() => Promise<void>> {
  const server = await serveGrpc(`unix://${socketOf(parameters)}`, came)
  return () => {
    server.close()
    return Promise.resolve()
  }
}

async function servedThere(
  parameters: Parameters,
  came: (bytes: Uint8Array) => void,
): Promise<() => Promise<void>> {
  const there = thereOf(parameters)
  const server = await serve(
    there,
    echoing,
    {
      echo: (bytes) => {
        came(bytes)
        return bytes
      },
    },
    { concurrency: parameters.inFlight ?? 1 },
  )
  const gateway = await gatewayStarted('there', {
    kind: 'calls',
    from: betweenOf(parameters),
    to: there,
  })
  return async () => {
    await gatewayEnded(gateway)
    server.close()
  }
}
