// A work queue over a server of NATS with JetStream.

import { rmSync } from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import type { MillraceError } from 'millrace'
import { WorkQueue, type Job, type WorkQueueOptions } from 'millrace/work'

import { run } from '../support/process.js'
import { until, within } from '../support/until.js'
import { natsClient } from './support/client.js'
import { natsServer, type NatsServer } from './support/nats.js'

const patience = { timeout: 15_000 }

function open(
  t: ExecutionContext,
  server: NatsServer,
  options?: WorkQueueOptions,
  name = 'jobs',
  secret = '',
): WorkQueue {
  const queue = WorkQueue.open(server.address(name, secret), options)
  t.teardown(() => {
    queue.close()
  })
  return queue
}

const textOf = (job: Job) => job.copy().toString()

test('jobs go from handle to handle, in their order, and are gone when they are complete', async (t) => {
  const server = await natsServer(t)
  const [pushing, taking] = [open(t, server), open(t, server)]
  t.true(pushing instanceof WorkQueue)
  t.is(await pushing.pushBatch(['a', 'b', 'c']), 3)
  const jobs = await taking.takeBatch(10, patience)
  t.deepEqual(jobs.map(textOf), ['a', 'b', 'c'])
  t.deepEqual(
    jobs.map(({ attempt }) => attempt),
    [1, 1, 1],
  )
  t.true(Math.abs(jobs[0]!.pushedAt.getTime() - Date.now()) < 60_000)
  for (const job of jobs) await job.complete()
  t.throws(() => jobs[0]!.complete(), { code: 'ERR_MILLRACE_RELEASED' })
  await t.throwsAsync(taking.takeOne({ timeout: 200 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  const { traits } = taking
  t.deepEqual(
    [traits.local, traits.leases, traits.death, traits.dedups, traits.priorities, traits.groups],
    [false, 'silence', 'timeout', true, false, false],
  )
  t.deepEqual([taking.durability, taking.maxAttempts, taking.priorities], ['file', 5, 1])
})

test('a push that close() cuts off says whether it may have arrived', async (t) => {
  const server = await natsServer(t)
  const queue = open(t, server)
  await queue.push('has arrived')
  server.pause()
  const sent = queue.push('is on its way')
  await new Promise(setImmediate)
  queue.close()
  server.resume()
  const error = await t.throwsAsync(sent, { code: 'ERR_MILLRACE_CLOSED' })
  t.like(error, { executed: 'unknown' })
})

test('who waits is told of a job that comes later, and a wait that was given up takes none', async (t) => {
  const server = await natsServer(t)
  const queue = open(t, server, { maxAttempts: 1 })
  const control = new AbortController()
  const given = queue.takeOne({ signal: control.signal })
  await until(() => queue.connection?.state === 'connected')
  control.abort()
  await t.throwsAsync(given, { code: 'ERR_MILLRACE_ABORTED' })
  const waiting = queue.takeOne(patience)
  await queue.push('late')
  const job = await waiting
  t.deepEqual([textOf(job), job.attempt], ['late', 1])
  await job.complete()
})

test('work() hands each job to its handler, also several at a time, and tries again what has failed', async (t) => {
  const server = await natsServer(t)
  const queue = open(t, server)
  const seen: string[] = []
  const working = queue.work(
    async (job) => {
      await Promise.resolve()
      seen.push(`${textOf(job)}${String(job.attempt)}`)
      if (job.attempt === 1 && textOf(job) === 'b') throw new Error('not yet')
    },
    { concurrency: 3 },
  )
  const pushing = open(t, server)
  for (const text of ['a', 'b', 'c', 'd']) await pushing.push(text)
  await until(() => seen.length === 5)
  t.deepEqual([...seen].sort(), ['a1', 'b1', 'b2', 'c1', 'd1'])
  queue.close()
  await within(15_000, working)
})

test('a second push with an id is a duplicate', async (t) => {
  const server = await natsServer(t)
  const queue = open(t, server)
  t.deepEqual(await queue.push('once', { id: 'order 7' }), { duplicate: false })
  t.deepEqual(await queue.push('once', { id: 'order 7' }), { duplicate: true })
  const job = await queue.takeOne(patience)
  t.is(job.id, 'order 7')
  await job.complete()
  t.deepEqual(await queue.push('once', { id: 'order 7' }), { duplicate: true })
  await t.throwsAsync(queue.takeOne({ timeout: 200 }), { code: 'ERR_MILLRACE_TIMEOUT' })
})

test('what is released, and what failed, comes again, later if that was asked', async (t) => {
  const server = await natsServer(t)
  const queue = open(t, server)
  await queue.push('x')
  const first = await queue.takeOne(patience)
  await first.release()
  const second = await queue.takeOne(patience)
  t.is(second.acquired, 2)
  t.true(second.token > first.token)
  const from = performance.now()
  await second.retry({ delay: 300, error: 'later' })
  const third = await queue.takeOne(patience)
  t.true(performance.now() - from >= 290)
  await third.complete()
})

test('a job with a delay is due later, and its attempts begin then', async (t) => {
  const server = await natsServer(t)
  const queue = open(t, server)
  const from = performance.now()
  await queue.push('later', { delay: 400 })
  await queue.push('now')
  t.is(textOf(await queue.takeOne(patience)), 'now')
  const job = await queue.takeOne(patience)
  t.true(performance.now() - from >= 390)
  t.deepEqual([textOf(job), job.attempt], ['later', 1])
})

test('dead letters are jobs of a queue of their own: rejected, out of attempts, out of time', async (t) => {
  const server = await natsServer(t)
  const queue = open(t, server, { maxAttempts: 2 })
  const dead = open(t, server, undefined, 'jobs-dead')
  await queue.push('rejected', { id: 'r' })
  await (await queue.takeOne(patience)).reject(new Error('two\nlines'))
  const rejected = await dead.takeOne(patience)
  t.deepEqual([textOf(rejected), rejected.id], ['rejected', 'r'])
  await rejected.complete()

  await queue.push('poison')
  for (const attempt of [1, 2]) {
    const job = await queue.takeOne(patience)
    t.is(job.attempt, attempt)
    await job.retry({ error: 'no' })
  }
  const poison = await dead.takeOne(patience)
  t.is(textOf(poison), 'poison')
  await poison.complete()

  await queue.push('expired', { ttl: 1 })
  await new Promise((resolve) => setTimeout(resolve, 20))
  await t.throwsAsync(queue.takeOne({ timeout: 500 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  t.is(textOf(await dead.takeOne(patience)), 'expired')
})

test('what JetStream cannot do is refused before anything is done', async (t) => {
  const server = await natsServer(t)
  const queue = open(t, server)
  for (const options of [{ priority: 1 }, { group: 'g' }]) {
    await t.throwsAsync(queue.push('x', options), {
      code: 'ERR_MILLRACE_UNSUPPORTED',
      message: /JetStream gives jobs out in one order/,
    })
  }
  t.throws(() => open(t, server, { durability: 'disk' }), { code: 'ERR_MILLRACE_UNSUPPORTED' })
  t.throws(() => open(t, server, undefined, 'a.b'), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
  t.throws(() => queue.size, { code: 'ERR_MILLRACE_UNSUPPORTED' })
  await t.throwsAsync(queue.takeOne({ timeout: 200 }), { code: 'ERR_MILLRACE_TIMEOUT' })
})

test('a queue that is another one than was said is refused', async (t) => {
  const server = await natsServer(t)
  await open(t, server, { jobs: 5, leaseTimeout: 2000 }).push('x')
  const wrong: readonly WorkQueueOptions[] = [
    { jobs: 6 },
    { leaseTimeout: 1 },
    { maxAttempts: 9 },
    { durability: 'memory' },
    { priorities: 4 },
  ]
  for (const options of wrong) {
    await t.throwsAsync(
      open(t, server, options).push('x'),
      { code: 'ERR_MILLRACE_GEOMETRY' },
      JSON.stringify(options),
    )
  }
})

test('a job of any other client of NATS is one, and any other client can read what is pushed', async (t) => {
  const server = await natsServer(t)
  const queue = open(t, server)
  await until(() => queue.connection?.state === 'connected')
  const nats = await natsClient(t, server)
  await nats.request('millrace.work.jobs', 'from outside')
  const job = await queue.takeOne(patience)
  t.is(textOf(job), 'from outside')
  await job.complete()
  await queue.push('to outside')
  const message = await nats.request(
    '$JS.API.CONSUMER.MSG.NEXT.jobs.millrace',
    JSON.stringify({ batch: 1, expires: 5e9 }),
    { timeout: 5000, noMux: true },
  )
  t.is(message.string(), 'to outside')
})

test('a worker that is killed holds nothing: somebody else has its job when its lease is over', async (t) => {
  const server = await natsServer(t)
  const leaseTimeout = 1000
  const queue = open(t, server, { leaseTimeout })
  await queue.push('survives')
  const fixture = new URL('./fixtures/worker.js', import.meta.url)
  const worker = run(t, fixture, [server.address('jobs'), String(leaseTimeout)])
  await worker.printed('survives')
  const from = performance.now()
  await worker.kill()
  const job = await queue.takeOne(patience)
  t.deepEqual([textOf(job), job.attempt], ['survives', 2])
  t.true(performance.now() - from < 5000)
  await job.complete()
})

test('a lease that is over is lost to its worker, and one that is made longer is not', async (t) => {
  const server = await natsServer(t)
  const queue = open(t, server, { leaseTimeout: 600 })
  await queue.connected() // whoever comes first makes it
  const other = open(t, server)
  await queue.push('slow')
  const job = await queue.takeOne(patience)
  await job.extend(2000)
  await t.throwsAsync(other.takeOne({ timeout: 1500 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  const again = await other.takeOne(patience)
  t.is(again.attempt, 2)
  await until(() => job.signal.aborted)
  await t.throwsAsync(Promise.resolve(job.complete()), { code: 'ERR_MILLRACE_LEASE_LOST' })
  await again.complete()
})

/** The longest time for which this process or the server did nothing while `act` ran. */
async function standstill(
  t: ExecutionContext,
  server: NatsServer,
  act: () => Promise<boolean>,
): Promise<{ readonly given: boolean; readonly ms: number }> {
  const client = await natsClient(t, server)
  let ms = 0
  let last = performance.now()
  const acting = act()
  let over = false
  void acting.finally(() => {
    over = true
  })
  const isOver = (): boolean => over
  while (!isOver()) {
    await client.flush()
    ms = Math.max(ms, performance.now() - last)
    last = performance.now()
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return { given: await acting, ms }
}

test('a job stays with a worker that lives, however long it takes', async (t) => {
  const server = await natsServer(t)
  const queue = open(t, server)
  const other = open(t, server)
  await queue.push('long')
  const job = await queue.takeOne(patience)
  const still = await standstill(t, server, async () => {
    const given = await other.takeOne({ timeout: 12_000 }).then(
      () => true,
      (error: unknown) => (error as { code: string }).code !== 'ERR_MILLRACE_TIMEOUT',
    )
    // Who stands still for nearly as long as a lease has lost the job, and is told so.
    if (given) await until(() => job.signal.aborted, 40_000)
    return given
  })
  t.true(
    !still.given || still.ms > 7000,
    `given to another; nobody stood still for more than ${still.ms.toFixed()} ms`,
  )
  if (!still.given) await job.complete()
})

test('a server without JetStream is told from one that does not answer', async (t) => {
  const server = await natsServer(t, { jetstream: false })
  const queue = open(t, server)
  await t.throwsAsync(queue.push('x', patience), {
    code: 'ERR_MILLRACE_UNSUPPORTED',
    message: /start it with -js/,
  })
  t.true(queue.closed)
})

test('an open queue does not keep its process alive, and a wait does', async (t) => {
  const server = await natsServer(t)
  const fixture = new URL('./fixtures/ends.js', import.meta.url)
  const ending = run(t, fixture, [server.address('jobs')])
  await ending.printed('x')
  t.deepEqual(await ending.ended(), { code: 0, signal: null })
})

test('what the server cannot store is refused, and not taken for a queue that is full', async (t) => {
  const server = await natsServer(t)
  const queue = open(t, server)
  await queue.connected(patience)
  const streams = join(server.folder, 'data', 'jetstream', '$G', 'streams')
  rmSync(join(streams, 'jobs'), { recursive: true })
  // It goes on with the file that it has open, until it needs another one.
  const pushing = async (): Promise<void> => {
    for (let count = 0; count < 100; count++) await queue.push(Buffer.alloc(900_000), patience)
  }
  const error = await t.throwsAsync<MillraceError>(pushing(), {
    code: 'ERR_MILLRACE_UNREACHABLE',
    message: /refuses: .*no such file/,
  })
  t.is(error.executed, 'no')
})
