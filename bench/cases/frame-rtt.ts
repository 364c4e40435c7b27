// Hands a frame over and gets a small message back: the round trip of a hand-over. The payload is in the
// slot already, as a camera driver or decoder would have put it there; nobody copies or reads it. Either everything is
// awaited, or both sides look in loops (`wait: 'spin'`) that give the event loop a turn every millisecond.

import type { ChildProcess } from 'node:child_process'

import {
  FrameReader,
  FrameWriter,
  SpscQueue,
  type Frame,
  type LoanedFrame,
  type QueueProducer,
} from 'millrace'

import { Content } from '../side/content.js'
import type { Measured } from '../side/measured.js'
import { spinningTripsInTurns, trips } from '../side/measuring.js'
import { TurnEveryMillisecond } from '../side/turns.js'
import type { Parameters } from '../side/parameters.js'

export async function lead(parameters: Parameters, { pid }: ChildProcess): Promise<Measured> {
  const { name, bytes, check, poll, wait } = parameters
  const tuning = poll === undefined ? {} : { poll }
  const writer = FrameWriter.create(name, { slotBytes: bytes, slots: 4, ...tuning })
  const back = SpscQueue.consumer(name, tuning)
  const content = new Content(parameters)
  await writer.waitForReaders()
  const answer = Buffer.alloc(8)
  const someTrips = (from: number, to: number) => {
    for (let i = from; i < to; i++) {
      let frame: LoanedFrame | undefined
      while ((frame = writer.tryLoan()) === undefined);
      if (check) content.write(frame.bytes, i)
      frame.publish()
      while (back.tryPopInto(answer) < 0);
    }
  }
  const measured =
    wait === 'spin'
      ? await spinningTripsInTurns(parameters, pid!, someTrips)
      : await trips(parameters, pid!, async (i) => {
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
  const { name, check, poll, wait } = parameters
  const tuning = poll === undefined ? {} : { poll }
  const reader = await FrameReader.open(name, tuning)
  const back = SpscQueue.producer(name, tuning)
  const content = new Content(parameters)
  const answer = Buffer.alloc(8, 1)
  const turns = new TurnEveryMillisecond()
  for (let i = 0; wait === 'spin';) {
    i = answerSome(
      reader,
      back,
      answer,
      (frame, sequence) => {
        if (check) content.read(frame.bytes, sequence)
      },
      i,
    )
    if (i < 0) break
    await turns.turnIfDue()
  }
  for (let i = 0; wait !== 'spin'; i++) {
    const frame = await reader.receive()
    if (frame === undefined) break
    if (check) content.read(frame.bytes, i)
    frame.release()
    await back.push(answer)
  }
  reader.close()
  back.close()
}

/** Answers what comes within so many looks; how many frames that makes, or -1 when the writer has left. */
function answerSome(
  reader: FrameReader,
  back: QueueProducer,
  answer: Buffer,
  use: (frame: Frame, sequence: number) => void,
  before: number,
): number {
  let sequence = before
  for (let look = 0; look < 1024; look++) {
    const frame = reader.tryReceive()
    if (frame === undefined) continue
    use(frame, sequence++)
    frame.release()
    while (!back.tryPush(answer));
  }
  return sequence === before && reader.peer === 'closed' ? -1 : sequence
}
