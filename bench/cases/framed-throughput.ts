// Messages one way over a Unix socket with hand-written framing, one send each. An empty message asks whether everything has arrived.

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'

import { Content, payload } from '../side/content.js'
import { FramedSocket, framesOf } from '../side/framed.js'
import type { Measured } from '../side/measured.js'
import { stream } from '../side/measuring.js'
import type { Parameters } from '../side/parameters.js'
import { accepted, called } from '../side/socket.js'

const question = new Uint8Array(0)

export async function lead(parameters: Parameters, { pid }: ChildProcess): Promise<Measured> {
  const socket = await accepted(parameters)
  const framed = new FramedSocket(socket)
  const content = new Content(parameters)
  const message = payload(parameters.bytes)
  const measured = await stream(
    parameters,
    pid!,
    async (from, to) => {
      for (let i = from; i < to; i++) {
        content.write(message, i)
        const full = framed.send(message)
        if (full !== undefined) await full
      }
    },
    async () => {
      const answered = once(socket, 'data')
      void framed.send(question)
      await answered
    },
  )
  socket.end()
  await once(socket.resume(), 'close')
  return measured
}

export async function follow(parameters: Parameters): Promise<void> {
  const socket = await called(parameters)
  const framed = new FramedSocket(socket)
  const content = new Content(parameters)
  let sequence = 0
  socket.on(
    'data',
    framesOf((message) => {
      if (message.length === 0) void framed.send(question)
      else content.read(message, sequence++)
    }),
  )
  await once(socket, 'end')
  socket.destroy()
}
