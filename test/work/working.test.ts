// The loop of a worker.

import test from 'ava'
import { WorkQueue, type Job } from 'millrace/work'

import { uniqueName } from '../support/names.js'
import { until } from '../support/until.js'
import { open, text, texts } from './open.js'

const aTurn = () => new Promise((resolve) => setImmediate(resolve))

test('work: what resolves is complete, what throws is tried again with its error, what was settled stays so', async (t) => {
  const name = uniqueName(t)
  const queue = open(t, name, { maxAttempts: 2 })
  const worker = open(t, name)
  const seen: string[] = []
  const done = worker.work(async (job) => {
    const what = text(job.bytes)
    seen.push(`${what} ${String(job.attempt)}`)
    if (what === 'sync') throw new Error('at once')
    await aTurn()
    if (what === 'async') throw new Error('later')
    if (what === 'own') job.reject('by itself')
    if (what === 'both') {
      job.complete()
      throw new Error('too late to matter')
    }
  })
  await queue.pushBatch(['fine', 'sync', 'async', 'own', 'both'])
  await until(() => queue.stats().ready + queue.stats().leased === 0)
  worker.close()
  await done
  t.deepEqual(seen, ['fine 1', 'sync 1', 'sync 2', 'async 1', 'async 2', 'own 1', 'both 1'])
  const letters = queue.dead.peek().map(({ bytes, error, reason }) => [text(bytes), reason, error])
  t.deepEqual(letters.sort(), [
    ['async', 'attempts', 'later'],
    ['own', 'rejected', 'by itself'],
    ['sync', 'attempts', 'at once'],
  ])
})

test('work: as many jobs in hand as concurrency says, and no more', async (t) => {
  const name = uniqueName(t)
  const queue = open(t, name)
  const worker = open(t, name)
  let inHand = 0
  let most = 0
  const done = worker.work(
    async () => {
      most = Math.max(most, ++inHand)
      await aTurn()
      inHand--
    },
    { concurrency: 3 },
  )
  await queue.pushBatch(Array.from({ length: 50 }, () => 'job'))
  await until(() => queue.stats().completed === 50)
  worker.close()
  await done
  t.is(most, 3)
})

test('work: a handler that is not asynchronous leaves the event loop its turns', async (t) => {
  const queue = open(t, uniqueName(t), { jobs: 20_000 })
  await queue.pushBatch(Array.from({ length: 20_000 }, () => 'job'))
  let turns = 0
  const timer = setInterval(() => turns++, 1)
  t.teardown(() => {
    clearInterval(timer)
  })
  let count = 0
  await queue.work(() => {
    const end = performance.now() + 0.01
    while (performance.now() < end);
    if (++count === 20_000)
      setImmediate(() => {
        queue.close()
      })
  })
  t.true(turns > 10, String(turns))
})

test('work: signal takes no more jobs, waits for those in hand, and rejects', async (t) => {
  const queue = open(t, uniqueName(t))
  const stop = new AbortController()
  let finish: () => void = () => undefined
  const done = queue.work(
    () =>
      new Promise<void>((resolve) => {
        finish = resolve
      }),
    { signal: stop.signal },
  )
  await queue.pushBatch(['in hand', 'left'])
  await until(() => queue.stats().leased === 1)
  stop.abort()
  let ended = false
  void done.catch(() => undefined).then(() => (ended = true))
  await aTurn()
  t.false(ended)
  finish()
  await t.throwsAsync(done, { code: 'ERR_MILLRACE_ABORTED' })
  t.deepEqual(texts(queue), ['left'])
  t.is(queue.stats().completed, 2)
})

test('work: drainOnClose lets handlers finish, and nothing new begins', async (t) => {
  const name = uniqueName(t)
  const queue = open(t, name)
  const worker = open(t, name)
  const jobs: Job[] = []
  let finish: () => void = () => undefined
  const finished = new Promise<void>((resolve) => {
    finish = resolve
  })
  const done = worker.work(
    async (job) => {
      jobs.push(job)
      await finished
    },
    { concurrency: 2, drainOnClose: 15_000 },
  )
  await queue.pushBatch(['a', 'b', 'c'])
  await until(() => jobs.length === 2)
  worker.close()
  t.true(worker.closed)
  t.false(jobs[0]!.signal.aborted)
  t.is(text(jobs[0]!.bytes), 'a')
  t.throws(() => worker.tryPush('x'), { code: 'ERR_MILLRACE_CLOSED' })
  t.throws(() => worker.tryTake(), { code: 'ERR_MILLRACE_CLOSED' })
  await t.throwsAsync(worker.takeOne(), { code: 'ERR_MILLRACE_CLOSED' })
  t.is(queue.stats().handles, 2)
  finish()
  await done
  await worker[Symbol.asyncDispose]()
  t.is(queue.stats().handles, 1)
  t.is(queue.stats().completed, 2)
  t.deepEqual(texts(queue), ['c'])
})

