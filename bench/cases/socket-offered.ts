// As queue-offered, over a Unix socket.

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'

import type { Measured } from '../side/measured.js'
import { Lateness, offer } from '../side/offering.js'
import type { Parameters } from '../side/parameters.js'
import { accepted, connected, cutting, prefixBytes } from '../side/socket.js'

export async function lead(parameters: Parameters, follower: ChildProcess): Promise<Measured> {
  const socket = await accepted(parameters)
  const lateness = once(follower, 'message') as Promise<[Measured]>
  const size = prefixBytes + parameters.bytes
  const cpu = await offer(parameters, follower.pid!, (message) => {
    const block = Buffer.allocUnsafe(size)
    block.writeUInt32LE(message.length)
    message.copy(block, prefixBytes)
    socket.write(block)
    return true
  })
  socket.end()
  const [measured] = await lateness
  socket.destroy()
  return { ...measured, ...cpu }
}

export async function follow(parameters: Parameters): Promise<void> {
  const lateness = new Lateness(parameters)
  const onMessage = (source: Buffer, at: number, length: number) => {
    lateness.arrived(source.subarray(at, at + length))
  }
  const socket = await connected(parameters, 1 << 16, cutting(parameters.bytes, onMessage))
  await once(socket, 'end')
  await new Promise((resolve) => process.send?.(lateness.result(), resolve))
  socket.destroy()
}
