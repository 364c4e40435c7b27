// What a job promises whoever has it in hand.

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import test from 'ava'
import type { Job } from 'millrace/work'

import { uniqueName } from '../support/names.js'
import { until, within } from '../support/until.js'
import { open, text, texts, warningsOf } from './open.js'

const soon = { timeout: 15_000 }

test('a job is settled once: whatever comes second is refused and changes nothing', (t) => {
  const queue = open(t, uniqueName(t))
  const ends: Readonly<Record<string, (job: Job) => void>> = {
    completed: (job) => {
      job.complete()
    },
    released: (job) => {
      job.release()
    },
    retried: (job) => {
      job.retry()
    },
    rejected: (job) => {
      job.reject('why')
    },
  }
  for (const [how, end] of Object.entries(ends)) {
    queue.tryPush(how)
    const job = queue.tryTake()!
    end(job)
    t.is(job.settled as string, how)
    const refused = { code: 'ERR_MILLRACE_RELEASED', message: new RegExp(how) }
    for (const again of Object.values(ends)) {
      t.throws(() => {
        again(job)
      }, refused)
    }
    t.throws(() => job.bytes, refused)
    t.throws(() => job.copy(), refused)
    t.throws(() => {
      job.extend(1)
    }, refused)
    texts(queue)
  }
  t.is(queue.dead.purge(), 1)
  t.is(queue.stats().free, queue.jobs)
})

