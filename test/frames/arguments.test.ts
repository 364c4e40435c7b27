// Arguments of frames and waits that cannot be meant: each is named, and nothing is done.

import test from 'ava'
import { FrameReader, FrameWriter, MillraceError } from 'millrace'
import { uniqueName } from '../support/names.js'

const invalid = { instanceOf: MillraceError, code: 'ERR_MILLRACE_INVALID_ARGUMENT' }
const aborted = { instanceOf: MillraceError, code: 'ERR_MILLRACE_ABORTED' }

function detached<View extends ArrayBufferView>(view: View): View {
  structuredClone(view.buffer, { transfer: [view.buffer as ArrayBuffer] })
  return view
}

function cutOff<View>(make: (buffer: ArrayBuffer) => View): View {
  const Resizable = ArrayBuffer as unknown as new (
    length: number,
    options: { maxByteLength: number },
  ) => ArrayBuffer & { resize(length: number): void }
  const buffer = new Resizable(16, { maxByteLength: 64 })
  const view = make(buffer)
  buffer.resize(2)
  return view
}

const goneViews: readonly (readonly [string, () => ArrayBufferView])[] = [
  ['a detached Uint8Array', () => detached(new Uint8Array(8))],
  ['a detached Float64Array', () => detached(new Float64Array(1))],
  ['a detached DataView', () => detached(new DataView(new ArrayBuffer(8)))],
  ['a Uint8Array outside of its buffer', () => cutOff((buffer) => new Uint8Array(buffer, 8, 8))],
  ['a DataView outside of its buffer', () => cutOff((buffer) => new DataView(buffer, 8, 8))],
]
for (const [what, make] of goneViews) {
  test(`${what} is neither written, nor filled, nor a header`, async (t) => {
    const name = uniqueName(t)
    using writer = FrameWriter.create(name, { slotBytes: 8 })
    using reader = await FrameReader.open(name)
    const loan = writer.tryLoan()!
    t.throws(() => {
      loan.write(make())
    }, invalid)
    t.throws(() => loan.publish({ header: make() as Uint8Array }), invalid)
    t.is(loan.publish(), 1, 'the loan is as it was')
    t.throws(() => reader.tryReceive()!.copyTo(make()), invalid)
  })
}

test('an empty view is a view like others', (t) => {
  using writer = FrameWriter.create(uniqueName(t), { slotBytes: 8 })
  const loan = writer.tryLoan()!
  loan.write(new Uint8Array(0))
  loan.write(new DataView(new ArrayBuffer(0)), 8)
  t.is(loan.publish({ header: new Uint8Array(0) }), 1)
})

const loanMistakes: readonly (readonly [
  string,
  (loan: import('millrace').LoanedFrame) => unknown,
])[] = [
  ['publish(5)', (loan) => loan.publish(5 as never)],
  ['publish(null)', (loan) => loan.publish(null as never)],
  ['publish with a slip of the pen', (loan) => loan.publish({ bytelength: 3 } as never)],
  ['a header that is a list', (loan) => loan.publish({ header: [1, 2] as never })],
  ['a source that is text', (loan) => loan.write('text' as never)],
  ['an offset that is no number', (loan) => loan.write(new Uint8Array(1), NaN)],
  ['a negative offset', (loan) => loan.write(new Uint8Array(1), -1)],
  ['a view of nothing', (loan) => loan.view(undefined as never)],
  ['a view between two elements', (loan) => loan.view(Uint32Array, 2)],
]
for (const [what, mistake] of loanMistakes) {
  test(`a loan refuses ${what}, and is as it was`, (t) => {
    using writer = FrameWriter.create(uniqueName(t), { slotBytes: 8 })
    const loan = writer.tryLoan()!
    t.throws(() => mistake(loan), invalid)
    t.is(loan.publish(), 1)
  })
}

test('a received frame refuses the same', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 8 })
  using reader = await FrameReader.open(name)
  writer.tryLoan()!.publish()
  using frame = reader.tryReceive()!
  t.throws(() => frame.copyTo('text' as never), invalid)
  t.throws(() => frame.copyTo(new Uint8Array(1), 0.5), invalid)
  t.throws(() => frame.view(Float64Array, 4), invalid)
})

test('options of waits are judged also where there is nothing to wait for', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 8, slots: 3 })
  using reader = await FrameReader.open(name)
  writer.tryLoan()!.publish()
  for (const options of [
    50,
    null,
    { timeout: -1 },
    { timeout: 'soon' },
    { signal: 5 },
    { time: 1 },
  ]) {
    await t.throwsAsync(writer.loan(options as never), invalid)
    await t.throwsAsync(writer.waitForReaders(1, options as never), invalid)
    await t.throwsAsync(reader.receive(options as never), invalid)
    await t.throwsAsync(reader.receiveLatest(options as never), invalid)
    if (options !== null && typeof options === 'object' && 'signal' in options) continue
    t.throws(() => writer.loanSync(options as never), invalid)
    t.throws(() => reader.receiveSync(options as never), invalid)
  }
  t.is(reader.stats.waiting, 1, 'nothing was taken')
  const loans = [writer.tryLoan(), writer.tryLoan()]
  t.false(loans.includes(undefined), 'nothing was loaned')
})

test('a signal that is aborted already ends a wait that need not be', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 8, slots: 3 })
  using reader = await FrameReader.open(name)
  writer.tryLoan()!.publish()
  const signal = AbortSignal.abort()
  await t.throwsAsync(writer.loan({ signal }), aborted)
  await t.throwsAsync(writer.waitForReaders(1, { signal }), aborted)
  await t.throwsAsync(reader.receive({ signal }), aborted)
  await t.throwsAsync(reader.receiveLatest({ signal }), aborted)
  t.is(reader.stats.waiting, 1)
  t.is(writer.tryLoan()!.publish(), 2)
})

for (const count of [NaN, -1, 1.5, 5, Infinity, '1', null]) {
  test(`nobody waits for ${String(count)} readers of a channel that has places for 4`, async (t) => {
    using writer = FrameWriter.create(uniqueName(t), { slotBytes: 8, maxReaders: 4 })
    await t.throwsAsync(writer.waitForReaders(count as never), {
      ...invalid,
      message: /count.*0 to 4/u,
    })
  })
}

test('a writer that is not told how large its frames are says so', (t) => {
  const message = /slotBytes must be given/u
  t.throws(() => FrameWriter.create('x', undefined as never), { ...invalid, message })
  t.throws(() => FrameWriter.create('x', { slots: 4 } as never), { ...invalid, message })
})
