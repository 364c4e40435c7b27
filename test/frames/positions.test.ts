// Where a reader goes on after a restart, where another channel has taken the name meanwhile.

import test, { type ExecutionContext } from 'ava'
import { FrameReader, FrameWriter, type FramePosition } from 'millrace'

import { actor } from '../support/actor.js'
import { uniqueName } from '../support/names.js'

function create(name: string): FrameWriter {
  return FrameWriter.create(name, { slotBytes: 8, slots: 12, history: 8 })
}

function publish(writer: FrameWriter, frames: number): void {
  for (let i = 0; i < frames; i++) writer.tryLoan()!.publish()
}

/** Sequence and `missed` of all frames that are there. */
function receiveAll(reader: FrameReader): number[][] {
  const received: number[][] = []
  for (let frame; (frame = reader.tryReceive()) !== undefined; frame.release()) {
    received.push([frame.sequence, frame.missed])
  }
  return received
}

/** Of a reader that has received three frames of a channel which is gone; kept as a program keeps it. */
async function positionOfOld(t: ExecutionContext, name: string): Promise<FramePosition> {
  using writer = create(name)
  publish(writer, 3)
  using reader = await FrameReader.open(name, { after: 0 })
  t.is(receiveAll(reader).length, 3)
  const position = { channelId: reader.channelId, sequence: 3 }
  return JSON.parse(JSON.stringify(position)) as FramePosition
}

test('a channel that was created anew is received from its first frame on', async (t) => {
  const name = uniqueName(t)
  const after = await positionOfOld(t, name)
  using writer = create(name)
  publish(writer, 5) // past the number of the old channel
  using reader = await FrameReader.open(name, { after })
  t.not(reader.channelId, after.channelId)
  t.deepEqual(
    receiveAll(reader),
    [1, 2, 3, 4, 5].map((sequence) => [sequence, 0]),
  )
})

test('what of it is lost for good is counted', async (t) => {
  const name = uniqueName(t)
  const after = await positionOfOld(t, name)
  using writer = create(name)
  publish(writer, 20)
  using reader = await FrameReader.open(name, { after })
  t.deepEqual(receiveAll(reader)[0], [13, 12])
  t.is(reader.stats.joinedAfter, 20)
})

test('in the same channel it goes on after that frame', async (t) => {
  const name = uniqueName(t)
  using writer = create(name)
  publish(writer, 5)
  const after = { channelId: writer.channelId, sequence: 3 }
  using reader = await FrameReader.open(name, { after })
  t.deepEqual(receiveAll(reader), [
    [4, 0],
    [5, 0],
  ])
})

test('a channel is the same to all who are on it, whoever writes', async (t) => {
  const name = uniqueName(t)
  const other = actor(t)
  const theirs = await other.do(({ FrameWriter, own }, channel) => {
    own.writer = FrameWriter.create(channel, { slotBytes: 8, slots: 12, history: 8 })
    return own.writer.channelId
  }, name)
  t.regex(theirs, /^[0-9a-f]{16}$/u)
  using reader = await FrameReader.open(name)
  t.is(reader.channelId, theirs)
  await other.kill()
  using next = create(name)
  t.is(next.channelId, theirs)
  t.is(reader.channelId, theirs)
  reader.close()
  t.is(reader.channelId, theirs)
})

test('a new channel in the place of one that readers are still on is another', async (t) => {
  const name = uniqueName(t)
  const first = create(name)
  using reader = await FrameReader.open(name)
  first.close()
  using second = FrameWriter.create(name, { slotBytes: 16, replace: true })
  t.not(second.channelId, reader.channelId)
})

test('a position that is none is refused', async (t) => {
  const name = uniqueName(t)
  using writer = create(name)
  const { channelId } = writer
  const wrong = [
    {},
    { channelId },
    { sequence: 1 },
    { channelId, sequence: -1 },
    { channelId, sequence: '1' },
    { channelId: 1, sequence: 1 },
    { channelId: `${channelId}0`, sequence: 1 },
    { channelId: name, sequence: 1 },
    { channelId, sequence: 1, more: 1 },
  ]
  for (const after of wrong) {
    await t.throwsAsync(FrameReader.open(name, { after: after as never }), {
      code: 'ERR_MILLRACE_INVALID_ARGUMENT',
      message: /after|sequence|option/u,
    })
  }
})