test('wrong options leave the job in hand', (t) => {
  const queue = open(t, uniqueName(t))
  queue.tryPush('job')
  const job = queue.tryTake()!
  const calls: readonly (() => void)[] = [
    () => {
      job.release({ delay: -1 })
    },
    () => {
      job.retry({ delay: NaN })
    },
    () => {
      job.retry({ after: 1 } as never)
    },
    () => {
      job.extend(-1)
    },
  ]
  for (const call of calls) t.throws(call, { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
  t.is(job.settled, undefined)
  job.complete()
})

test('a job that leaves its `using` block unsettled is tried again, and the process is warned once', async (t) => {
  const queue = open(t, uniqueName(t))
  const warnings = warningsOf(t, 'MILLRACE_JOB_UNSETTLED', queue)
  await queue.pushBatch(['one', 'two'])
  for (let i = 0; i < 2; i++) {
    using job = queue.tryTake()!
    t.is(job.attempt, i + 1)
  }
  t.throws(
    () => {
      using job = queue.tryTake()!
      throw new Error(`${text(job.bytes)} failed`)
    },
    { message: 'one failed' },
  )
  {
    using job = queue.tryTake()!
    t.is(job.attempt, 4)
    job.complete()
  }
  await until(() => warnings.length > 0)
  t.is(warnings.length, 1)
  t.is(queue.stats().unsettled, 3)
  t.deepEqual(texts(queue), ['two'])
})

test('jobs that the program forgot are tried again', async (t) => {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc') as () => void
  const name = uniqueName(t)
  open(t, name) // takes away at the end what is in hand until the other closes
  const queue = open(t, name)
  const warnings = warningsOf(t, 'MILLRACE_JOB_UNSETTLED', queue)
  await queue.pushBatch(['lost', 'read', 'newest'])
  const bytes = forgetSome()
  await until(() => {
    gc()
    return queue.stats().unsettled > 0
  })
  await until(() => warnings.length === 1)
  t.is(queue.stats().unsettled, 1, 'the bytes of the other are still looked at')
  const again = queue.tryTake()!
  t.is(text(again.bytes), 'lost')
  t.is(again.attempt, 2)
  t.is(text(bytes), 'read')
  again.complete()

  function forgetSome(): Uint8Array {
    t.is(text(queue.tryTake()!.bytes), 'lost')
    const read = queue.tryTake()!.bytes
    queue.tryTake()!.complete()
    return read
  }
})

test('closing gives back what is in hand: views are empty, signals abort, what comes later is refused', async (t) => {
  const name = uniqueName(t)
  const queue = open(t, name)
  const worker = open(t, name)
  await queue.pushBatch(['first', 'second'])
  const job = worker.tryTake()!
  const quiet = worker.tryTake()!
  const { bytes, signal } = job
  t.false(signal.aborted)
  worker.close()
  t.true(signal.aborted)
  t.is((signal.reason as { code: string }).code, 'ERR_MILLRACE_CLOSED')
  t.true(quiet.signal.aborted)
  t.is(bytes.length, 0)
  const calls: readonly (() => unknown)[] = [
    () => job.bytes,
    () => job.copy(),
    () => {
      job.complete()
    },
    () => {
      job.retry()
    },
  ]
  for (const call of calls) t.throws(call, { code: 'ERR_MILLRACE_CLOSED' })
  job[Symbol.dispose]()
  const again = queue.tryTake()!
  t.is(text(again.bytes), 'first')
  t.is(again.attempt, 2, 'it had begun')
  again.complete()
  t.deepEqual(texts(queue), ['second'])
})

test('signal: of a job that was settled in time it never aborts', (t) => {
  const queue = open(t, uniqueName(t))
  queue.tryPush('job')
  const job = queue.tryTake()!
  const { signal } = job
  job.complete()
  queue.close()
  t.false(signal.aborted)
})

test('leaseTimeout: who neither settles nor extends loses the job, hears of it, and cannot settle', async (t) => {
  const name = uniqueName(t)
  const queue = open(t, name, { leaseTimeout: 500 })
  const worker = open(t, name)
  queue.tryPush('job')
  const job = worker.tryTake()!
  const { token } = job
  const lost = new Promise((resolve) => {
    job.signal.addEventListener('abort', resolve)
  })
  const next = await queue.takeOne(soon)
  next.extend(60_000)
  t.is(next.attempt, 2)
  t.true(next.token > token, 'a fencing token')
  // Whoever holds a job keeps no process alive.
  await within(10_000, lost)
  t.is(job.settled, 'lost')
  t.is((job.signal.reason as { code: string }).code, 'ERR_MILLRACE_LEASE_LOST')
  t.throws(
    () => {
      job.complete()
    },
    { code: 'ERR_MILLRACE_LEASE_LOST' },
  )
  next.complete()
})

test('leaseTimeout: a late settle is refused also where nobody asked for the signal', async (t) => {
  const name = uniqueName(t)
  const queue = open(t, name, { leaseTimeout: 20 })
  const worker = open(t, name)
  queue.tryPush('job', { id: 'late' })
  const job = worker.tryTake()!
  const next = await queue.takeOne(soon)
  next.extend(60_000)
  t.throws(
    () => {
      job.retry({ error: 'too late' })
    },
    { code: 'ERR_MILLRACE_LEASE_LOST' },
  )
  t.throws(() => job.id, { code: 'ERR_MILLRACE_LEASE_LOST' })
  t.true(job.signal.aborted)
  t.is(next.settled, undefined)
  next.complete()
  t.true(queue.stats().lostLeases >= 1)
})

test('leaseTimeout: extend keeps the job', async (t) => {
  const name = uniqueName(t)
  const queue = open(t, name, { leaseTimeout: 200 })
  const worker = open(t, name)
  queue.tryPush('job')
  const job = worker.tryTake()!
  const { signal } = job
  job.extend(60_000)
  await t.throwsAsync(queue.takeOne({ timeout: 500 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  t.false(signal.aborted)
  job.complete()
})

test('takeBatch: what is there, and an attempt begins when its bytes are looked at', async (t) => {
  const name = uniqueName(t)
  const queue = open(t, name)
  const worker = open(t, name)
  await queue.pushBatch(['a', 'b', 'c'])
  const jobs = await worker.takeBatch(2)
  t.deepEqual(
    jobs.map((job) => job.attempt),
    [1, 1],
  )
  t.is(text(jobs[0]!.bytes), 'a')
  worker.close()
  const again = await queue.takeBatch(10)
  t.deepEqual(
    again.map((job) => [text(job.copy()), job.attempt, job.acquired]),
    [
      ['a', 2, 2],
      ['b', 1, 2],
      ['c', 1, 1],
    ],
  )
  for (const job of again) job.complete()
  const waiting = queue.takeBatch(5, soon)
  queue.tryPush('later')
  const [later] = await waiting
  later!.retry()
  const last = queue.tryTake()!
  t.is(last.attempt, 2, 'a retry counts, looked at or not')
  last.complete()
  await t.throwsAsync(queue.takeBatch(0), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
})

test('what console.log and JSON.stringify show of a job has no payload in it', (t) => {
  const queue = open(t, uniqueName(t))
  queue.tryPush('secret', { id: 'hidden' })
  const job = queue.tryTake()!
  t.false(JSON.stringify(job).includes('secret'))
  t.regex(JSON.stringify(job), /"state":"held"/)
  job.complete()
  t.regex(JSON.stringify(job), /"state":"completed"/)
})
