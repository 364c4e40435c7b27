// What publishing a frame costs the writer, with so many readers in another process. They have the policy
// overwrite-oldest: the writer never waits. Either they do nothing, and each frame takes the place of the oldest in
// each queue, or they take what they can, looking all the time.

import type { ChildProcess } from 'node:child_process'

import { FrameReader, FrameWriter, SpscQueue } from 'millrace'

import { Content } from '../side/content.js'
import type { Measured } from '../side/measured.js'
import { stream } from '../side/measuring.js'
import type { Parameters } from '../side/parameters.js'

const depth = 2

export async function lead(parameters: Parameters, { pid }: ChildProcess): Promise<Measured> {
  const { name, bytes, check, many = 1 } = parameters
  const slots = 4 * (depth + 2)
  const writer = FrameWriter.create(name, { slotBytes: bytes, slots })
  const end = SpscQueue.producer(`${name}.end`)
  const content = new Content(parameters)
  await writer.waitForReaders(many)
  const measured = await stream(
    parameters,
    pid!,
    (from, to) => {
      for (let i = from; i < to; i++) {
        const frame = writer.tryLoan()!
        if (check) content.write(frame.bytes, i)
        frame.publish()
      }
    },
    () => undefined,
  )
  await end.push('end')
  await end.end()
  writer.close()
  return measured
}

export async function follow(parameters: Parameters): Promise<void> {
  const { name, check, many = 1, taking = false } = parameters
  const content = new Content(parameters)
  const readers = await Promise.all(
    Array.from({ length: many }, () =>
      FrameReader.open(name, { policy: 'overwrite-oldest', depth, maxHeld: 1 }),
    ),
  )
  using end = SpscQueue.consumer(`${name}.end`)
  const take = () => {
    for (const reader of readers) {
      const frame = reader.tryReceive()
      if (frame === undefined) continue
      if (check) content.read(frame.bytes, frame.sequence - 1)
      frame.release()
    }
  }
  if (!taking && !check) await end.pop()
  else {
    while (end.tryPop() === undefined) take()
  }
  for (const reader of readers) reader.close()
}
