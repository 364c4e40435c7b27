// Round trips over a Unix socket: `bytes` there, `bytes` (or one byte, for frames) back.

import { once } from 'node:events'
import { createServer, connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

import { Stopwatch, type Measured, type Parameters } from '../measured.js'

export const socketPath = ({ name }: Parameters) => join(tmpdir(), `${name}.sock`)

/** Resolves each time `bytes` bytes have arrived. The content is not put together: nobody asked for it. */
function arrivals(socket: Socket, bytes: number): () => Promise<void> {
  let missing = bytes
  let resolve: (() => void) | undefined
  socket.on('data', (chunk: Buffer) => {
    missing -= chunk.length
    if (missing <= 0) {
      missing += bytes
      resolve?.()
    }
  })
  return () =>
    new Promise((done) => {
      resolve = done
    })
}

const answerBytes = (bytes: number) => (bytes > 1024 ? 1 : bytes)

export async function lead(parameters: Parameters): Promise<Measured> {
  const { bytes, count } = parameters
  const server = createServer().listen(socketPath(parameters))
  const [socket] = (await once(server, 'connection')) as [Socket]
  const message = Buffer.alloc(bytes, 1)
  const answer = arrivals(socket, answerBytes(bytes))
  const stopwatch = new Stopwatch()
  for (let i = -Math.ceil(count / 10); i < count; i++) {
    stopwatch.start()
    const answered = answer()
    socket.write(message)
    await answered
    if (i >= 0) stopwatch.stop()
  }
  socket.end()
  server.close()
  return stopwatch.result()
}

export async function follow(parameters: Parameters): Promise<void> {
  const { bytes } = parameters
  const socket = await connectWhenThere(socketPath(parameters))
  const answer = Buffer.alloc(answerBytes(bytes), 1)
  let missing = bytes
  socket.on('data', (chunk: Buffer) => {
    missing -= chunk.length
    while (missing <= 0) {
      missing += bytes
      socket.write(answer)
    }
  })
  await once(socket, 'end')
  socket.destroy()
}

export async function connectWhenThere(path: string): Promise<Socket> {
  for (;;) {
    const socket = connect(path)
    try {
      await once(socket, 'connect')
      return socket
    } catch {
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }
}
