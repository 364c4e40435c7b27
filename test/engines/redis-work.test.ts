// A work queue over a server of Redis.

import { execFileSync } from 'node:child_process'
import { mock } from 'node:test'
import test, { type ExecutionContext } from 'ava'
import { WorkQueue, type Job, type WorkQueueOptions } from 'millrace/work'

import { run } from '../support/process.js'
import { until, within } from '../support/until.js'
import {
  endSharedServer,
  redisClient,
  redisServer,
  type RedisClient,
  type RedisServer,
} from './support/redis.js'

const patience = { timeout: 15_000 }

test.after.always(endSharedServer)
const atOnce = { timeout: 200 }

function open(
  t: ExecutionContext,
  server: RedisServer,
  options?: WorkQueueOptions,
  name = 'jobs',
): WorkQueue {
  const queue = WorkQueue.open(server.address(name), options)
  t.teardown(() => {
    queue.close()
  })
  return queue
}

const textOf = (job: Job) => job.copy().toString()

async function texts(queue: WorkQueue, count: number): Promise<string[]> {
  const found: string[] = []
  while (found.length < count) {
    const job = await queue.takeOne(patience)
    found.push(textOf(job))
    await job.complete()
  }
  return found
}

async function none(t: ExecutionContext, queue: WorkQueue): Promise<void> {
  await t.throwsAsync(queue.takeOne(atOnce), { code: 'ERR_MILLRACE_TIMEOUT' })
}

/** All that is left of queues at the server when nothing is in them: what they are to have, and empty streams. */
async function keysOf(redis: RedisClient): Promise<string[]> {
  const keys = (await redis.sendCommand(['KEYS', '*'])) as string[]
  return keys.sort()
}

test.serial('timers that a test has put in the place of the real ones do not matter', async (t) => {
  const server = await redisServer(t)
  const far = Buffer.alloc(20_000, 'x').toString()
  mock.timers.enable()
  t.teardown(() => {
    mock.timers.reset()
  })
  const queue = open(t, server, {}, 'timers')
  // More than a socket of Node takes at once.
  const pushed = Promise.all(Array.from({ length: 40 }, () => queue.push(far)))
  await queue.push('the last')
  await pushed
  for (let i = 0; i < 40; i++) {
    const job = await queue.takeOne(patience)
    t.is(textOf(job), far)
    await job.complete()
  }
  t.deepEqual(await texts(queue, 1), ['the last'])
})

test('jobs go from handle to handle, in their order, and are gone when they are complete', async (t) => {
  const server = await redisServer(t)
  const redis = await redisClient(t, server)
  const [pushing, taking] = [open(t, server), open(t, server)]
  t.true(pushing instanceof WorkQueue)
  t.is(await pushing.pushBatch(['a', 'b', 'c']), 3)
  const jobs = await taking.takeBatch(10, patience)
  t.deepEqual(jobs.map(textOf), ['a', 'b', 'c'])
  t.deepEqual(
    jobs.map(({ attempt, acquired }) => [attempt, acquired]),
    [
      [1, 1],
      [1, 1],
      [1, 1],
    ],
  )
  t.true(jobs[0]!.token < jobs[1]!.token)
  t.true(Math.abs(jobs[0]!.pushedAt.getTime() - Date.now()) < 60_000)
  for (const job of jobs) await job.complete()
  t.throws(() => jobs[0]!.complete(), { code: 'ERR_MILLRACE_RELEASED' })
  await none(t, taking)
  t.is(await redis.sendCommand(['XLEN', 'jobs']), 0)
  t.deepEqual(await keysOf(redis), ['jobs', 'millrace:jobs', 'millrace:jobs:bell'])
  const { traits } = taking
  t.deepEqual(
    [traits.local, traits.leases, traits.death, traits.dedups, traits.priorities, traits.groups],
    [false, 'silence', 'timeout', true, true, true],
  )
  t.deepEqual([taking.durability, taking.maxAttempts, taking.priorities], ['memory', 5, 32])
})

