// Python's `for frame in reader`, while Node publishes small frames as fast as it can. Python measures.

import { FrameWriter } from 'millrace'

import { Content } from '../side/content.js'
import type { Measured } from '../side/measured.js'
import type { Parameters } from '../side/parameters.js'
import { measuredByPython } from '../side/python.js'
import { TurnEveryMillisecond } from '../side/turns.js'

export async function lead(parameters: Parameters): Promise<Measured> {
  const { name, bytes } = parameters
  const writer = FrameWriter.create(name, { slotBytes: bytes, slots: 1024 })
  const content = new Content(parameters)
  let measured: Measured | undefined
  const measuring = measuredByPython('frame_loop', parameters).then((found) => {
    measured = found
  })
  await writer.waitForReaders(1, { timeout: 30_000 })
  const turns = new TurnEveryMillisecond()
  for (let sequence = 0; measured === undefined; await turns.turnIfDue()) {
    const frame = writer.tryLoan()
    if (frame === undefined) continue
    content.write(frame.bytes, sequence++)
    frame.publish()
  }
  await measuring
  writer.close()
  return measured
}
