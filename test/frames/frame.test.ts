// What travels with a frame, and how it may be looked at.

import test from 'ava'
import {
  FrameReader,
  FrameWriter,
  MillraceError,
  monotonicNow,
  userHeaderBytes,
  type Frame,
} from 'millrace'
import { uniqueName } from '../support/names.js'

const released = { instanceOf: MillraceError, code: 'ERR_MILLRACE_RELEASED' }
const closed = { instanceOf: MillraceError, code: 'ERR_MILLRACE_CLOSED' }
const invalid = { instanceOf: MillraceError, code: 'ERR_MILLRACE_INVALID_ARGUMENT' }

/** Every way to touch the memory of a frame. */
function uses(frame: Frame): (() => unknown)[] {
  return [
    () => frame.bytes,
    () => frame.header,
    () => frame.view(Uint8Array),
    () => frame.copyTo(new Uint8Array(1)),
  ]
}

test('a frame is as long as it was published, from nothing to the whole slot', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 1000 })
  using reader = await FrameReader.open(name)
  for (const byteLength of [0, 1, 63, 64, 999, 1000]) {
    const loan = writer.tryLoan()!
    loan.bytes.fill(byteLength % 251)
    loan.publish({ byteLength })
    using frame = reader.tryReceive()!
    t.is(frame.byteLength, byteLength)
    t.is(frame.bytes.byteLength, byteLength)
    t.true(frame.bytes.every((byte) => byte === byteLength % 251))
  }
  writer.tryLoan()!.publish()
  t.is(reader.tryReceive()!.byteLength, 1000)
})

test('bytes of a frame are one view, and frames of a slot with different lengths have different ones', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 100, slots: 2 })
  using reader = await FrameReader.open(name)
  const lengths: number[] = []
  const views: Uint8Array[] = []
  for (const byteLength of [100, 100, 10, 10, 0, 0]) {
    writer.tryLoan()!.publish({ byteLength })
    using frame = reader.tryReceive()!
    t.is(frame.bytes, frame.bytes)
    views.push(frame.bytes)
    lengths.push(byteLength)
  }
  t.deepEqual(
    views.map(({ length }) => length),
    lengths,
    'a view that was kept does not change its size',
  )
})

test('a frame carries the timestamp it was given, or the monotonic time of its publish', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 8 })
  using reader = await FrameReader.open(name)
  for (const given of [1n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 63n + 12345n, 2n ** 64n - 1n]) {
    writer.tryLoan()!.publish({ timestamp: given })
    using frame = reader.tryReceive()!
    t.is(frame.timestamp, given)
  }
  const before = monotonicNow()
  writer.tryLoan()!.publish()
  const after = monotonicNow()
  const { timestamp } = reader.tryReceive()!
  t.true(before <= timestamp && timestamp <= after)
})

test('monotonicNow is the clock of process.hrtime', (t) => {
  const before = process.hrtime.bigint()
  const now = monotonicNow()
  const after = process.hrtime.bigint()
  t.true(before <= now && now <= after)
})

test('the header carries 64 bytes of facts, zero where nothing was written', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 8 })
  using reader = await FrameReader.open(name)
  t.is(userHeaderBytes, 64)

  writer.tryLoan()!.publish()
  t.deepEqual(reader.tryReceive()!.header, new Uint8Array(64))

  const full = Uint8Array.from({ length: 64 }, (_, i) => i + 1)
  writer.tryLoan()!.publish({ header: full })
  t.deepEqual(reader.tryReceive()!.header, full)

  const loan = writer.tryLoan()!
  loan.header[63] = 7
  loan.publish({ header: Uint8Array.of(1, 2) })
  const expected = new Uint8Array(64)
  expected.set([1, 2])
  expected[63] = 7
  t.deepEqual(reader.tryReceive()!.header, expected)
})

test('no header shines through from an earlier frame of the same slot', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 8, slots: 2 })
  using reader = await FrameReader.open(name)
  for (let i = 0; i < 4; i++) {
    writer.tryLoan()!.publish({ header: new Uint8Array(64).fill(0xff) })
    reader.tryReceive()!.release()
    const given = writer.tryLoan()!
    given.header.fill(0xee)
    given.discard()
    const loan = writer.tryLoan()!
    loan.publish()
    using frame = reader.tryReceive()!
    t.deepEqual(frame.header, new Uint8Array(64))
  }
})

