// What happens when a reader is too slow.

import test from 'ava'
import { FrameReader, FrameWriter, type FrameReaderStats } from 'millrace'
import { uniqueName } from '../support/names.js'
import { within } from '../support/until.js'

const tooManyHeld = { code: 'ERR_MILLRACE_TOO_MANY_HELD' }

/** Publishes `count` frames that hold their own sequence. */
function publish(writer: FrameWriter, count: number): void {
  for (let i = 0; i < count; i++) {
    const loan = writer.tryLoan()
    if (loan === undefined) throw new Error(`no slot for frame ${writer.sequence + 1}`)
    loan.view(Float64Array)[0] = writer.sequence + 1
    loan.publish()
  }
}

/** Receives and releases all there is; the sequences. */
function receiveAll(reader: FrameReader): number[] {
  const sequences: number[] = []
  for (let frame = reader.tryReceive(); frame !== undefined; frame = reader.tryReceive()) {
    if (frame.view(Float64Array)[0] !== frame.sequence) throw new Error('another frame’s content')
    sequences.push(frame.sequence)
    frame.release()
  }
  return sequences
}

function numbers(from: number, to: number): number[] {
  return Array.from({ length: to - from + 1 }, (_, i) => from + i)
}

/** Every frame since the join was received, lost or skipped, once. */
function accounted({ received, lost, skipped }: FrameReaderStats): number {
  return received + lost + skipped
}

test('wait: the writer gets no slot while the queue of such a reader is full', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 8, slots: 8 })
  using reader = await FrameReader.open(name, { policy: 'wait', depth: 3 })
  publish(writer, 3)
  t.is(writer.tryLoan(), undefined)
  t.is(reader.stats.waiting, 3)
  using first = reader.tryReceive()!
  t.is(first.sequence, 1)
  publish(writer, 1) // received is no longer queued, even while it is held
  t.is(writer.tryLoan(), undefined)
  t.deepEqual(receiveAll(reader), [2, 3, 4])
  t.is(reader.stats.lost, 0)
})

test('wait: loans that are out count as frames to come', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 8, slots: 8 })
  using reader = await FrameReader.open(name, { depth: 2 })
  const loans = [writer.tryLoan()!, writer.tryLoan()!]
  t.is(writer.tryLoan(), undefined)
  loans.forEach((loan) => loan.publish())
  t.is(reader.stats.waiting, 2)
  t.is(writer.tryLoan(), undefined)
})

test('wait: nothing is lost however fast the writer, and it resumes with each release', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 8, slots: 4 })
  using reader = await FrameReader.open(name)
  const total = 2000
  const writing = (async () => {
    for (let i = 1; i <= total; i++) {
      const loan = await writer.loan()
      loan.view(Float64Array)[0] = i
      loan.publish()
    }
  })()
  const sequences: number[] = []
  while (sequences.length < total) {
    using frame = (await within(10_000, reader.receive()))!
    t.is(frame.missed, 0)
    t.is(frame.view(Float64Array)[0], frame.sequence)
    sequences.push(frame.sequence)
  }
  await writing
  t.deepEqual(sequences, numbers(1, total))
  t.is(accounted(reader.stats), total)
})

test('drop-newest: frames that find the queue full are not delivered, and counted', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 8, slots: 8 })
  using reader = await FrameReader.open(name, { policy: 'drop-newest', depth: 3 })
  publish(writer, 10)
  t.is(reader.stats.lost, 7)
  t.deepEqual(receiveAll(reader), [1, 2, 3])
  publish(writer, 1)
  using frame = reader.tryReceive()!
  t.is(frame.sequence, 11)
  t.is(frame.missed, 7)
  t.is(accounted(reader.stats), 11)
})

test('overwrite-oldest: the newest frame always gets through', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 8, slots: 8 })
  using reader = await FrameReader.open(name, { policy: 'overwrite-oldest', depth: 3 })
  publish(writer, 10)
  t.is(reader.stats.lost, 7)
  t.deepEqual(receiveAll(reader), [8, 9, 10])
  publish(writer, 5)
  using frame = reader.tryReceive()!
  t.is(frame.sequence, 13)
  t.is(frame.missed, 2)
  t.is(accounted({ ...reader.stats, received: reader.stats.received + 2 }), 15, 'two are queued')
})

