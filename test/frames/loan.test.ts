// The writing side: loans, and what becomes of them.

import test from 'ava'
import { FrameReader, FrameWriter, MillraceError, type LoanedFrame } from 'millrace'
import { uniqueName } from '../support/names.js'
import { within } from '../support/until.js'

const released = { instanceOf: MillraceError, code: 'ERR_MILLRACE_RELEASED' }
const closed = { instanceOf: MillraceError, code: 'ERR_MILLRACE_CLOSED' }
const tooLarge = { instanceOf: MillraceError, code: 'ERR_MILLRACE_TOO_LARGE' }
const invalid = { instanceOf: MillraceError, code: 'ERR_MILLRACE_INVALID_ARGUMENT' }

/** Every way to touch the memory of a loan. */
function uses(frame: LoanedFrame): (() => unknown)[] {
  return [
    () => frame.bytes,
    () => frame.header,
    () => frame.view(Uint8Array),
    () => frame.write(new Uint8Array(1)),
    () => frame.publish(),
  ]
}

test('all slots can be on loan at once, each with memory of its own, and then none is left', (t) => {
  using writer = FrameWriter.create(uniqueName(t), { slotBytes: 100, slots: 5 })
  const loans = [1, 2, 3, 4, 5].map(() => writer.tryLoan()!)
  t.is(writer.tryLoan(), undefined)
  loans.forEach((loan, i) => loan.bytes.fill(i + 1))
  loans.forEach((loan, i) => {
    t.true(loan.bytes.every((byte) => byte === i + 1))
    t.is(loan.bytes.byteLength, 100)
    t.is(loan.capacity, 100)
  })
})

test('frames are numbered in the order they are published, whatever the order of the loans', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 1, slots: 8 })
  using reader = await FrameReader.open(name)
  const [a, b, c] = [writer.tryLoan()!, writer.tryLoan()!, writer.tryLoan()!]
  a.bytes[0] = 1
  b.bytes[0] = 2
  c.bytes[0] = 3
  t.deepEqual([c.publish(), a.publish(), b.publish()], [1, 2, 3])
  t.is(writer.sequence, 3)
  for (const [sequence, byte] of [[1, 3] as const, [2, 1] as const, [3, 2] as const]) {
    using frame = reader.tryReceive()!
    t.is(frame.sequence, sequence)
    t.is(frame.bytes[0], byte)
  }
})

test('without readers frames can be published for ever', (t) => {
  using writer = FrameWriter.create(uniqueName(t), { slotBytes: 8, slots: 2 })
  for (let sequence = 1; sequence <= 100; sequence++) {
    t.is(writer.tryLoan()!.publish(), sequence)
  }
})

test('closing the writer also voids the slot that publishing had loaned for the next frame', (t) => {
  const writer = FrameWriter.create(uniqueName(t), { slotBytes: 8 })
  writer.tryLoan()!.publish()
  writer.close()
  t.throws(() => writer.tryLoan(), closed)
})

test('a reader that joins between two frames finds its depth kept', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 8, slots: 4 })
  const earlier = writer.tryLoan()!
  writer.tryLoan()!.publish()
  using reader = await FrameReader.open(name, { depth: 1 })
  t.is(writer.tryLoan(), undefined, 'what is on loan already fills the queue')
  earlier.discard()
  writer.tryLoan()!.publish()
  t.is(writer.tryLoan(), undefined)
  reader.tryReceive()!.release()
  t.not(writer.tryLoan(), undefined)
})

test('a discarded loan is never seen, and its slot can be loaned again', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 8, slots: 2 })
  using reader = await FrameReader.open(name)
  const first = writer.tryLoan()!
  const second = writer.tryLoan()!
  t.is(writer.tryLoan(), undefined)
  first.discard()
  const third = writer.tryLoan()!
  t.is(third.publish(), 1)
  second.discard()
  t.is(reader.tryReceive()!.sequence, 1)
  t.is(reader.tryReceive(), undefined)
})