test('no header shines through from an earlier writer', async (t) => {
  const name = uniqueName(t)
  const geometry = { slotBytes: 8, slots: 2 }
  const first = FrameWriter.create(name, geometry)
  using reader = await FrameReader.open(name)
  for (let i = 0; i < 2; i++) {
    first.tryLoan()!.publish({ header: new Uint8Array(64).fill(0xff) })
    reader.tryReceive()!.release()
  }
  first.close()
  using second = FrameWriter.create(name, geometry)
  for (let i = 0; i < 2; i++) {
    second.tryLoan()!.publish()
    using frame = reader.tryReceive()!
    t.deepEqual(frame.header, new Uint8Array(64))
  }
})

test('a frame can be seen as any kind of typed array or DataView', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 64 })
  using reader = await FrameReader.open(name)
  const loan = writer.tryLoan()!
  t.is(loan.view(Float32Array).length, 16)
  loan.view(Float32Array, 0, 4).set([1.5, -2.5, 3.5, -4.5])
  loan.view(BigInt64Array, 16, 2).set([-1n, 2n ** 62n])
  loan.view(DataView, 32).setUint16(0, 0x1234, false)
  loan.view(Float64Array, 40, 1)[0] = Math.PI
  loan.view(Uint16Array, 48)[0] = 65535
  loan.publish({ byteLength: 51 })
  using frame = reader.tryReceive()!
  t.deepEqual(frame.view(Float32Array, 0, 4), Float32Array.of(1.5, -2.5, 3.5, -4.5))
  t.deepEqual(frame.view(BigInt64Array, 16, 2), BigInt64Array.of(-1n, 2n ** 62n))
  t.is(frame.view(DataView, 32).getUint16(0, false), 0x1234)
  t.is(frame.view(DataView, 32).byteLength, 19)
  t.is(frame.view(Float64Array, 40, 1)[0], Math.PI)
  t.deepEqual(frame.view(Uint16Array, 48), Uint16Array.of(65535), 'half an element is left out')
  t.true(frame.view(Int8Array) instanceof Int8Array)
  t.is(frame.view(Uint8ClampedArray, 51).length, 0)
})

test('a view that is misaligned or beyond the frame is refused', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 64 })
  using reader = await FrameReader.open(name)
  const loan = writer.tryLoan()!
  const misaligned = { ...invalid, message: /multiple of 4/ }
  t.throws(() => loan.view(Float32Array, 2, 1), misaligned)
  t.throws(() => loan.view(Float32Array, 64, 1), invalid)
  t.throws(() => loan.view(Uint8Array, 65), invalid)
  loan.publish({ byteLength: 20 })
  using frame = reader.tryReceive()!
  t.throws(() => frame.view(Float32Array, 2, 1), misaligned)
  t.throws(() => frame.view(Float32Array, 0, 6), invalid, 'slot, but not frame')
  t.throws(() => frame.view(Uint8Array, -1), invalid)
  t.throws(() => frame.view(Uint8Array, 0.5), invalid)
  t.throws(() => frame.view(Uint8Array, 0, -1), invalid)
  t.throws(() => frame.view(Uint8Array, 0, 1.5), invalid)
  t.throws(() => frame.view(Uint8Array, 21), invalid)
})

test('copyTo copies out of the frame and nothing beyond it', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 16 })
  using reader = await FrameReader.open(name)
  writer.tryLoan()!.publish()
  reader.tryReceive()!.release()
  const loan = writer.tryLoan()!
  loan.bytes.set(Uint8Array.from({ length: 16 }, (_, i) => i))
  loan.publish({ byteLength: 10 })
  using frame = reader.tryReceive()!
  const target = new Uint8Array(4)
  t.is(frame.copyTo(target, 6), target)
  t.deepEqual([...target], [6, 7, 8, 9])
  t.deepEqual(frame.copyTo(new Uint16Array(1), 2), Uint16Array.of(0x0302))
  t.is(frame.copyTo(new DataView(new ArrayBuffer(1)), 9).getUint8(0), 9)
  t.throws(() => frame.copyTo(new Uint8Array(4), 7), invalid)
  t.throws(() => frame.copyTo(new Uint8Array(11)), invalid)
  t.throws(() => frame.copyTo(new Uint8Array(1), -1), invalid)
  t.throws(() => frame.copyTo(new Uint8Array(1), NaN), invalid)
})