test('overwrite-oldest: queued frames give their slots back when the writer has no other', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 8, slots: 4 })
  using reader = await FrameReader.open(name, { policy: 'overwrite-oldest', depth: 4, maxHeld: 3 })
  publish(writer, 4)
  const held = [reader.tryReceive()!, reader.tryReceive()!]
  // Two slots are held; the writer goes round in the other two for ever.
  publish(writer, 50)
  t.deepEqual(
    held.map((frame) => frame.view(Float64Array)[0]),
    [1, 2],
    'a held frame is never taken back',
  )
  held.push(reader.tryReceive()!)
  t.is(held[2]!.sequence, 53)
  t.is(held[2]!.missed, 50)
  publish(writer, 3)
  const { received, lost, waiting } = reader.stats
  t.deepEqual({ received, lost, waiting }, { received: 3, lost: 53, waiting: 1 })
})

test('each reader is treated as it asked, whatever the others asked', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 8, slots: 16 })
  using patient = await FrameReader.open(name, { policy: 'wait', depth: 10 })
  using dropping = await FrameReader.open(name, { policy: 'drop-newest', depth: 2 })
  using fresh = await FrameReader.open(name, { policy: 'overwrite-oldest', depth: 2 })
  using quick = await FrameReader.open(name, { policy: 'wait', depth: 1 })
  for (let sequence = 1; sequence <= 10; sequence++) {
    publish(writer, 1)
    t.is(writer.tryLoan(), undefined, 'the quick one has depth 1')
    t.deepEqual(receiveAll(quick), [sequence])
  }
  t.deepEqual(receiveAll(patient), numbers(1, 10))
  t.deepEqual(receiveAll(dropping), [1, 2])
  t.deepEqual(receiveAll(fresh), [9, 10])
  for (const reader of [patient, dropping, fresh, quick]) t.is(accounted(reader.stats), 10)
})

test('latest hands out the newest frame; what it passes over is skipped, not missed', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 8, slots: 8 })
  using reader = await FrameReader.open(name, { policy: 'drop-newest', depth: 4 })
  t.is(reader.latest(), undefined)
  publish(writer, 1)
  reader.latest()!.release()
  publish(writer, 4)
  {
    using frame = reader.latest()!
    t.is(frame.sequence, 5)
    t.is(frame.missed, 0)
  }
  publish(writer, 6) // 10 and 11 are dropped
  {
    using frame = reader.latest()!
    t.is(frame.sequence, 9)
    t.is(frame.missed, 0)
  }
  publish(writer, 1)
  using frame = reader.latest()!
  t.is(frame.sequence, 12)
  t.is(frame.missed, 2)
  const { received, lost, skipped } = reader.stats
  t.deepEqual({ received, lost, skipped }, { received: 4, lost: 2, skipped: 6 })
})

test('frames passed over by latest are free again at once', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 8, slots: 4 })
  using reader = await FrameReader.open(name)
  publish(writer, 4)
  t.is(writer.tryLoan(), undefined)
  using frame = reader.latest()!
  t.is(frame.sequence, 4)
  for (let i = 0; i < 3; i++) t.truthy(writer.tryLoan())
  t.is(writer.tryLoan(), undefined)
})

test('receiveLatest waits for a frame and hands out the newest', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 8 })
  using reader = await FrameReader.open(name)
  publish(writer, 3)
  t.is((await within(5000, reader.receiveLatest()))!.sequence, 3)
  const waiting = reader.receiveLatest()
  publish(writer, 2)
  t.is((await within(5000, waiting))!.sequence, 5)
  t.is(reader.stats.skipped, 3)
})

test('a reader holds as many frames as it said, and then must release one', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 8, slots: 8 })
  using reader = await FrameReader.open(name, { maxHeld: 2 })
  t.is(reader.maxHeld, 2)
  publish(writer, 4)
  const held = [reader.tryReceive()!, reader.tryReceive()!]
  t.throws(() => reader.tryReceive(), { ...tooManyHeld, message: /holds 2 frames.*release/ })
  t.throws(() => reader.latest(), tooManyHeld)
  t.throws(() => reader.receiveSync({ timeout: 0 }), tooManyHeld)
  await t.throwsAsync(reader.receive(), tooManyHeld)
  t.is(reader.stats.held, 2)
  held[0]!.release()
  t.is(reader.tryReceive()!.sequence, 3)
})

