// Round trips over a socket: a message with its length before it, and the same, or one byte for frames, back.

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'

import { Content } from '../side/content.js'
import type { Measured } from '../side/measured.js'
import { trips } from '../side/measuring.js'
import type { Parameters } from '../side/parameters.js'
import { accepted, connected, cutting, prefixBytes } from '../side/socket.js'

/** Frames are answered by one byte. */
const isFrame = ({ bytes }: Parameters) => bytes > 65536

export async function lead(parameters: Parameters, { pid }: ChildProcess): Promise<Measured> {
  const { bytes, check } = parameters
  const socket = await accepted(parameters)
  const content = new Content(parameters)
  const message = Buffer.alloc(prefixBytes + bytes, 1)
  message.writeUInt32LE(bytes)
  let arrived: () => void = () => undefined
  let sequence = 0
  const cut = cutting(bytes, (source, at, length) => {
    if (length === bytes) content.read(source, sequence, at, length)
    arrived()
  })
  socket.on('data', (piece: Buffer) => {
    cut(piece, piece.length)
  })
  const answer = () =>
    new Promise<void>((resolve) => {
      arrived = resolve
    })
  const measured = await trips(parameters, pid!, async (i) => {
    sequence = i
    if (check || !isFrame(parameters)) content.write(message, i, prefixBytes)
    const answered = answer()
    socket.write(message)
    await answered
  })
  socket.end()
  await once(socket, 'close')
  return measured
}

export async function follow(parameters: Parameters): Promise<void> {
  const { bytes, check } = parameters
  const content = new Content(parameters)
  const answer = Buffer.alloc(prefixBytes + (isFrame(parameters) ? 1 : bytes))
  answer.writeUInt32LE(answer.length - prefixBytes)
  let sequence = 0
  const echo = (source: Buffer, at: number, length: number) => {
    if (check) content.read(source, sequence++, at, length)
    if (!isFrame(parameters)) source.copy(answer, prefixBytes, at, at + length)
    socket.write(answer)
  }
  // The content of a frame that is only timed is not put together: nobody asked for it.
  const whole = check || !isFrame(parameters) ? cutting(bytes, echo) : counting(bytes, echo)
  const socket = await connected(parameters, isFrame(parameters) ? 1 << 20 : 1 << 16, whole)
  await once(socket, 'end')
  socket.destroy()
}

function counting(
  bytes: number,
  onMessage: (source: Buffer, at: number, length: number) => void,
): (piece: Buffer, length: number) => void {
  let missing = prefixBytes + bytes
  return (piece, length) => {
    missing -= length
    if (missing > 0) return
    missing += prefixBytes + bytes
    onMessage(piece, 0, 1)
  }
}