test('a loan that leaves its using block unpublished is discarded; a published one is not', (t) => {
  using writer = FrameWriter.create(uniqueName(t), { slotBytes: 8, slots: 2 })
  using other = writer.tryLoan()!
  for (let i = 0; i < 5; i++) {
    using loan = writer.tryLoan()!
    t.is(loan.bytes.length, 8)
  }
  t.is(writer.sequence, 0)
  {
    using loan = writer.tryLoan()!
    loan.publish()
  }
  t.is(writer.sequence, 1)
  t.is(other.bytes.length, 8)
})

test('a published frame refuses every use by its writer', (t) => {
  using writer = FrameWriter.create(uniqueName(t), { slotBytes: 8 })
  const loan = writer.tryLoan()!
  loan.publish()
  for (const use of uses(loan)) t.throws(use, { ...released, message: /was published/ })
  loan.discard()
  t.is(writer.sequence, 1)
})

test('a discarded loan refuses every use, and discarding it again does nothing', (t) => {
  using writer = FrameWriter.create(uniqueName(t), { slotBytes: 8, slots: 2 })
  const loan = writer.tryLoan()!
  loan.discard()
  const [again, more] = [writer.tryLoan()!, writer.tryLoan()!]
  loan.discard()
  for (const use of uses(loan)) t.throws(use, { ...released, message: /was discarded/ })
  t.is(writer.tryLoan(), undefined, 'the late discard must not free a slot that is on loan again')
  again.discard()
  more.discard()
})

test('closing the writer voids its loans and detaches their views', (t) => {
  const writer = FrameWriter.create(uniqueName(t), { slotBytes: 8 })
  const loan = writer.tryLoan()!
  const { bytes } = loan
  writer.close()
  t.is(bytes.byteLength, 0)
  for (const use of uses(loan)) t.throws(use, closed)
  loan.discard()
  t.true(writer.closed)
  t.throws(() => writer.tryLoan(), closed)
})

test('loan() resolves with a slot at once if there is one', async (t) => {
  using writer = FrameWriter.create(uniqueName(t), { slotBytes: 8 })
  const loan = await writer.loan()
  t.is(loan.publish(), 1)
})

test('loan() waits until a reader releases a frame', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 8, slots: 3 })
  using reader = await FrameReader.open(name, { maxHeld: 3 })
  for (let i = 0; i < 3; i++) writer.tryLoan()!.publish()
  const held = [1, 2, 3].map(() => reader.tryReceive()!)
  t.is(writer.tryLoan(), undefined)
  const waiting = writer.loan()
  t.is(writer.tryLoan(), undefined, 'tryLoan must not overtake a waiting loan')
  held[1]!.release()
  const loan = await within(5000, waiting)
  t.is(loan.publish(), 4)
})

test('waiting loans are served in the order they came', async (t) => {
  using writer = FrameWriter.create(uniqueName(t), { slotBytes: 8, slots: 2 })
  const loans = [writer.tryLoan()!, writer.tryLoan()!]
  const order: number[] = []
  const waits = [0, 1].map(async (i) => {
    await writer.loan()
    order.push(i)
  })
  loans[0]!.discard()
  await within(5000, waits[0]!)
  loans[1]!.discard()
  await within(5000, waits[1]!)
  t.deepEqual(order, [0, 1])
})

for (const giveBack of ['discard', 'publish'] as const) {
  test(`a ${giveBack} of the writer itself serves its sleeping loan`, async (t) => {
    using writer = FrameWriter.create(uniqueName(t), { slotBytes: 8, slots: 2, poll: 0 })
    const other = writer.tryLoan()!
    writer.tryLoan()
    const waiting = writer.loan() // asleep at once: poll is 0
    other[giveBack]()
    t.is((await within(5000, waiting)).capacity, 8)
  })
}

