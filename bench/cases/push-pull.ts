// Messages one way from zeromq's PUSH to its PULL over the loopback of TCP, one awaited send each; an empty one asks whether everything
// has arrived, which process.send answers.

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'

import { Content, payload } from '../side/content.js'
import type { Measured } from '../side/measured.js'
import { stream } from '../side/measuring.js'
import type { Parameters } from '../side/parameters.js'
import { peer } from '../side/peer.js'

interface Zeromq {
  readonly Push: new (options: object) => {
    connect(address: string): void
    send(message: Uint8Array): Promise<void>
    close(): void
  }
  readonly Pull: new (options: object) => AsyncIterable<[Buffer]> & {
    readonly lastEndpoint: string
    bind(address: string): Promise<void>
    close(): void
  }
}

const { Push, Pull } = peer('zeromq') as Zeromq
const question = new Uint8Array(0)

export async function lead(parameters: Parameters, follower: ChildProcess): Promise<Measured> {
  const { bytes, window = 4096 } = parameters
  const [address] = (await once(follower, 'message')) as [string]
  const push = new Push({ sendHighWaterMark: window })
  push.connect(address)
  const content = new Content(parameters)
  const message = payload(bytes)
  const measured = await stream(
    parameters,
    follower.pid!,
    async (from, to) => {
      for (let i = from; i < to; i++) {
        // It copies small ones, and would send larger ones from where they are.
        content.write(message, i)
        await push.send(message)
      }
    },
    async () => {
      const answered = once(follower, 'message')
      await push.send(question)
      await answered
    },
  )
  follower.send('end')
  push.close()
  return measured
}

export async function follow(parameters: Parameters): Promise<void> {
  const pull = new Pull({ receiveHighWaterMark: parameters.window ?? 4096 })
  await pull.bind('tcp://127.0.0.1:*')
  process.send?.(pull.lastEndpoint)
  const content = new Content(parameters)
  let sequence = 0
  process.once('message', () => {
    pull.close()
  })
  for await (const [message] of pull) {
    if (message.length === 0) process.send?.('answer')
    else content.read(message, sequence++)
  }
}
