// A job that becomes one of another queue, in one step.

import test from 'ava'
import { NamelessSegment } from 'millrace'
import { WorkQueue, type ForwardOptions } from 'millrace/work'

import { actor } from '../support/actor.js'
import { uniqueName } from '../support/names.js'
import { until } from '../support/until.js'
import { open, text, texts } from './open.js'

const soon = { timeout: 15_000 }

test('what a job became is in the other queue, and the job is gone', async (t) => {
  const raw = open(t, uniqueName(t))
  const done = open(t, uniqueName(t))
  raw.tryPush('photo')
  const job = raw.tryTake()!
  const result = await job.complete({ to: done, bytes: `small ${text(job.bytes)}` })
  t.deepEqual(result, { duplicate: false })
  t.is(job.settled, 'completed')
  t.throws(() => job.bytes, { code: 'ERR_MILLRACE_RELEASED' })
  t.is(raw.stats().free, raw.jobs)
  t.is(raw.stats().completed, 1)
  t.is(done.stats().pushed, 1)
  t.deepEqual(texts(done), ['small photo'])
})

test('the bytes may be those of the job itself, as large as they are, and the queue its own', async (t) => {
  const queue = open(t, uniqueName(t), { bytes: 1 << 20 })
  const other = open(t, uniqueName(t), { bytes: 1 << 20 })
  const payload = Buffer.alloc(300_000, 'abcdefg')
  queue.tryPush(payload)
  const first = queue.tryTake()!
  await first.complete({ to: queue, bytes: first.bytes })
  const second = queue.tryTake()!
  t.deepEqual(second.copy(), payload)
  await second.complete({ to: other, bytes: second.bytes })
  t.deepEqual(other.tryReceive(), payload)
  t.is(queue.stats().bytesUsed, 0)
})

test('priority, delay, ttl and id are those of a push', async (t) => {
  const from = open(t, uniqueName(t))
  const to = open(t, uniqueName(t, { mayLeave: true }), { dedupWindow: 60_000 })
  const forward = async (options: Omit<ForwardOptions, 'to' | 'bytes'> & { bytes: string }) => {
    from.tryPush('job')
    return await from.tryTake()!.complete({ to, ...options })
  }
  await forward({ bytes: 'low', priority: 1 })
  await forward({ bytes: 'high', priority: 9 })
  await forward({ bytes: 'late', priority: 20, delay: 50 })
  t.deepEqual(await forward({ bytes: 'once', id: 'a' }), { duplicate: false })
  t.deepEqual(await forward({ bytes: 'twice', id: 'a' }), { duplicate: true })
  t.is(from.stats().free, from.jobs)
  t.deepEqual(texts(to), ['high', 'low', 'once'])
  const late = await to.takeOne(soon)
  t.is(text(late.bytes), 'late')
  t.is(late.priority, 20)
  late.complete()
  await forward({ bytes: 'short-lived', ttl: 1 })
  const start = performance.now()
  await until(() => performance.now() - start > 5)
  t.is(to.tryTake(), undefined)
  t.deepEqual(
    to.dead.peek().map(({ reason }) => reason),
    ['expired'],
  )
})

test('it waits for room; meanwhile nothing else settles the job', async (t) => {
  const from = open(t, uniqueName(t))
  const to = open(t, uniqueName(t), { jobs: 1 })
  to.tryPush('in the way')
  from.tryPush('job')
  const job = from.tryTake()!
  const forwarded = job.complete({ to, bytes: 'result' })
  t.throws(
    () => {
      job.complete()
    },
    { code: 'ERR_MILLRACE_RELEASED' },
  )
  job[Symbol.dispose]()
  t.is(from.stats().leased, 1)
  t.deepEqual(texts(to), ['in the way'])
  t.deepEqual(await forwarded, { duplicate: false })
  t.deepEqual(texts(to), ['result'])
})

