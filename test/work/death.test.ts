// What a killed, stopped or ending process leaves: its jobs go back, and nobody else's.

import { setTimeout as pause } from 'node:timers/promises'

import test, { type ExecutionContext } from 'ava'
import type { WorkQueue } from 'millrace/work'

import { actor, type Actor } from '../support/actor.js'
import { uniqueName } from '../support/names.js'
import { until } from '../support/until.js'
import { open, text } from './open.js'

const soon = { timeout: 15_000 }

/** A worker in another process that has one job in hand. */
async function holder(t: ExecutionContext, name: string): Promise<Actor> {
  const worker = actor(t)
  await worker.do(async ({ WorkQueue, own }, name) => {
    own.jobs = WorkQueue.open(name)
    const job = await own.jobs.takeOne()
    own['job'] = job
    return job.bytes.length
  }, name)
  return worker
}

async function takenAgain(queue: WorkQueue): Promise<{ attempt: number; bytes: string }> {
  const job = await queue.takeOne(soon)
  const { attempt } = job
  const bytes = text(job.bytes)
  job.complete()
  return { attempt, bytes }
}

for (const [how, tuning] of Object.entries({ asleep: { poll: 0 }, polling: { poll: 20_000 } })) {
  test(`a killed worker's job is taken by one who waits (${how}), in its old place, and the attempt counts`, async (t) => {
    const name = uniqueName(t)
    const queue = open(t, name, tuning)
    await queue.pushBatch(['first', 'second'])
    const worker = await holder(t, name)
    const second = queue.tryTake()!
    t.is(text(second.bytes), 'second')
    const again = takenAgain(queue)
    const start = performance.now()
    await worker.kill()
    t.deepEqual(await again, { attempt: 2, bytes: 'first' })
    t.log(`${(performance.now() - start).toFixed(0)} ms after the order to kill`)
    second.complete()
    t.is(queue.stats().deaths, 1)
    t.is(queue.stats().givenBack, 1)
  })
}

/** Counts the looks for dead holders of a queue. */
function looksOf(queue: WorkQueue): { count: number; readonly everyMs: number } {
  const { native } = queue as unknown as { native: { look(): number; readonly lookMs: number } }
  const looks = { count: 0, everyMs: native.lookMs }
  const look = native.look.bind(native)
  const value = () => {
    looks.count++
    return look()
  }
  Object.defineProperty(native, 'look', { value })
  return looks
}

test('a sleeper looks for the dead in time, and finds one at its next look but one', async (t) => {
  const name = uniqueName(t)
  const queue = open(t, name, { poll: 0 })
  const looks = looksOf(queue)
  t.true(looks.everyMs <= 20)
  queue.tryPush('job')
  const worker = await holder(t, name)
  const again = takenAgain(queue)
  // As many timers of ours, one after the other: who else uses the processor holds up both.
  const before = looks.count
  for (let i = 0; i < 30; i++) await pause(looks.everyMs)
  const count = looks.count - before
  t.true(count >= 15 && count <= 40, `${count} looks while 30 were due`)
  await worker.kill()
  looks.count = 0
  t.deepEqual(await again, { attempt: 2, bytes: 'job' })
  t.true(looks.count <= 2, `${looks.count} looks`)
})

test('a killed worker gives its job back to one that is never idle', async (t) => {
  const name = uniqueName(t)
  const queue = open(t, name)
  await queue.pushBatch(['first', 'second', 'third'])
  const worker = await holder(t, name)
  await worker.kill()
  // Never without a job, so that it never waits; and nobody else is there.
  const end = performance.now() + 10_000
  let job = queue.tryTake()!
  while (text(job.bytes) !== 'first' && performance.now() < end) {
    queue.tryPush(job.copy())
    job.complete()
    job = queue.tryTake()!
  }
  t.deepEqual([text(job.bytes), job.attempt], ['first', 2])
  job.complete()
})

test('the next one to come finds the job of a worker that died while nobody was there', async (t) => {
  const name = uniqueName(t)
  const first = open(t, name)
  first.tryPush('job')
  const worker = await holder(t, name)
  first.close()
  await worker.kill()
  const next = open(t, name)
  t.deepEqual(await takenAgain(next), { attempt: 2, bytes: 'job' })
})

test('a worker that is stopped keeps its job', async (t) => {
  const name = uniqueName(t)
  const queue = open(t, name)
  queue.tryPush('job')
  const worker = await holder(t, name)
  worker.run.signal('SIGSTOP')
  await t.throwsAsync(queue.takeOne({ timeout: 400 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  worker.run.signal('SIGCONT')
  await worker.do(({ own }) => {
    ;(own['job'] as { complete(): void }).complete()
    own.jobs.close()
  })
  t.is(queue.stats().completed, 1)
})

for (const [how, end] of Object.entries({
  'process.exit()': () => {
    process.exit(0)
  },
  'process.exit(1)': () => {
    process.exit(1)
  },
  'an uncaught exception': () => {
    setImmediate(() => {
      throw new Error('as the test wants it')
    })
  },
})) {
  test(`a worker that ends by ${how} gives its job back`, async (t) => {
    const name = uniqueName(t)
    const queue = open(t, name)
    queue.tryPush('job')
    const worker = await holder(t, name)
    const again = takenAgain(queue)
    worker.start(end)
    t.deepEqual(await again, { attempt: 2, bytes: 'job' })
    await until(() => queue.stats().handles === 1)
    t.is(queue.stats().deaths, 0, 'it said good-bye')
  })
}

test("in 'exit' listeners a job is not ours any more", async (t) => {
  const name = uniqueName(t)
  const queue = open(t, name)
  queue.tryPush('job')
  const worker = actor(t)
  await worker.do(async ({ WorkQueue, own }, name) => {
    own.jobs = WorkQueue.open(name)
    const job = await own.jobs.takeOne()
    const { bytes } = job
    process.on('exit', () => {
      const code = (call: () => unknown) => {
        try {
          call()
          return 'nothing'
        } catch (error) {
          return (error as { code?: string }).code
        }
      }
      console.log(
        JSON.stringify([
          bytes.length,
          own.jobs.closed,
          code(() => job.bytes),
          code(() => {
            job.complete()
          }),
          code(() => own.jobs.tryPush('late')),
          code(() => own.jobs.tryTake()),
        ]),
      )
    })
  }, name)
  worker.start(() => {
    process.exit(0)
  })
  const closed = 'ERR_MILLRACE_CLOSED'
  await worker.run.printed(JSON.stringify([0, true, closed, closed, closed, closed]))
  t.deepEqual(await takenAgain(queue), { attempt: 2, bytes: 'job' })
})
