// Hands a frame over and gets a small message back: the round trip of a hand-over. The payload is in the
// slot already, as a camera driver or decoder would have put it there; nobody copies or reads it.

import type { ChildProcess } from 'node:child_process'

import { FrameReader, FrameWriter, SpscQueue } from 'millrace'

import { Content } from '../side/content.js'
import type { Measured } from '../side/measured.js'
import { trips } from '../side/measuring.js'
import type { Parameters } from '../side/parameters.js'

export async function lead(parameters: Parameters, { pid }: ChildProcess): Promise<Measured> {
  const { name, bytes, check, poll } = parameters
  const tuning = poll === undefined ? {} : { poll }
  const writer = FrameWriter.create(name, { slotBytes: bytes, slots: 4, ...tuning })
  const back = SpscQueue.consumer(name, tuning)
  const content = new Content(parameters)
  await writer.waitForReaders()
  const measured = await trips(parameters, pid!, async (i) => {
    const frame = await writer.loan()
    if (check) content.write(frame.bytes, i)
    frame.publish()
    await back.pop()
  })
  writer.close()
  back.close()
  return measured
}

export async function follow(parameters: Parameters): Promise<void> {
  const { name, check, poll } = parameters
  const tuning = poll === undefined ? {} : { poll }
  const reader = await FrameReader.open(name, tuning)
  const back = SpscQueue.producer(name, tuning)
  const content = new Content(parameters)
  const answer = Buffer.from('1')
  for (let i = 0; ; i++) {
    const frame = await reader.receive()
    if (frame === undefined) break
    if (check) content.read(frame.bytes, i)
    frame.release()
    await back.push(answer)
  }
  reader.close()
  back.close()
}