test('what comes to nothing leaves the job in hand', async (t) => {
  const from = open(t, uniqueName(t))
  const to = open(t, uniqueName(t), { jobs: 1 })
  to.tryPush('in the way')
  from.tryPush('job')
  const job = from.tryTake()!
  const calls: readonly [options: ForwardOptions, code: string][] = [
    [{ to, bytes: 'result', timeout: 1 }, 'TIMEOUT'],
    [{ to, bytes: 'result', signal: AbortSignal.timeout(1) }, 'ABORTED'],
    [{ to, bytes: Buffer.alloc(to.maxBytes + 1) }, 'TOO_LARGE'],
    [{ to: {}, bytes: 'result' }, 'INVALID_ARGUMENT'],
    [{ to, bytes: 'result', priority: 99 }, 'INVALID_ARGUMENT'],
    [{ to, bytes: 'result', group: 'g' } as ForwardOptions, 'INVALID_ARGUMENT'],
  ]
  for (const [options, code] of calls) {
    await t.throwsAsync(job.complete(options), { code: `ERR_MILLRACE_${code}` })
    t.is(job.settled, undefined)
    t.is(text(job.bytes), 'job')
  }
  texts(to)
  to.close()
  await t.throwsAsync(job.complete({ to, bytes: 'result' }), { code: 'ERR_MILLRACE_CLOSED' })
  job.complete()
  t.is(from.stats().free, from.jobs)
})

test('a job that is somebody else’s by now becomes nothing', async (t) => {
  const name = uniqueName(t)
  const from = open(t, name, { leaseTimeout: 1 })
  const other = open(t, name)
  const to = open(t, uniqueName(t))
  from.tryPush('job')
  const job = from.tryTake()!
  const again = await other.takeOne(soon)
  await t.throwsAsync(job.complete({ to, bytes: 'result' }), { code: 'ERR_MILLRACE_LEASE_LOST' })
  t.is(job.settled, 'lost')
  t.is(to.stats().free, to.jobs)
  t.is(again.attempt, 2)
})

test('a worker that is killed again and again forwards each job once', async (t) => {
  const names = [uniqueName(t), uniqueName(t)] as const
  const from = open(t, names[0], { maxAttempts: Infinity })
  const to = open(t, names[1])
  const count = 4000
  const found = new Map<string, number>()
  const collecting = (async () => {
    for (let i = 0; i < count; i++) {
      const result = text(await to.receive(soon))
      found.set(result, (found.get(result) ?? 0) + 1)
    }
  })()
  const pushing = (async () => {
    for (let i = 0; i < count; i++) await from.push(String(i), soon)
  })()
  let kills = 0
  while (found.size < count && kills < 12) {
    const worker = actor(t)
    const before = found.size
    await worker.do(
      ({ WorkQueue, own }, names) => {
        const [from, to] = names.map((name) => WorkQueue.open(name))
        own.jobs = from!
        void from!.work(async (job) => {
          await job.complete({ to: to!, bytes: job.bytes })
        })
      },
      [...names],
    )
    await until(() => found.size >= Math.min(before + 250, count))
    await worker.kill()
    kills++
  }
  const last = from.work(async (job) => {
    await job.complete({ to, bytes: job.bytes })
  })
  await Promise.all([pushing, collecting])
  t.is(found.size, count)
  t.true([...found.values()].every((times) => times === 1))
  t.is(to.tryTake(), undefined)
  t.is(from.stats().free, from.jobs)
  t.is(to.stats().free, to.jobs)
  from.close()
  await last
  t.log(`${String(kills)} kills`)
})

test('nameless queues have no such step, and say why', async (t) => {
  const segment = NamelessSegment.create()
  t.teardown(() => {
    segment.close()
  })
  const from = WorkQueue.open(segment)
  const to = open(t, uniqueName(t))
  from.tryPush('job')
  const job = from.tryTake()!
  await t.throwsAsync(job.complete({ to, bytes: 'result' }), {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
    message: /nameless/,
  })
  await job.complete({ to: from, bytes: 'itself' })
  t.is(text(from.tryReceive()!), 'itself')
  from.close()
})
