// Round trips over child_process' own channel: process.send there, and back.

import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'

import { Stopwatch, type Measured, type Parameters } from '../measured.js'

export async function lead(
  { bytes, count }: Parameters,
  follower: ChildProcess,
): Promise<Measured> {
  const message = Buffer.alloc(bytes, 1)
  await once(follower, 'message')
  const stopwatch = new Stopwatch()
  for (let i = -Math.ceil(count / 10); i < count; i++) {
    stopwatch.start()
    const answered = once(follower, 'message')
    follower.send(message)
    await answered
    if (i >= 0) stopwatch.stop()
  }
  follower.send('end')
  return stopwatch.result()
}

export async function follow({ bytes }: Parameters): Promise<void> {
  process.send?.('ready')
  await new Promise<void>((resolve) => {
    process.on('message', (message) => {
      if (message === 'end') resolve()
      else process.send?.(bytes > 1024 ? 1 : message)
    })
  })
}