test('who waits is told of a job that comes later, and a wait that was given up takes none', async (t) => {
  const server = await redisServer(t)
  const queue = open(t, server, { maxAttempts: 1 })
  const control = new AbortController()
  const given = queue.takeOne({ signal: control.signal })
  await queue.connected(patience)
  control.abort()
  await t.throwsAsync(given, { code: 'ERR_MILLRACE_ABORTED' })
  const [first, second] = [queue.takeOne(patience), open(t, server).takeOne(patience)]
  await queue.push('one')
  await queue.push('two', { priority: 3 })
  const jobs = await Promise.all([first, second])
  t.deepEqual(jobs.map(textOf).sort(), ['one', 'two'])
  t.deepEqual(
    jobs.map(({ attempt, acquired }) => [attempt, acquired]),
    [
      [1, 1],
      [1, 1],
    ],
  )
  for (const job of jobs) await job.complete()
})

test('work() hands each job to its handler, also several at a time, and tries again what has failed', async (t) => {
  const server = await redisServer(t)
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

test('a second push with an id is a duplicate, until the window is over', async (t) => {
  const server = await redisServer(t)
  const queue = open(t, server, { dedupWindow: 1000 })
  t.deepEqual(await queue.push('once', { id: 'order 7' }), { duplicate: false })
  const from = performance.now()
  t.deepEqual(await queue.push('once', { id: 'order 7' }), { duplicate: true })
  const job = await queue.takeOne(patience)
  t.is(job.id, 'order 7')
  await job.complete()
  await none(t, queue)
  await until(async () => !(await queue.push('again', { id: 'order 7' })).duplicate)
  t.true(performance.now() - from >= 900)
})

test('what is pushed and completed in one turn goes together: each has its own answer, and their order is kept', async (t) => {
  const server = await redisServer(t)
  const queue = open(t, server)
  const numbers = Array.from({ length: 600 }, (_, at) => at)
  const answers = await Promise.all(
    numbers.map((at) => queue.push(Buffer.alloc(4096, at % 251), { id: String(at % 599) })),
  )
  t.deepEqual(
    answers.map(({ duplicate }) => duplicate),
    numbers.map((at) => at === 599),
  )
  const jobs: Job[] = []
  while (jobs.length < 599) jobs.push(...(await queue.takeBatch(599 - jobs.length, patience)))
  t.deepEqual(
    jobs.map(({ id, bytes }) => [id, bytes.length, bytes[0]]),
    numbers.slice(0, 599).map((at) => [String(at), 4096, at % 251]),
  )
  const [back, ...done] = jobs
  await Promise.all([...done.map((job) => job.complete()), back!.release()])
  const again = await queue.takeOne(patience)
  t.is(again.id, '0')
  await again.complete()
  await t.throwsAsync(queue.takeOne(atOnce), { code: 'ERR_MILLRACE_TIMEOUT' })
})

test('of one turn an id counts once, no more goes in than there is room for, and each lease has a token of its own', async (t) => {
  const server = await redisServer(t)
  const queue = open(t, server, { jobs: 3 })
  await queue.connected(patience)
  const ids = ['a', 'a', 'b', 'c', 'd', 'b']
  const answers = ids.map((id) => queue.push(id, { id }))
  const known = await Promise.all([0, 1, 2, 3, 5].map((at) => answers[at]!))
  t.deepEqual(
    known.map(({ duplicate }) => duplicate),
    [false, true, false, false, true],
  )
  const jobs = await queue.takeBatch(8, patience)
  t.deepEqual(jobs.map(textOf), ['a', 'b', 'c'])
  const tokens = jobs.map(({ token }) => token)
  t.true(tokens[0]! < tokens[1]! && tokens[1]! < tokens[2]!)
  for (const job of jobs) await job.complete()
  t.false((await answers[4]!).duplicate, 'it had waited for room')
  const last = await queue.takeOne(patience)
  t.is(textOf(last), 'd')
  t.true(last.token > tokens[2]!)
  await last.complete()
})

test('the highest priority comes first, and within one the oldest, also of what came back', async (t) => {
  const server = await redisServer(t)
  const queue = open(t, server)
  for (const [text, priority] of [
    ['a0', 0],
    ['b5', 5],
    ['c31', 31],
    ['d5', 5],
    ['e0', 0],
  ] as const) {
    await queue.push(text, { priority })
  }
  const first = await queue.takeOne(patience)
  t.deepEqual([textOf(first), first.priority], ['c31', 31])
  const second = await queue.takeOne(patience)
  t.is(textOf(second), 'b5')
  await first.release()
  await second.retry({ error: 'no' })
  t.deepEqual(await texts(queue, 5), ['c31', 'b5', 'd5', 'a0', 'e0'])
})

test('of a group one job at a time is worked on, in order; others go on meanwhile', async (t) => {
  const server = await redisServer(t)
  const redis = await redisClient(t, server)
  const queue = open(t, server)
  for (const text of ['g1', 'g2', 'g3']) await queue.push(text, { group: 'g' })
  await queue.push('h1', { group: 'h h\nh' })
  await queue.push('x')
  const jobs = await queue.takeBatch(10, patience)
  t.deepEqual(jobs.map(textOf), ['g1', 'h1', 'x'])
  t.deepEqual(
    jobs.map((job) => job.group),
    ['g', 'h h\nh', undefined],
  )
  const waiting = open(t, server).takeOne(patience)
  await jobs[0]!.retry({ delay: 50 })
  const again = await waiting
  t.deepEqual([textOf(again), again.attempt], ['g1', 2])
  await none(t, queue)
  await again.reject('never')
  const [next] = await queue.takeBatch(10, patience)
  t.is(textOf(next!), 'g2')
  await next!.complete()
  t.deepEqual(await texts(queue, 1), ['g3'])
  for (const job of jobs.slice(1)) await job.complete()
  t.deepEqual(await keysOf(redis), ['jobs', 'jobs-dead', 'millrace:jobs', 'millrace:jobs:bell'])
})

test('what is released, and what failed, comes again, later if that was asked', async (t) => {
  const server = await redisServer(t)
  const queue = open(t, server)
  await queue.push('x')
  const first = await queue.takeOne(patience)
  await first.release()
  const second = await queue.takeOne(patience)
  t.deepEqual([second.attempt, second.acquired], [1, 2])
  t.true(second.token > first.token)
  const from = performance.now()
  await second.retry({ delay: 300, error: 'later' })
  const third = await queue.takeOne(patience)
  t.true(performance.now() - from >= 290)
  t.deepEqual([third.attempt, third.acquired], [2, 3])
  await third.complete()
})

test('a job with a delay is due later, for whoever waits already, too', async (t) => {
  const server = await redisServer(t)
  const queue = open(t, server)
  const waiting = open(t, server).takeOne(patience)
  const from = performance.now()
  await queue.push('later', { delay: 400 })
  const job = await waiting
  t.true(performance.now() - from >= 390)
  t.true(performance.now() - from < 2000)
  t.deepEqual([textOf(job), job.attempt, job.acquired], ['later', 1, 1])
  await job.complete()
})

test('dead letters are jobs of a queue of their own: rejected, out of attempts, out of time', async (t) => {
  const server = await redisServer(t)
  const redis = await redisClient(t, server)
  const queue = open(t, server, { maxAttempts: 2 })
  const dead = open(t, server, undefined, 'jobs-dead')
  await queue.push('rejected', { id: 'r', priority: 2 })
  await (await queue.takeOne(patience)).reject(new Error('two\nlines'))
  const [[, fields]] = (await redis.sendCommand(['XRANGE', 'jobs-dead', '-', '+'])) as [
    [string, string[]],
  ]
  const told = new Map(
    fields.flatMap((name, at) => (at % 2 === 0 ? [[name, fields[at + 1]!]] : [])),
  )
  t.deepEqual(
    [told.get('reason'), told.get('error'), told.get('attempts'), told.get('id')],
    ['rejected', 'two\nlines', '1', 'r'],
  )
  const rejected = await dead.takeOne(patience)
  t.deepEqual([textOf(rejected), rejected.id, rejected.priority], ['rejected', 'r', 2])
  await rejected.complete()

  await queue.push('poison')
  for (const attempt of [1, 2]) {
    const job = await queue.takeOne(patience)
    t.is(job.attempt, attempt)
    await job.retry({ error: 'no' })
  }
  t.deepEqual(await texts(dead, 1), ['poison'])

  await queue.push('expired', { ttl: 1 })
  await new Promise((resolve) => setTimeout(resolve, 20))
  await none(t, queue)
  t.deepEqual(await texts(dead, 1), ['expired'])
  await redis.sendCommand(['XADD', 'jobs', '*', 'nothing', 'x'])
  await none(t, queue)
  t.is(await redis.sendCommand(['XLEN', 'jobs-dead']), 1)
})

test('the oldest dead letter makes room for one too many, but none that is in hand', async (t) => {
  const server = await redisServer(t)
  const queue = open(t, server, { deadLetters: { jobs: 2 } })
  const dead = open(t, server, undefined, 'jobs-dead')
  const bury = async (text: string): Promise<void> => {
    await queue.push(text)
    await (await queue.takeOne(patience)).reject('no')
  }
  for (const text of ['a', 'b']) await bury(text)
  const held = await dead.takeOne(patience)
  t.is(textOf(held), 'a')
  for (const text of ['c', 'd']) await bury(text)
  await held.release()
  t.deepEqual(await texts(dead, 2), ['a', 'd'])
  await none(t, dead)
})

test('what Redis cannot do is refused before anything is done', async (t) => {
  const server = await redisServer(t)
  t.throws(() => open(t, server, { bytes: 1e6 }), { code: 'ERR_MILLRACE_UNSUPPORTED' })
  t.throws(() => open(t, server, undefined, 'a/b'), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
  t.throws(() => open(t, server, undefined, 'q').size, { code: 'ERR_MILLRACE_UNSUPPORTED' })
  for (const address of [
    'redis://10.1.2.3/jobs',
    'redis://127.0.0.1,127.0.0.2/jobs',
    'redis://token@127.0.0.1/jobs',
    'redis://127.0.0.1/jobs?db=x',
    'redis://127.0.0.1/jobs?other',
  ]) {
    t.throws(() => WorkQueue.open(address), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' }, address)
  }
  for (const [durability, cure] of [
    ['disk', /appendfsync always/],
    ['file', /appendonly yes/],
  ] as const) {
    const queue = open(t, server, { durability }, `q-${durability}`)
    await t.throwsAsync(queue.push('x', patience), {
      code: 'ERR_MILLRACE_UNSUPPORTED',
      message: cure,
    })
    t.true(queue.closed)
  }
  const keys = await keysOf(await redisClient(t, server))
  t.deepEqual(
    keys.filter((key) => key.includes('q-')),
    [],
  )
})

test('a queue that is another one than was said is refused, and so are keys of somebody else', async (t) => {
  const server = await redisServer(t)
  const redis = await redisClient(t, server)
  await open(t, server, { jobs: 5, leaseTimeout: 2000 }).push('x')
  const wrong: readonly WorkQueueOptions[] = [
    { jobs: 6 },
    { leaseTimeout: 3000 },
    { maxAttempts: 6 },
    { dedupWindow: 1000 },
    { deadLetters: { jobs: 1 } },
  ]
  for (const options of wrong) {
    const queue = open(t, server, options)
    await t.throwsAsync(queue.push('y', patience), { code: 'ERR_MILLRACE_GEOMETRY' })
    t.true(queue.closed)
  }
  await redis.sendCommand(['SET', 'taken', 'x'])
  await redis.sendCommand(['SET', 'other-dead', 'x'])
  for (const name of ['taken', 'other']) {
    const queue = open(t, server, undefined, name)
    await t.throwsAsync(queue.push('y', patience), {
      code: 'ERR_MILLRACE_GEOMETRY',
      message: /is a string of somebody else/,
    })
  }
  // And one that becomes so while it is open.
  const late = open(t, server, undefined, 'late')
  await late.push('x')
  await redis.sendCommand(['SET', 'late', 'x'])
  await t.throwsAsync(late.push('y', patience), { code: 'ERR_MILLRACE_GEOMETRY' })
  await t.throwsAsync(late.takeOne(patience), { code: 'ERR_MILLRACE_GEOMETRY' })
})

test('a worker that is killed holds nothing: somebody else has its job when its lease is over', async (t) => {
  const server = await redisServer(t)
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
  t.true(performance.now() - from < 3000)
  await job.complete()
})

test('a handle that is closed gives back at once what it had', async (t) => {
  const server = await redisServer(t)
  const queue = open(t, server)
  const other = open(t, server)
  await queue.push('x')
  const waits = queue.takeOne(patience)
  await waits
  const waiting = other.takeOne(patience)
  const from = performance.now()
  queue.close()
  const job = await waiting
  t.true(performance.now() - from < 2000)
  t.deepEqual([textOf(job), job.attempt, job.acquired], ['x', 1, 2])
  await job.complete()
})

test('a lease that is over is lost to its worker, and one that is made longer is not', async (t) => {
  const server = await redisServer(t)
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

test('a settle that comes late is refused by the server, whatever the worker believes', async (t) => {
  const server = await redisServer(t)
  const redis = await redisClient(t, server)
  const queue = open(t, server)
  const other = open(t, server)
  await queue.push('x')
  const job = await queue.takeOne(patience)
  const [id] = (await redis.sendCommand(['ZRANGE', 'millrace:jobs:leases', '0', '-1'])) as [string]
  await redis.sendCommand(['ZADD', 'millrace:jobs:leases', '1', id])
  const again = await other.takeOne(patience)
  t.false(job.signal.aborted)
  await t.throwsAsync(Promise.resolve(job.complete()), { code: 'ERR_MILLRACE_LEASE_LOST' })
  await again.complete()
})

test('a job stays with a worker that lives: its lease is made longer, however long it takes', async (t) => {
  const server = await redisServer(t)
  const redis = await redisClient(t, server)
  const queue = open(t, server)
  await queue.push('long')
  const job = await queue.takeOne(patience)
  const until10s = async (): Promise<number> => {
    const [, time] = (await redis.sendCommand([
      ...['ZRANGE', 'millrace:jobs:leases', '0', '0', 'WITHSCORES'],
    ])) as [string, number | string]
    return Number(time)
  }
  const first = await until10s()
  await until(async () => (await until10s()) >= first + 3000)
  t.false(job.signal.aborted)
  await job.complete()
  t.is(await redis.sendCommand(['EXISTS', 'millrace:jobs:leases']), 0)
})

test('what a reader was given that died before it knew comes to somebody else', async (t) => {
  const server = await redisServer(t)
  const redis = await redisClient(t, server)
  const queue = open(t, server, { leaseTimeout: 500 })
  await queue.push('x')
  await redis.sendCommand(['XREADGROUP', 'GROUP', 'millrace', 'dead', 'STREAMS', 'jobs', '>'])
  const job = await queue.takeOne(patience)
  t.deepEqual([textOf(job), job.attempt], ['x', 1])
  await job.complete()
  t.is(await redis.sendCommand(['XLEN', 'jobs']), 0)
})

test("any other client pushes by XADD and reads by XREADGROUP: the library's, and Python's", async (t) => {
  const server = await redisServer(t)
  const redis = await redisClient(t, server)
  // Also before anybody has opened the queue here.
  await redis.sendCommand(['XADD', 'jobs', '*', 'data', 'early'])
  const queue = open(t, server)
  t.deepEqual(await texts(queue, 1), ['early'])
  const waiting = queue.takeOne(patience)
  await redis.sendCommand(['XADD', 'jobs', '*', 'data', 'from outside', 'id', 'o', 'priority', '4'])
  const job = await waiting
  t.deepEqual([textOf(job), job.id, job.priority], ['from outside', 'o', 4])
  await job.complete()

  await queue.push('to outside', { id: 'i', group: 'g', priority: 3 })
  const python = `
import redis
r = redis.Redis(port=${String(server.port)})
[(_, [(entry, fields)])] = r.xreadgroup('millrace', 'python', {'jobs': '>'})
r.xack('jobs', 'millrace', entry)
r.xdel('jobs', entry)
print(sorted((k.decode(), v.decode()) for k, v in fields.items()))
r.xadd('jobs', {'data': b'from python', 'group': 'p'})
`
  t.is(
    execFileSync('/usr/bin/python3', ['-c', python]).toString().trim(),
    "[('data', 'to outside'), ('group', 'g'), ('id', 'i'), ('priority', '3')]",
  )
  const next = await queue.takeOne(patience)
  t.deepEqual([textOf(next), next.group], ['from python', 'p'])
  await next.complete()
  await none(t, queue)
})

test('what somebody removes while the connection lives is made again, as it was: keys, the group, scripts', async (t) => {
  const server = await redisServer(t)
  const redis = await redisClient(t, server)
  const queue = open(t, server, { jobs: 7 })
  for (const command of [
    ['FLUSHALL'],
    ['XGROUP', 'DESTROY', 'jobs', 'millrace'],
    ['SCRIPT', 'FLUSH'],
  ]) {
    const later = queue.takeOne(patience)
    await queue.connected(patience)
    await redis.sendCommand(command)
    try {
      await queue.push('z', patience)
    } catch (error) {
      // It was on its way when whoever waits for a job was told that there is no such queue, which ends the connection.
      t.like(error, { code: 'ERR_MILLRACE_PEER_GONE', executed: 'unknown' })
      await queue.push('z', patience)
    }
    const job = await later
    t.is(textOf(job), 'z', command.join(' '))
    await queue.connected(patience)
    t.is(await redis.sendCommand(['HGET', 'millrace:jobs', 'jobs']), '7')
    await job.complete()
  }
})

test('a user who may not do what a queue needs has none', async (t) => {
  const server = await redisServer(t, { config: ['user default on nopass ~* &* +ping'] })
  const queue = open(t, server)
  await t.throwsAsync(queue.push('x', patience), { code: 'ERR_MILLRACE_PERMISSION' })
  t.true(queue.closed)
})

test('a user who may not see how the server is set has a queue, but no promise of a disk', async (t) => {
  const acl = ['user default on nopass ~* &* +@all -config -info', 'appendonly yes']
  const server = await redisServer(t, { config: acl })
  t.deepEqual(await open(t, server).push('x', patience), { duplicate: false })
  await t.throwsAsync(open(t, server, { durability: 'disk' }).push('x', patience), {
    code: 'ERR_MILLRACE_UNSUPPORTED',
    message: /does not tell this user/,
  })
})

test('a server whose memory is full takes no job, gives out what it has, and takes some again', async (t) => {
  const server = await redisServer(t, { config: ['maxmemory 6mb', 'maxmemory-policy noeviction'] })
  const queue = open(t, server)
  let pushed = 0
  const push = (options = {}): Promise<unknown> => queue.push(Buffer.alloc(100_000), options)
  const error = await t.throwsAsync(
    (async () => {
      for (; pushed < 1000; pushed++) await push(pushed % 2 === 0 ? {} : { id: String(pushed) })
    })(),
    { code: 'ERR_MILLRACE_NO_SPACE', message: /maxmemory/ },
  )
  t.is((error as { executed?: string }).executed, 'no')
  await t.throwsAsync(push({ id: 'x', delay: 10 }), { code: 'ERR_MILLRACE_NO_SPACE' })
  const first = await queue.takeOne(patience)
  await first.retry({ error: 'again' })
  for (let taken = 0; taken < pushed; taken++) {
    const job = await queue.takeOne(patience)
    if (taken === 1) await job.reject('never')
    else await job.complete()
  }
  await none(t, queue)
  t.deepEqual(await push({ id: 'x' }), { duplicate: false })
})

test('a server that throws keys away when it is full has no queues', async (t) => {
  const server = await redisServer(t, {
    config: ['maxmemory 50mb', 'maxmemory-policy allkeys-lru'],
  })
  const queue = open(t, server)
  await t.throwsAsync(queue.push('x', patience), {
    code: 'ERR_MILLRACE_UNSUPPORTED',
    message: /noeviction/,
  })
  t.true(queue.closed)
})

test('databases of one server are apart', async (t) => {
  const server = await redisServer(t)
  const queue = open(t, server, undefined, 'jobs?db=3')
  t.regex(queue.name, /jobs\?db=3$/)
  await queue.push('x')
  await none(t, open(t, server))
  t.deepEqual(await texts(queue, 1), ['x'])
  const none16 = open(t, server, undefined, 'jobs?db=16')
  await t.throwsAsync(none16.push('x', { timeout: 300 }), { message: /DB index/ })
})

test('an open queue does not keep its process alive, and a wait does', async (t) => {
  const server = await redisServer(t)
  const fixture = new URL('./fixtures/ends.js', import.meta.url)
  const ending = run(t, fixture, [server.address('jobs')])
  await ending.printed('x')
  t.deepEqual(await ending.ended(), { code: 0, signal: null })
})
