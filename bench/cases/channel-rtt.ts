// Round trips over a channel by address, with default options: send there, send back.

import type { ChildProcess } from 'node:child_process'

import { Content, payload } from '../side/content.js'
import type { Measured } from '../side/measured.js'
import { trips } from '../side/measuring.js'
import { meet, met } from '../side/meeting.js'
import type { Parameters } from '../side/parameters.js'

export async function lead(parameters: Parameters, follower: ChildProcess): Promise<Measured> {
  await using channel = await met(follower)
  const content = new Content(parameters)
  const message = payload(parameters.bytes)
  return await trips(parameters, follower.pid!, async (i) => {
    content.write(message, i)
    await channel.send(message)
    content.read((await channel.receive())!, i)
  })
}

export async function follow(parameters: Parameters): Promise<void> {
  await using channel = await meet(parameters)
  for await (const message of channel) await channel.send(message)
}
