// Where the two sides of a connection by address meet: the following one listens, and tells the leading one by process.send.

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { connect, listen, type Channel } from 'millrace/net'

import type { Parameters } from './parameters.js'

export function addressOf({ name, transport = 'unix' }: Parameters): string {
  if (transport === 'tcp') return 'tcp://127.0.0.1:0'
  return transport === 'shm' ? `shm://${name}` : `unix://${join(tmpdir(), `${name}.sock`)}`
}

/** The leading side. */
export async function met(follower: ChildProcess): Promise<Channel> {
  const [address] = (await once(follower, 'message')) as [string]
  return await connect(address)
}

/** The following side. */
export async function meet(parameters: Parameters): Promise<Channel> {
  const listener = await listen(addressOf(parameters))
  process.send?.(listener.address)
  const channel = (await listener.accept())!
  await listener.close()
  return channel
}
