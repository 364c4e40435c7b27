// Messages one way over a socket, length-prefixed: one write for each; `batch` of them laid out in one block, as the
// program that fills them may do; or `gather` of them, each a Buffer, in one writev. An empty message asks whether
// everything has arrived.

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'

import { Content } from '../side/content.js'
import type { Measured } from '../side/measured.js'
import { stream } from '../side/measuring.js'
import type { Parameters } from '../side/parameters.js'
import { accepted, connected, cutting, prefixBytes } from '../side/socket.js'

const question = Buffer.alloc(prefixBytes)

export async function lead(parameters: Parameters, { pid }: ChildProcess): Promise<Measured> {
  const { bytes, batch = 1, gather = 1, block = 4096 } = parameters
  const socket = await accepted(parameters)
  const content = new Content(parameters)
  const size = prefixBytes + bytes
  // As many as a block has writes: what was written is left alone until all of the block is out.
  const writes = Array.from({ length: block / batch }, () => {
    const memory = Buffer.alloc(size * batch, 1)
    for (let j = 0; j < batch; j++) memory.writeUInt32LE(bytes, size * j)
    return memory
  })
  const measured = await stream(
    parameters,
    pid!,
    async (from, to) => {
      let last = Promise.resolve()
      for (let i = from, k = 0; i < to; i += batch, k++) {
        if (gather > 1 && k % gather === 0) socket.cork()
        const memory = writes[k]!
        for (let j = 0; j < batch; j++) content.write(memory, i + j, size * j + prefixBytes)
        if (i + batch < to) socket.write(memory)
        else last = new Promise((resolve) => socket.write(memory, () => resolve()))
        if (gather > 1 && (k + 1) % gather === 0) socket.uncork()
      }
      await last
    },
    async () => {
      const answered = once(socket, 'data')
      socket.write(question)
      await answered
    },
  )
  socket.end()
  await once(socket.resume(), 'close')
  return measured
}

export async function follow(parameters: Parameters): Promise<void> {
  const content = new Content(parameters)
  let sequence = 0
  const onMessage = (source: Buffer, at: number, length: number) => {
    if (length === 0) socket.write('!')
    else content.read(source, sequence++, at, length)
  }
  const socket = await connected(parameters, 1 << 17, cutting(parameters.bytes, onMessage))
  await once(socket, 'end')
  socket.destroy()
}
