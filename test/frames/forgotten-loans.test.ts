// Loans whose program threw between loan and publish: their slots come back, and people are told.

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import test, { type ExecutionContext } from 'ava'
import { FrameReader, FrameWriter, MillraceError } from 'millrace'
import { uniqueName } from '../support/names.js'
import { until, within } from '../support/until.js'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

/** Loans all slots but the one that is loaned after them, and throws as `set` does with an image that is too large. */
async function throwWhileLoaned(writer: FrameWriter, times: number): Promise<void> {
  for (let i = 0; i < times; i++) {
    try {
      const frame = await writer.loan()
      frame.bytes.set(new Uint8Array(writer.slotBytes + 1))
      frame.publish()
    } catch (error) {
      if (!(error instanceof RangeError)) throw error
    }
  }
}

/** The warnings of this process with that code, from now on until the test ends. */
function warningsOf(t: ExecutionContext, code: string): Error[] {
  const seen: Error[] = []
  const onWarning = (warning: Error & { readonly code?: string }) => {
    if (warning.code === code) seen.push(warning)
  }
  process.on('warning', onWarning)
  t.teardown(() => process.off('warning', onWarning))
  return seen
}

test.serial(
  'a loan that was lost gives its slot back when it is collected, also to a loan that waits',
  async (t) => {
    const name = uniqueName(t)
    const warnings = warningsOf(t, 'MILLRACE_LOAN_FORGOTTEN')
    using writer = FrameWriter.create(name, { slotBytes: 8, slots: 3 })
    await throwWhileLoaned(writer, 3)
    t.is(writer.tryLoan(), undefined)
    let loaned = false
    const waiting = writer.loan({ timeout: 20_000 }).then((frame) => {
      loaned = true
      return frame.publish()
    })
    await until(() => (collect(), loaned))
    t.is(await waiting, 1)
    await until(() => {
      collect()
      const loans = [writer.tryLoan(), writer.tryLoan(), writer.tryLoan()]
      for (const loan of loans) loan?.discard()
      return !loans.includes(undefined)
    })
    await until(() => warnings.length > 0)
    t.is(warnings.length, 1, 'once is enough')
    t.true(warnings[0]!.message.includes(`'${name}'`) && warnings[0]!.message.includes('using'))
  },
)

test.serial('loans that somebody still has are left alone by the collector', async (t) => {
  using writer = FrameWriter.create(uniqueName(t), { slotBytes: 8, slots: 3 })
  const loans = [writer.tryLoan()!, writer.tryLoan()!, writer.tryLoan()!]
  for (let i = 0; i < 5; i++) {
    collect()
    await new Promise((resolve) => setImmediate(resolve))
    t.is(writer.tryLoan(), undefined)
  }
  t.deepEqual(
    loans.map((loan) => loan.publish()),
    [1, 2, 3],
  )
})

test.serial(
  'a slot whose loan was published in time is not freed once more when the loan is collected',
  async (t) => {
    using writer = FrameWriter.create(uniqueName(t), { slotBytes: 8, slots: 4 })
    const warnings = warningsOf(t, 'MILLRACE_LOAN_FORGOTTEN')
    for (let i = 0; i < 100; i++) {
      const [a, b] = [writer.tryLoan()!, writer.tryLoan()!]
      a.publish()
      b.discard()
    }
    const held = [writer.tryLoan(), writer.tryLoan(), writer.tryLoan(), writer.tryLoan()]
    for (let i = 0; i < 5; i++) {
      collect()
      await new Promise((resolve) => setImmediate(resolve))
      t.is(writer.tryLoan(), undefined)
    }
    t.false(held.includes(undefined))
    t.deepEqual(warnings, [])
  },
)

test('a loan that waits too long for the loans of its own writer says so', async (t) => {
  using writer = FrameWriter.create(uniqueName(t), { slotBytes: 8, slots: 2 })
  const loans = [writer.tryLoan()!, writer.tryLoan()!]
  const told = {
    instanceOf: MillraceError,
    code: 'ERR_MILLRACE_TIMEOUT',
    message: /within 20 ms; all of its 2 slots are on loan from this writer.*using/u,
  }
  await t.throwsAsync(writer.loan({ timeout: 20 }), told)
  t.throws(() => writer.loanSync({ timeout: 20 }), told)
  t.is(loans.length, 2)
})

test('a loan that waits too long says what readers and what the writer have', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 8, slots: 3 })
  using _reader = await FrameReader.open(name)
  for (let i = 0; i < 3; i++) writer.tryLoan()!.publish()
  const late = { code: 'ERR_MILLRACE_TIMEOUT' }
  const readers = await t.throwsAsync(writer.loan({ timeout: 10 }), late)
  t.regex(readers.message, /within 10 ms; its 1 readers have too many frames queued/u)
  t.notRegex(readers.message, /loan/u)
})

test('whoever waits without a limit for loans of its own writer is warned, and served when one is given back', async (t) => {
  const warnings = warningsOf(t, 'MILLRACE_LOANS_OPEN')
  using writer = FrameWriter.create(uniqueName(t), { slotBytes: 8, slots: 2 })
  const loans = [writer.tryLoan()!, writer.tryLoan()!]
  const waiting = writer.loan()
  await until(() => warnings.length > 0)
  t.regex(warnings[0]!.message, /waits for a free slot; all of its 2 slots are on loan/u)
  loans[0]!.discard()
  t.is((await within(5000, waiting)).publish(), 1)
})
