// Frames for readers that join late.

import test from 'ava'
import { FrameReader, FrameWriter } from 'millrace'
import { actor } from '../support/actor.js'
import { uniqueName } from '../support/names.js'
import { within } from '../support/until.js'

function publish(writer: FrameWriter, count: number): void {
  for (let i = 0; i < count; i++) {
    const loan = writer.tryLoan()!
    loan.view(Float64Array)[0] = writer.sequence + 1
    loan.publish()
  }
}

function receiveAll(reader: FrameReader): number[] {
  const sequences: number[] = []
  for (let frame = reader.tryReceive(); frame !== undefined; frame = reader.tryReceive()) {
    if (frame.view(Float64Array)[0] !== frame.sequence) throw new Error('another frame’s content')
    sequences.push(frame.sequence)
    frame.release()
  }
  return sequences
}

test('a reader gets as many past frames as it asks for, then all that follow', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 8, slots: 12, history: 4 })
  publish(writer, 30)
  using none = await FrameReader.open(name)
  using two = await FrameReader.open(name, { history: 2 })
  using four = await FrameReader.open(name, { history: 4 })
  using many = await FrameReader.open(name, { history: 100 })
  publish(writer, 2)
  t.deepEqual(receiveAll(none), [31, 32])
  t.deepEqual(receiveAll(two), [29, 30, 31, 32])
  t.deepEqual(receiveAll(four), [27, 28, 29, 30, 31, 32])
  t.deepEqual(receiveAll(many), [27, 28, 29, 30, 31, 32])
  for (const reader of [none, two, four, many]) t.is(reader.stats.joinedAfter, 30)
})

test('fewer past frames are handed out if fewer were published', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 8, slots: 12, history: 4 })
  using before = await FrameReader.open(name, { history: 4 })
  publish(writer, 2)
  using after = await FrameReader.open(name, { history: 4 })
  t.is(before.stats.joinedAfter, 0)
  t.is(after.stats.joinedAfter, 2)
  t.deepEqual(receiveAll(before), [1, 2])
  t.deepEqual(receiveAll(after), [1, 2])
})

test('a channel without history has none', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 8, slots: 4 })
  publish(writer, 4)
  using reader = await FrameReader.open(name, { history: 3 })
  t.is(reader.tryReceive(), undefined)
})

test('the history pins its slots and nothing more', (t) => {
  using writer = FrameWriter.create(uniqueName(t), { slotBytes: 8, slots: 6, history: 4 })
  publish(writer, 20)
  t.truthy(writer.tryLoan())
  t.truthy(writer.tryLoan())
  t.is(writer.tryLoan(), undefined)
})

test('history that a joining reader was given stays its own while it is held', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 8, slots: 8, history: 2 })
  publish(writer, 2)
  using reader = await FrameReader.open(name, { history: 2, policy: 'overwrite-oldest', depth: 1 })
  publish(writer, 20)
  using first = reader.tryReceive()!
  t.is(first.sequence, 1)
  publish(writer, 20)
  t.is(first.view(Float64Array)[0], 1)
  t.deepEqual(receiveAll(reader), [2, 42])
})

test('latest passes over the history, too', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 8, slots: 8, history: 3 })
  publish(writer, 5)
  using reader = await FrameReader.open(name, { history: 3 })
  t.is(reader.latest()!.sequence, 5)
  t.is(reader.stats.skipped, 2)
})

test('the history survives a change of writer', async (t) => {
  const name = uniqueName(t)
  const geometry = { slotBytes: 8, slots: 8, history: 3 }
  const first = FrameWriter.create(name, geometry)
  using _keeper = await FrameReader.open(name, { policy: 'drop-newest', depth: 1 })
  publish(first, 5)
  first.close()
  using _second = FrameWriter.create(name, geometry)
  using late = await FrameReader.open(name, { history: 3 })
  t.deepEqual(receiveAll(late), [3, 4, 5])
})

test('at full speed the history joins the stream without a gap or a duplicate', async (t) => {
  const name = uniqueName(t)
  const other = actor(t)
  await other.do(({ FrameWriter, own }, name) => {
    own.writer = FrameWriter.create(name, { slotBytes: 8, slots: 64, history: 16 })
    for (let i = 0; i < 16; i++) own.writer.tryLoan()!.publish()
  }, name)
  other.start(({ own }) => {
    const flood = (): void => {
      const end = performance.now() + 20
      while (performance.now() < end) {
        const loan = own.writer.tryLoan()
        if (loan === undefined) break // a reader is joining or leaving; let it
        loan.view(Float64Array)[0] = own.writer.sequence + 1
        loan.publish()
      }
      if (own['enough'] !== true) setImmediate(flood)
    }
    flood()
  })
  let joins = 0
  let most = 0
  while (joins < 200) {
    using reader = await FrameReader.open(name, { history: 8 })
    const { joinedAfter } = reader.stats
    let expected: number | undefined
    for (let i = 0; i < 20; i++) {
      using frame = (await within(10_000, reader.receive()))!
      if (expected === undefined) {
        most = Math.max(most, joinedAfter - frame.sequence + 1)
        t.true(frame.sequence > joinedAfter - 8 && frame.sequence <= joinedAfter + 1)
      } else if (frame.sequence !== expected) {
        t.is(frame.sequence, expected)
      }
      if (frame.sequence > 16 && frame.view(Float64Array)[0] !== frame.sequence) t.fail('content')
      expected = frame.sequence + 1
    }
    joins++
  }
  await other.do(({ own }) => {
    own['enough'] = true
    own.writer.close()
  })
  t.is(most, 8)
})