for (const alignment of [64, 128, 4096]) {
  test(`slots start at multiples of ${alignment} bytes`, async (t) => {
    const name = uniqueName(t)
    using writer = FrameWriter.create(name, { slotBytes: 1000, slots: 5, alignment })
    using reader = await FrameReader.open(name, { maxHeld: 5 })
    // The pool itself starts at a page, so the offset in its buffer tells the alignment of the address.
    const starts = [1, 2, 3, 4, 5].map(() => {
      const loan = writer.tryLoan()!
      const { byteOffset } = loan.bytes
      loan.publish()
      return byteOffset
    })
    t.true(starts.every((start) => start % alignment === 0))
    const gaps = starts.slice(1).map((start, i) => Math.abs(start - starts[i]!))
    t.true(gaps.every((gap) => gap >= 1000))
    for (const start of starts) t.is(reader.tryReceive()!.bytes.byteOffset, start)
  })
}

test('a released frame refuses every use; releasing it again does nothing', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 8, slots: 2 })
  using reader = await FrameReader.open(name)
  writer.tryLoan()!.publish()
  const frame = reader.tryReceive()!
  t.false(frame.released)
  frame.release()
  t.true(frame.released)
  for (const use of uses(frame)) t.throws(use, released)
  for (let i = 0; i < 2; i++) writer.tryLoan()!.publish()
  const next = [reader.tryReceive()!]
  frame.release()
  t.is(reader.stats.held, 1, 'the late release must not release the frame that has the slot now')
  t.is(next[0]!.bytes.length, 8)
})

test('closing the reader ends all frames it holds and empties their views', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 8, slots: 2 })
  const reader = await FrameReader.open(name, { maxHeld: 2 })
  for (let i = 0; i < 2; i++) writer.tryLoan()!.publish()
  const frames = [reader.tryReceive()!, reader.tryReceive()!]
  const { bytes } = frames[0]!
  t.is(writer.tryLoan(), undefined)
  reader.close()
  t.is(bytes.byteLength, 0)
  for (const frame of frames) for (const use of uses(frame)) t.throws(use, closed)
  t.notThrows(() => {
    frames[0]!.release()
  })
  t.truthy(writer.tryLoan())
  t.truthy(writer.tryLoan(), 'both slots are back')
  t.true(reader.closed)
  t.throws(() => reader.tryReceive(), closed)
  t.throws(() => reader.latest(), closed)
  t.throws(() => reader.receiveSync(), closed)
  await t.throwsAsync(reader.receive(), closed)
  await t.throwsAsync(reader.receiveLatest(), closed)
  reader.close()
})

test('with detachOnRelease the views of a frame are empty after its release, and only those', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 8 })
  using reader = await FrameReader.open(name, { detachOnRelease: true })
  const [a, b] = [writer.tryLoan()!, writer.tryLoan()!]
  a.bytes.fill(1)
  a.publish({ byteLength: 7 })
  b.bytes.fill(2)
  b.publish()
  const [first, second] = [reader.tryReceive()!, reader.tryReceive()!]
  const [bytes, floats, other] = [first.bytes, first.view(Float32Array, 4, 0), second.bytes]
  t.deepEqual([...bytes], [1, 1, 1, 1, 1, 1, 1])
  t.is(first.view(Uint8Array, 3).length, 4)
  first.release()
  t.is(bytes.length, 0)
  t.is(floats.buffer.byteLength, 0)
  t.deepEqual([...other], [2, 2, 2, 2, 2, 2, 2, 2])
})

test('with detachOnRelease the views of held frames are empty after the close, too', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 8 })
  const reader = await FrameReader.open(name, { detachOnRelease: true })
  writer.tryLoan()!.publish()
  const { bytes } = reader.tryReceive()!
  t.is(bytes.length, 8)
  reader.close()
  t.is(bytes.length, 0)
})

test('a stray write of a reader reaches neither the writer nor another reader', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 8, slots: 2 })
  using careless = await FrameReader.open(name)
  using other = await FrameReader.open(name)
  const loan = writer.tryLoan()!
  const own = loan.bytes
  own.fill(1)
  loan.publish()
  using mine = careless.tryReceive()!
  mine.bytes.fill(0xff)
  using theirs = other.tryReceive()!
  t.deepEqual([...theirs.bytes], Array(8).fill(1))
  t.deepEqual([...own], Array(8).fill(1))
})