test('work: when the time for draining is over, what is in hand goes back', async (t) => {
  const name = uniqueName(t)
  const queue = open(t, name)
  let signal: AbortSignal | undefined
  let code: unknown
  {
    await using worker = WorkQueue.open(name)
    void worker.work(
      async (job) => {
        ;({ signal } = job)
        await new Promise((resolve) => {
          job.signal.addEventListener('abort', resolve)
        })
        try {
          job.complete()
        } catch (error) {
          ;({ code } = error as { code: string })
        }
      },
      { drainOnClose: 30 },
    )
    await queue.push('slow')
    await until(() => signal !== undefined)
  }
  t.true(signal!.aborted)
  await until(() => code === 'ERR_MILLRACE_CLOSED')
  const again = queue.tryTake()!
  t.is(again.attempt, 2)
  again.complete()
})

test('work: wrong options and handlers are refused before anything is taken', async (t) => {
  const queue = open(t, uniqueName(t))
  queue.tryPush('job')
  for (const options of [{ concurrency: 0 }, { drainOnClose: -1 }, { signal: 1 }, { many: 1 }]) {
    await t.throwsAsync(
      queue.work(() => undefined, options as never),
      { code: 'ERR_MILLRACE_INVALID_ARGUMENT' },
    )
  }
  await t.throwsAsync(queue.work('handler' as never), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
  await t.throwsAsync(
    queue.work(() => undefined, { signal: AbortSignal.abort() }),
    { code: 'ERR_MILLRACE_ABORTED' },
  )
  t.is(queue.size, 1)
  const other = WorkQueue.open(queue.name)
  other.close()
  await t.throwsAsync(
    other.work(() => undefined),
    { code: 'ERR_MILLRACE_CLOSED' },
  )
})

test('work: an attempt counts from the beginning of its handler on, whether or not that looks at the job', async (t) => {
  const name = uniqueName(t)
  const queue = open(t, name)
  const worker = open(t, name)
  const attempts: number[] = []
  void worker.work((job) => {
    attempts.push(job.attempt)
    worker.close()
  })
  await queue.push('job')
  await until(() => worker.closed)
  t.deepEqual(attempts, [1])
  const job = queue.tryTake()!
  t.is(job.attempt, 2)
  job.complete()
})

test('work: handlers that wait for the end of all of them wait for the others, and not for themselves', async (t) => {
  const name = uniqueName(t)
  const queue = open(t, name)
  const worker = WorkQueue.open(name)
  const ended: string[] = []
  let finish: () => void = () => undefined
  const finished = new Promise<void>((resolve) => {
    finish = resolve
  })
  const done = worker.work(
    async (job) => {
      const what = text(job.bytes)
      if (what === 'works') {
        await finished
      } else {
        await aTurn()
        await worker[Symbol.asyncDispose]()
        t.is(queue.stats().handles, 2, 'it closes when this one has finished, too')
      }
      ended.push(what)
      job.complete()
    },
    { concurrency: 3, drainOnClose: Infinity },
  )
  await queue.pushBatch(['closes', 'works', 'closes too'])
  await until(() => worker.closed)
  await aTurn()
  await aTurn()
  t.deepEqual(ended, [])
  finish()
  await done
  t.is(ended[0], 'works')
  t.is(ended.length, 3)
  await worker[Symbol.asyncDispose]()
  t.is(queue.stats().completed, 3)
  t.is(queue.stats().handles, 1)
})

test('work: a handler within a handler that closes the outer queue waits for neither', async (t) => {
  const name = uniqueName(t)
  const outer = open(t, name)
  const inner = open(t, uniqueName(t))
  await outer.push('outer')
  await inner.push('inner')
  await outer.work(
    async () => {
      await inner.work(
        async () => {
          await outer[Symbol.asyncDispose]()
          await inner[Symbol.asyncDispose]()
        },
        { drainOnClose: Infinity },
      )
    },
    { drainOnClose: Infinity },
  )
  t.true(outer.closed)
  t.true(inner.closed)
})
