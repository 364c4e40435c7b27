// Messages one way over a channel by address, one awaited send each, with default options. An empty message asks whether everything
// has arrived.

import type { ChildProcess } from 'node:child_process'

import { Content, payload } from '../side/content.js'
import type { Measured } from '../side/measured.js'
import { stream } from '../side/measuring.js'
import { meet, met } from '../side/meeting.js'
import type { Parameters } from '../side/parameters.js'

const question = new Uint8Array(0)

export async function lead(parameters: Parameters, follower: ChildProcess): Promise<Measured> {
  await using channel = await met(follower)
  const content = new Content(parameters)
  const message = payload(parameters.bytes)
  return await stream(
    parameters,
    follower.pid!,
    async (from, to) => {
      for (let i = from; i < to; i++) {
        content.write(message, i)
        await channel.send(message)
      }
    },
    async () => {
      await channel.send(question)
      await channel.receive()
    },
  )
}

export async function follow(parameters: Parameters): Promise<void> {
  await using channel = await meet(parameters)
  const content = new Content(parameters)
  let sequence = 0
  for await (const message of channel) {
    if (message.length === 0) await channel.send(question)
    else content.read(message, sequence++)
  }
}
