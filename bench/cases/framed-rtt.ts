// Round trips over a Unix socket with hand-written framing.

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'

import { Content, payload } from '../side/content.js'
import { FramedSocket, framesOf } from '../side/framed.js'
import type { Measured } from '../side/measured.js'
import { trips } from '../side/measuring.js'
import type { Parameters } from '../side/parameters.js'
import { accepted, called } from '../side/socket.js'

export async function lead(parameters: Parameters, { pid }: ChildProcess): Promise<Measured> {
  const socket = await accepted(parameters)
  const framed = new FramedSocket(socket)
  const content = new Content(parameters)
  const message = payload(parameters.bytes)
  let arrived: (message: Buffer) => void = () => undefined
  socket.on(
    'data',
    framesOf((answer) => {
      arrived(answer)
    }),
  )
  const next = () =>
    new Promise<Buffer>((resolve) => {
      arrived = resolve
    })
  const measured = await trips(parameters, pid!, async (i) => {
    content.write(message, i)
    const answer = next()
    await framed.send(message)
    content.read(await answer, i)
  })
  socket.end()
  await once(socket, 'close')
  return measured
}

export async function follow(parameters: Parameters): Promise<void> {
  const socket = await called(parameters)
  const framed = new FramedSocket(socket)
  socket.on(
    'data',
    framesOf((message) => {
      void framed.send(message)
    }),
  )
  await once(socket, 'end')
  socket.destroy()
}
