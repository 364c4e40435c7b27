// Hands a frame over and gets a small message back: the round trip of a hand-over. The payload is in the
// slot already, as a camera driver or decoder would have put it there; nobody copies it.

import { FrameReader, FrameWriter, SpscQueue } from 'millrace'

import { Stopwatch, type Measured, type Parameters } from '../measured.js'

export async function lead({ name, bytes, count, poll }: Parameters): Promise<Measured> {
  const tuning = poll === undefined ? {} : { poll }
  const writer = FrameWriter.create(name, { slotBytes: bytes, slots: 4, ...tuning })
  const back = SpscQueue.consumer(name, tuning)
  await writer.waitForReaders()
  const stopwatch = new Stopwatch()
  for (let i = -Math.ceil(count / 10); i < count; i++) {
    stopwatch.start()
    const frame = await writer.loan()
    frame.publish()
    await back.pop()
    if (i >= 0) stopwatch.stop()
  }
  writer.close()
  back.close()
  return stopwatch.result()
}

export async function follow({ name, bytes, poll }: Parameters): Promise<void> {
  const tuning = poll === undefined ? {} : { poll }
  const reader = await FrameReader.open(name, tuning)
  const back = SpscQueue.producer(name, tuning)
  for (;;) {
    const frame = await reader.receive()
    if (frame === undefined) break
    if (frame.bytes.length !== bytes) throw new Error('a frame has the wrong length')
    frame.release()
    await back.push('1')
  }
  reader.close()
  back.close()
}
