// Round trips over child_process' own channel: process.send there, and back. With `json` the bytes travel as base64.

import type { ChildProcess } from 'node:child_process'

import { Content, payload } from '../side/content.js'
import type { Measured } from '../side/measured.js'
import { trips } from '../side/measuring.js'
import type { Parameters } from '../side/parameters.js'
import { packing } from '../side/process-channel.js'

export async function lead(parameters: Parameters, follower: ChildProcess): Promise<Measured> {
  const { bytes } = parameters
  const { pack, unpack } = packing(parameters)
  const message = payload(bytes)
  const content = new Content(parameters)
  let arrived: (message: unknown) => void = () => undefined
  const answer = () =>
    new Promise<unknown>((resolve) => {
      arrived = resolve
    })
  const ready = answer()
  follower.on('message', (message) => {
    arrived(message)
  })
  await ready
  const measured = await trips(parameters, follower.pid!, async (i) => {
    content.write(message, i)
    const answered = answer()
    follower.send(pack(message))
    const back = await answered
    if (back !== 1) content.read(unpack(back), i)
  })
  follower.send('end')
  return measured
}

export async function follow(parameters: Parameters): Promise<void> {
  const { bytes, check } = parameters
  const { unpack } = packing(parameters)
  const content = new Content(parameters)
  let sequence = 0
  await new Promise<void>((resolve) => {
    process.on('message', (message) => {
      if (message === 'end') {
        resolve()
        return
      }
      if (check) content.read(unpack(message), sequence++)
      process.send?.(bytes > 65536 ? 1 : message)
    })
    process.send?.('ready')
  })
}
