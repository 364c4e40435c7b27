// Unary calls of one client to one server, each in its event loop, with default options: in memory, or by an address. As JSON, the argument is a string that has so
// many bytes with its quotes; the handler gives back what it got.

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'

import { call, connect, contract, serve } from 'millrace/rpc'

import { Content, payload } from '../side/content.js'
import type { Measured } from '../side/measured.js'
import { trips } from '../side/measuring.js'
import { addressOf } from '../side/meeting.js'
import type { Parameters } from '../side/parameters.js'

const json = contract('bench', { echo: call<string, string>() })
const raw = contract('bench', { echo: call<Uint8Array, Uint8Array>() }, { codec: 'bytes' })
const quotes = 2
const digits = 10

export async function lead(parameters: Parameters, follower: ChildProcess): Promise<Measured> {
  const { bytes, codec } = parameters
  const [name] = (await once(follower, 'message')) as [string]
  const measured =
    codec === 'bytes' ? await bytesTrips(name, parameters, follower) : await jsonTrips(name, bytes)
  follower.send('end')
  return measured

  async function jsonTrips(to: string, length: number): Promise<Measured> {
    using client = await connect(to, json)
    const rest = '.'.repeat(length - quotes - digits)
    return await trips(parameters, follower.pid!, async (i) => {
      const text = `${String(i).padStart(digits)}${rest}`
      if ((await client.echo(text)) !== text)
        throw new Error(`call ${String(i)} was answered wrongly`)
    })
  }
}

async function bytesTrips(
  name: string,
  parameters: Parameters,
  follower: ChildProcess,
): Promise<Measured> {
  using client = await connect(name, raw)
  const content = new Content(parameters)
  const message = payload(parameters.bytes)
  return await trips(parameters, follower.pid!, async (i) => {
    content.write(message, i)
    content.read(await client.echo(message), i)
  })
}

export async function follow(parameters: Parameters): Promise<void> {
  const name = parameters.transport === undefined ? parameters.name : addressOf(parameters)
  const server =
    parameters.codec === 'bytes'
      ? await serve(name, raw, { echo: (bytes) => bytes })
      : await serve(name, json, { echo: (text) => text })
  process.send?.(server.name)
  await once(process, 'message')
  server.close()
}
