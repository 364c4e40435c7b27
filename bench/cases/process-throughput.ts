// Messages one way over process.send; numbers checked at the far end.

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'

import { perMessage, type Measured, type Parameters } from '../measured.js'

export async function lead(
  { bytes, count }: Parameters,
  follower: ChildProcess,
): Promise<Measured> {
  await once(follower, 'message')
  const started = performance.now()
  for (let i = 0; i < count; i++) {
    const message = Buffer.alloc(bytes)
    message.writeUInt32LE(i)
    if (!follower.send(message)) {
      // Full: go on when this one is through.
      await new Promise((resolve) => follower.send('full', resolve))
    }
  }
  const done = once(follower, 'message')
  follower.send('end')
  await done
  return perMessage(started, count)
}

export async function follow({ count }: Parameters): Promise<void> {
  process.send?.('ready')
  let expected = 0
  await new Promise<void>((resolve, reject) => {
    process.on('message', (message) => {
      if (message === 'full') return
      if (message === 'end') {
        resolve()
        return
      }
      const bytes = message as Uint8Array
      const number = Buffer.from(bytes.buffer, bytes.byteOffset, 4).readUInt32LE()
      if (number !== expected++) reject(new Error('wrong order'))
    })
  })
  if (expected !== count) throw new Error('messages are missing')
  await new Promise((resolve) => process.send?.('done', resolve))
}
