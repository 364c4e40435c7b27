// What programs do that nobody should: read jobs that they have lost, take the memory of a payload away, leave arguments out, cut
// memory off. None of it gives one the bytes of another, loses a job, calls a handler for nothing, or hangs.

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import test from 'ava'
import type { Job, WorkQueue } from 'millrace/work'

import { cut } from '../support/cut.js'
import { uniqueName } from '../support/names.js'
import { until } from '../support/until.js'
import { open, text, texts, warningsOf } from './open.js'

const soon = { timeout: 15_000 }

test('who has lost a job does not get the bytes of the one that lies there now', async (t) => {
  const mine = open(t, uniqueName(t), { leaseTimeout: 30, jobs: 1 })
  const other = open(t, mine.name)
  for (const read of [(job: Job) => job.copy(), (job: Job) => job.bytes]) {
    mine.tryPush('my own bytes')
    const job = mine.tryTake()!
    t.is(text(job.bytes), 'my own bytes')
    const taken = await other.takeOne(soon)
    taken.complete()
    other.tryPush('those of another')
    const error = t.throws(() => read(job), { code: 'ERR_MILLRACE_LEASE_LOST' })
    t.regex(error.message, /extend/)
    t.is(job.settled, 'lost')
    t.deepEqual(texts(other), ['those of another'])
  }
})

test('a payload whose memory goes away while its push waits for room is refused, not pushed empty', async (t) => {
  const queue = open(t, uniqueName(t), { jobs: 1 })
  const refused = { code: 'ERR_MILLRACE_INVALID_ARGUMENT', message: /a payload is .* gone/ }
  const pushes: readonly ((bytes: Uint8Array) => Promise<unknown>)[] = [
    (bytes) => queue.push(bytes, soon),
    (bytes) => queue.push(bytes, { ...soon, priority: 3 }),
    (bytes) => queue.pushBatch([bytes], soon),
  ]
  for (const push of pushes) {
    queue.tryPush('there')
    const bytes = Buffer.from(new ArrayBuffer(8))
    const pushed = push(bytes)
    structuredClone(bytes.buffer, { transfer: [bytes.buffer] })
    const waits = t.throwsAsync(pushed, refused)
    t.is(queue.tryReceive()?.toString(), 'there')
    await waits
    t.deepEqual(texts(queue), [])
  }
})

test('an argument that was left out, and options that are none, are refused at once', async (t) => {
  const queue = open(t, uniqueName(t))
  queue.tryPush('job')
  const job = queue.tryTake()!
  const loan = queue.tryLoan(4)!
  const nothing = undefined as unknown as number
  const none = null as unknown as object
  const three = 3 as unknown as object
  const calls: Readonly<Record<string, (of: WorkQueue) => unknown>> = {
    takeBatch: (of) => of.takeBatch(nothing, { timeout: 1000 }),
    tryLoan: (of) => of.tryLoan(nothing),
    loan: (of) => of.loan(nothing),
    extend: () => {
      job.extend(nothing)
    },
    pushBatch: (of) => of.pushBatch(['a'], none),
    'pushBatch of a number': (of) => of.pushBatch(['a'], three),
    'push of a loan': () => loan.push(none),
    'push of a loan, of a number': () => loan.push(three),
    'push of a loan, of what it has not': () => loan.push({ signal: 1 } as object),
  }
  for (const [what, call] of Object.entries(calls)) {
    await t.throwsAsync(
      async () => await call(queue),
      { code: 'ERR_MILLRACE_INVALID_ARGUMENT' },
      what,
    )
  }
  t.is(queue.size, 0)
  job.complete()
  loan.cancel()
  t.throws(() => open(t, uniqueName(t), { deadLetters: none }), { message: /deadLetters must be/ })
})

