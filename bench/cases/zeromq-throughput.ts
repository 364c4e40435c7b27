// Messages one way over a zeromq PAIR on ipc://, one send each; a short message asks whether everything has arrived.

import type { ChildProcess } from 'node:child_process'

import { Content, payload } from '../side/content.js'
import type { Measured } from '../side/measured.js'
import { stream } from '../side/measuring.js'
import type { Parameters } from '../side/parameters.js'
import { peer, type Zeromq } from '../side/peer.js'
import { removeZeromqSocket, zeromqAddress } from '../side/zeromq-address.js'

const { Pair } = peer('zeromq') as Zeromq
const question = Buffer.from('?')
const end = Buffer.from('!!')

export async function lead(parameters: Parameters, { pid }: ChildProcess): Promise<Measured> {
  const { bytes, block = 4096 } = parameters
  // A socket takes one send at a time, and waits when this many are queued.
  const pair = new Pair({ sendHighWaterMark: block, receiveHighWaterMark: block })
  await pair.bind(zeromqAddress(parameters))
  await pair.receive()
  const content = new Content(parameters)
  const small = payload(bytes)
  const measured = await stream(
    parameters,
    pid!,
    async (from, to) => {
      for (let i = from; i < to; i++) {
        // It copies small ones, and sends larger ones from where they are.
        const message = bytes > 64 ? Buffer.allocUnsafe(bytes) : small
        content.write(message, i)
        await pair.send(message)
      }
    },
    async () => {
      await pair.send(question)
      await pair.receive()
    },
  )
  await pair.send(end)
  await pair.receive()
  pair.close()
  removeZeromqSocket(parameters)
  return measured
}

export async function follow(parameters: Parameters): Promise<void> {
  const { bytes, block = 4096 } = parameters
  const pair = new Pair({ sendHighWaterMark: block, receiveHighWaterMark: block })
  pair.connect(zeromqAddress(parameters))
  await pair.send(question)
  const content = new Content(parameters)
  let sequence = 0
  for (;;) {
    const [message] = await pair.receive()
    if (message.length === bytes) content.read(message, sequence++)
    else {
      await pair.send(question)
      if (message.length === end.length) break
    }
  }
  // Let it go out.
  await new Promise((resolve) => setTimeout(resolve, 20))
}