test('at its limit a reader with nothing to receive just waits', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 8 })
  using reader = await FrameReader.open(name, { maxHeld: 1 })
  publish(writer, 1)
  const held = reader.tryReceive()!
  t.is(reader.tryReceive(), undefined)
  const waiting = reader.receive()
  held.release()
  publish(writer, 1)
  t.is((await within(5000, waiting))!.sequence, 2)
})

test('depth and maxHeld default to what suits the policy, and never exceed the slots', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 8, slots: 8 })
  using patient = await FrameReader.open(name, { depth: 4000, maxHeld: 4000 })
  t.is(patient.maxHeld, 8)
  using dropping = await FrameReader.open(name, { policy: 'drop-newest' })
  using fresh = await FrameReader.open(name, { policy: 'overwrite-oldest' })
  t.is(fresh.maxHeld, 6)
  publish(writer, 8)
  t.is(writer.tryLoan(), undefined)
  t.is(patient.stats.waiting, 8)
  t.is(dropping.stats.waiting, 4)
  t.is(fresh.stats.waiting, 6)
})

test('iteration ends when the writer closes, after everything that was queued', async (t) => {
  const name = uniqueName(t)
  const writer = FrameWriter.create(name, { slotBytes: 8, slots: 8 })
  using reader = await FrameReader.open(name)
  publish(writer, 5)
  const sequences: number[] = []
  const iterating = (async () => {
    for await (using frame of reader) {
      sequences.push(frame.sequence)
      if (frame.sequence === 5) publish(writer, 2)
      if (frame.sequence === 7) writer.close()
    }
  })()
  await within(5000, iterating)
  t.deepEqual(sequences, numbers(1, 7))
  t.is(reader.stats.held, 0, 'using has released them')
  t.is(await reader.receive(), undefined)
  t.is(await reader.receiveLatest(), undefined)
  t.is(reader.receiveSync(), undefined)
  t.is(reader.peer, 'closed')
})

test('receiveSync gives what is there, and times out when nothing comes', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 8 })
  using reader = await FrameReader.open(name)
  publish(writer, 1)
  t.is(reader.receiveSync()!.sequence, 1)
  const start = performance.now()
  t.throws(() => reader.receiveSync({ timeout: 30 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  t.true(performance.now() - start >= 30)
})

test('a pending receive ends with its timeout, its signal, or the close of the reader', async (t) => {
  const name = uniqueName(t)
  using _writer = FrameWriter.create(name, { slotBytes: 8 })
  const reader = await FrameReader.open(name)
  await t.throwsAsync(reader.receive({ timeout: 5 }), {
    code: 'ERR_MILLRACE_TIMEOUT',
    message: `a frame of '${name}' did not happen within 5 ms; its writer (process ${process.pid}) published none: find out why, or allow more time`,
  })
  const abort = new AbortController()
  const aborted = t.throwsAsync(reader.receive({ signal: abort.signal }), {
    code: 'ERR_MILLRACE_ABORTED',
  })
  const evicted = t.throwsAsync(reader.receive(), { code: 'ERR_MILLRACE_CLOSED' })
  abort.abort()
  await within(5000, aborted)
  reader.close()
  await within(5000, evicted)
  await t.throwsAsync(reader.receive({ signal: AbortSignal.abort() }), {
    code: 'ERR_MILLRACE_ABORTED',
  })
  await t.throwsAsync(reader.receive(), { code: 'ERR_MILLRACE_CLOSED' })
})

test('pending receives are served in the order they came', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 8 })
  using reader = await FrameReader.open(name)
  const waits = [reader.receive(), reader.receive(), reader.receive()]
  publish(writer, 3)
  const frames = await within(5000, Promise.all(waits))
  t.deepEqual(
    frames.map((frame) => frame!.sequence),
    [1, 2, 3],
  )
})
