// Messages one way over process.send. When the channel says it is full, the sender waits until the last one is out.

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'

import { Content, payload } from '../side/content.js'
import type { Measured } from '../side/measured.js'
import { stream } from '../side/measuring.js'
import type { Parameters } from '../side/parameters.js'
import { packing } from '../side/process-channel.js'

export async function lead(parameters: Parameters, follower: ChildProcess): Promise<Measured> {
  const { pack } = packing(parameters)
  const message = payload(parameters.bytes)
  const content = new Content(parameters)
  await once(follower, 'message')
  const measured = await stream(
    parameters,
    follower.pid!,
    async (from, to) => {
      for (let i = from; i < to - 1; i++) {
        content.write(message, i)
        follower.send(pack(message))
      }
      content.write(message, to - 1)
      await new Promise((resolve) => follower.send(pack(message), resolve))
    },
    async () => {
      const answered = once(follower, 'message')
      follower.send('question')
      await answered
    },
  )
  follower.send('end')
  return measured
}

export async function follow(parameters: Parameters): Promise<void> {
  const { unpack } = packing(parameters)
  const content = new Content(parameters)
  let sequence = 0
  await new Promise<void>((resolve) => {
    process.on('message', (message) => {
      if (message === 'question') process.send?.('answer')
      else if (message === 'end') resolve()
      else content.read(unpack(message), sequence++)
    })
    process.send?.('ready')
  })
}