test('a waiting loan ends with its timeout, its signal, or the close of the writer', async (t) => {
  const writer = FrameWriter.create(uniqueName(t), { slotBytes: 8, slots: 2 })
  t.truthy(writer.tryLoan())
  t.truthy(writer.tryLoan())
  await t.throwsAsync(writer.loan({ timeout: 5 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  const abort = new AbortController()
  const aborted = t.throwsAsync(writer.loan({ signal: abort.signal }), {
    code: 'ERR_MILLRACE_ABORTED',
    name: 'AbortError',
  })
  const evicted = t.throwsAsync(writer.loan(), closed)
  abort.abort()
  await within(5000, aborted)
  writer.close()
  await within(5000, evicted)
  await t.throwsAsync(writer.loan(), closed)
  await t.throwsAsync(writer.waitForReaders(), closed)
})

test('loanSync blocks up to its timeout, then says that no slot became free', (t) => {
  using writer = FrameWriter.create(uniqueName(t), { slotBytes: 8, slots: 2 })
  writer.loanSync()
  writer.loanSync({ timeout: 0 })
  const start = performance.now()
  t.throws(() => writer.loanSync({ timeout: 30 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  t.true(performance.now() - start >= 30)
})

test('publish refuses lengths, timestamps and headers that cannot be, and keeps the loan usable', (t) => {
  using writer = FrameWriter.create(uniqueName(t), { slotBytes: 8 })
  const loan = writer.tryLoan()!
  for (const byteLength of [9, -1, 1.5, NaN]) t.throws(() => loan.publish({ byteLength }), tooLarge)
  t.throws(() => loan.publish({ timestamp: -1n }), invalid)
  t.throws(() => loan.publish({ timestamp: 1 as unknown as bigint }), invalid)
  t.throws(() => loan.publish({ header: new Uint8Array(65) }), invalid)
  t.is(loan.publish({ byteLength: 8, timestamp: 1n, header: new Uint8Array(64) }), 1)
})

test('write copies into the slot, and refuses what would not fit', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 8 })
  using reader = await FrameReader.open(name)
  const loan = writer.tryLoan()!
  loan.bytes.fill(0)
  loan.write(Uint8Array.of(1, 2, 3))
  loan.write(Uint16Array.of(0x0504), 3)
  loan.write(new DataView(Uint8Array.of(9, 8, 7).buffer, 1, 2), 6)
  t.throws(() => loan.write(new Uint8Array(9)), tooLarge)
  t.throws(() => loan.write(new Uint8Array(2), 7), tooLarge)
  t.throws(() => loan.write(new Uint8Array(1), -1), invalid)
  t.throws(() => loan.write(new Uint8Array(1), 2 ** 53), tooLarge)
  loan.publish()
  using frame = reader.tryReceive()!
  t.deepEqual([...frame.bytes], [1, 2, 3, 4, 5, 0, 8, 7])
})

test('waitForReaders resolves when so many are attached', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 8 })
  let there = false
  const wait = writer.waitForReaders(2).then(() => (there = true))
  using first = await FrameReader.open(name)
  t.is(writer.readers, 1)
  t.false(there)
  using second = await FrameReader.open(name)
  await within(5000, wait)
  t.is(writer.readers, 2)
  first.close()
  second.close()
  t.is(writer.readers, 0)
  await t.throwsAsync(writer.waitForReaders(1, { timeout: 5 }), { code: 'ERR_MILLRACE_TIMEOUT' })
})

test('a blocking loan does not wait behind loans of the event loop, which it would hold up for ever', async (t) => {
  using writer = FrameWriter.create(uniqueName(t), { slotBytes: 8, slots: 2 })
  const [held] = [writer.tryLoan()!, writer.tryLoan()!]
  const waiting = writer.loan()
  t.throws(() => writer.loanSync({ timeout: 0 }), {
    instanceOf: MillraceError,
    code: 'ERR_MILLRACE_BUSY',
  })
  held.discard()
  const loan = await within(10_000, waiting)
  loan.discard()
  t.notThrows(() => {
    writer.loanSync({ timeout: 0 }).discard()
  })
})

test('who waits for readers keeps nobody from a loan', async (t) => {
  using writer = FrameWriter.create(uniqueName(t), { slotBytes: 8 })
  const waiting = writer.waitForReaders(1)
  t.truthy(writer.tryLoan())
  writer.close()
  await t.throwsAsync(waiting, closed)
})