test('a group in a queue that has none is refused: it would wait for ever', async (t) => {
  const queue = open(t, uniqueName(t), { groups: 0 })
  const options = { group: 'a' }
  const refused = { code: 'ERR_MILLRACE_INVALID_ARGUMENT', message: /groups: 0/ }
  await t.throwsAsync(queue.push('job', { ...options, timeout: 1000 }), refused)
  t.throws(() => queue.tryPush('job', options), refused)
  t.throws(() => queue.pushSync('job', { ...options, timeout: 0 }), refused)
  using loan = queue.tryLoan(1)!
  t.throws(() => loan.push(options), refused)
  t.is(queue.size, 0)
})

test('an id that does not fit a loan is refused, and says so; the loan stays open', (t) => {
  const queue = open(t, uniqueName(t))
  for (const length of [1, 100, 1000, 2048]) {
    using loan = queue.tryLoan(length)!
    const error = t.throws(() => loan.push({ id: 'x'.repeat(1024) }), {
      code: 'ERR_MILLRACE_TOO_LARGE',
    })
    t.regex(error.message, /the id and the group do not fit this loan/)
    t.false(loan.ended)
    t.deepEqual(loan.push({ id: 'i'.repeat(200), group: 'g'.repeat(40) }), { duplicate: false })
  }
  const job = queue.tryTake()!
  t.is(job.id?.length, 200)
  job.complete()
})

test('the shortest time to live ends', async (t) => {
  const queue = open(t, uniqueName(t))
  queue.tryPush('job', { ttl: Number.MIN_VALUE })
  await t.throwsAsync(queue.takeOne({ timeout: 5 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  t.is(queue.dead.peek()[0]?.reason, 'expired')
})

test('a handle that closes before a handler has its job calls it for nothing no more', async (t) => {
  const queue = open(t, uniqueName(t))
  const next = open(t, queue.name)
  queue.tryPush('job')
  const working = queue.work(() => {
    t.fail()
  })
  queue.close()
  await working
  const job = next.tryTake()!
  t.is(job.attempt, 1)
  t.is(job.acquired, 2)
  job.complete()
})

test('a job that no handler has begun costs no attempt, however often handles close with it in hand', async (t) => {
  const name = uniqueName(t)
  const queue = open(t, name, { maxAttempts: 2 })
  queue.tryPush('job')
  for (let i = 0; i < 5; i++) {
    const worker = open(t, name)
    const working = worker.work(() => {
      t.fail()
    })
    t.is(queue.stats().leased, 1)
    worker.close()
    await working
  }
  t.is(queue.dead.length, 0)
  const job = queue.tryTake()!
  t.is(job.attempt, 1)
  job.complete()
})

test('a timer that looks after leases finds that the memory was cut off, and no signal', async (t) => {
  const queue = open(t, uniqueName(t), { leaseTimeout: 50 })
  queue.tryPush('job')
  const { signal } = queue.tryTake()!
  cut(queue.path)
  // Its timer keeps no process alive; looking for the end does.
  await until(() => signal.aborted)
  t.true(queue.closed)
})

test('the room of loans that the program lost comes back, to a wait of the same handle as well', async (t) => {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void
  const queue = open(t, uniqueName(t), { jobs: 3 })
  const warnings = warningsOf(t, 'MILLRACE_LOAN_FORGOTTEN', queue)
  const bytes = loseSome()
  t.is(queue.tryLoan(1), undefined)
  let got = false
  const waits = queue.push('job', soon).then(() => {
    got = true
  })
  await until(() => {
    gc()
    return got
  })
  await waits
  await until(() => warnings.length === 1)
  t.false(queue.tryPush('one more'), 'the bytes of one are still written to, and one was pushed')
  bytes.fill(1)
  t.deepEqual(texts(queue), ['pushed', 'job'])
  t.is(queue.stats().free, 2)

  function loseSome(): Uint8Array {
    queue.tryLoan(8)
    const written = queue.tryLoan(8)!.bytes
    const loan = queue.tryLoan(6)!
    loan.bytes.set(Buffer.from('pushed'))
    loan.push()
    return written
  }
})
