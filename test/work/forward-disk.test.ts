// Jobs that become jobs of another queue where one of the two is on disk, or both.

import { copyFileSync, statSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import type { WorkQueue, WorkQueueOptions } from 'millrace/work'

import { actor } from '../support/actor.js'
import { compileCxx } from '../support/cxx.js'
import { ownDirectory } from '../support/directory.js'
import { uniqueName } from '../support/names.js'
import { until } from '../support/until.js'
import { open, openFile, text, texts } from './open.js'

const disk: WorkQueueOptions = { durability: 'disk', jobs: 64, dedupWindow: 600_000 }

/** What a power cut would leave of that file now, if all that was written is on the disk: its records. */
function recordsOf(t: ExecutionContext, path: string): WorkQueue {
  const copy = `${path}.${String(performance.now())}`
  copyFileSync(path, copy)
  truncateSync(copy, statSync(path).size - 4096)
  return openFile(t, copy)
}

test('from disk to disk: when it resolves the result is there by its record, and the job is not', async (t) => {
  const path = ownDirectory(t)
  const from = openFile(t, join(path, 'from'), disk)
  const to = openFile(t, join(path, 'to'), disk)
  await from.push('job', { id: 'a' })
  const job = from.tryTake()!
  const done = job.complete({ to, bytes: `done ${text(job.bytes)}`, id: job.id!, priority: 3 })
  t.is(job.settled, 'completed', 'nothing else can settle it meanwhile')
  t.is(to.tryTake(), undefined, 'and nobody can take what is not certain')
  t.deepEqual(await done, { duplicate: false })
  t.is(job.settled, 'completed')
  t.is(from.stats().free, from.jobs)
  t.is(recordsOf(t, join(path, 'from')).size, 0)
  const found = recordsOf(t, join(path, 'to'))
  t.is(found.size, 1)
  const result = found.tryTake()!
  t.is(text(result.bytes), 'done job')
  t.is(result.priority, 3)
  t.is(result.id, 'a')
  result.complete()
  t.deepEqual(texts(to), ['done job'])
})

test('between the promise and the end of the job a power cut would leave both', async (t) => {
  const path = ownDirectory(t)
  const from = openFile(t, join(path, 'from'), disk)
  const to = openFile(t, join(path, 'to'), disk)
  await from.push('job')
  const done = from.tryTake()!.complete({ to, bytes: 'result', id: 'a' })
  const left = recordsOf(t, join(path, 'from'))
  const there = recordsOf(t, join(path, 'to'))
  await done
  t.is(left.size, 1)
  t.is(there.size, 1)
  // The job is done again: its result is known by its id.
  const again = left.tryTake()!
  t.deepEqual(await again.complete({ to: there, bytes: 'result', id: 'a' }), { duplicate: true })
  t.is(left.stats().free, left.jobs)
  t.deepEqual(texts(there), ['result'])
  t.deepEqual(texts(to), ['result'])
})

test('one side on disk, or the same queue: each is as certain as its own durability', async (t) => {
  const path = ownDirectory(t)
  const certain = openFile(t, join(path, 'disk'), disk)
  const file = openFile(t, join(path, 'file'))
  const memory = open(t, uniqueName(t))
  for (const [from, to] of [
    [certain, memory],
    [memory, certain],
    [certain, file],
    [file, certain],
    [certain, certain],
  ] as const) {
    await from.push('job')
    const job = from.tryTake()!
    t.deepEqual(await job.complete({ to, bytes: 'result' }), { duplicate: false })
    const records = recordsOf(t, join(path, 'disk'))
    t.deepEqual(texts(records), to === certain ? ['result'] : [])
    t.deepEqual(texts(to), ['result'])
    t.is(from.stats().free, from.jobs)
    await certain.flush()
  }
})

test('many at a time share syncs, wait for room, and none is missing or doubled', async (t) => {
  const path = ownDirectory(t)
  const from = openFile(t, join(path, 'from'), { ...disk, jobs: 256 })
  const to = openFile(t, join(path, 'to'), { ...disk, jobs: 8 })
  await from.pushBatch(Array.from({ length: 200 }, (_, i) => String(i)))
  const working = from.work(
    async (job) => {
      await job.complete({ to, bytes: job.bytes, id: text(job.bytes) })
    },
    { concurrency: 32 },
  )
  const found = new Set<string>()
  while (found.size < 200) found.add((await to.receive({ timeout: 15_000 })).toString())
  await until(() => from.stats().completed === 200)
  from.close()
  await working
  t.is(to.tryTake(), undefined)
  t.is(to.stats().pushed, 200)
})

test('a handle that closes while the disk is awaited leaves the job to somebody else, and no result', async (t) => {
  const path = ownDirectory(t)
  for (const which of ['from', 'to'] as const) {
    const from = openFile(t, join(path, `${which} from`), disk)
    const to = openFile(t, join(path, `${which} to`), disk)
    const next = {
      from: openFile(t, join(path, `${which} from`)),
      to: openFile(t, join(path, `${which} to`)),
    }
    await from.push('job')
    const job = from.tryTake()!
    const done = job.complete({ to, bytes: 'result', id: 'a' })
    ;(which === 'from' ? from : to).close()
    await t.throwsAsync(done, { code: 'ERR_MILLRACE_CLOSED' })
    t.is(next.to.stats().free, next.to.jobs)
    if (which === 'to') {
      t.is(job.settled, undefined)
      t.deepEqual(await job.complete({ to: next.to, bytes: 'another', id: 'a' }), {
        duplicate: false,
      })
    } else {
      const again = next.from.tryTake()!
      t.is(again.attempt, 2)
      await again.complete({ to: next.to, bytes: 'another', id: 'a' })
    }
    t.deepEqual(texts(next.to), ['another'])
    t.is(next.from.stats().free, next.from.jobs)
  }
})

test('a lease that is lost while the disk is awaited has no result', async (t) => {
  const path = ownDirectory(t)
  const from = openFile(t, join(path, 'from'), { ...disk, leaseTimeout: 20 })
  const other = openFile(t, join(path, 'from'))
  const to = openFile(t, join(path, 'to'), disk)
  await from.push('job')
  const job = from.tryTake()!
  const done = job.complete({ to, bytes: 'result', id: 'a' })
  const end = performance.now() + 30
  while (performance.now() < end);
  const again = other.tryTake()!
  await t.throwsAsync(done, { code: 'ERR_MILLRACE_LEASE_LOST' })
  t.is(job.settled, 'lost')
  t.is(to.stats().free, to.jobs)
  t.deepEqual(await again.complete({ to, bytes: 'another', id: 'a' }), { duplicate: false })
  t.deepEqual(texts(to), ['another'])
})

test('a group is refused, and it says why', async (t) => {
  const queue = open(t, uniqueName(t))
  queue.tryPush('job')
  const job = queue.tryTake()!
  const options = { to: queue, bytes: 'result', group: 'g' }
  await t.throwsAsync(job.complete(options), {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
    message: /group: what a job becomes .* cannot have one.*push it/,
  })
  job.complete()
})

const onLinux = process.platform === 'linux' ? test : test.skip

onLinux(
  'a disk that fails: before the end of the job it stays in hand, after it the call says so',
  async (t) => {
    const path = ownDirectory(t)
    const preload = await compileCxx('test/waiting/fixtures/scarce.cpp', ['-shared', '-fPIC'])
    const other = actor(t, { env: { ...process.env, LD_PRELOAD: preload } })
    const told = await other.do(
      async ({ WorkQueue, MappedFile }, paths) => {
        const [from, to, fine] = paths.map((path) =>
          WorkQueue.open(new MappedFile(path), { durability: 'disk', jobs: 8 }),
        )
        await from!.push('one')
        await from!.push('two')
        const codeOf = (call: Promise<unknown>) =>
          call.then(
            () => 'done',
            (error: unknown) => (error as { code?: string }).code,
          )
        const job = from!.tryTake()!
        process.env['SCARCE_DISK'] = paths[1]!
        const first = await codeOf(job.complete({ to: to!, bytes: 'result' }))
        const { settled } = job
        const free = to!.stats().free
        const second = await codeOf(job.complete({ to: to!, bytes: 'result' }))
        delete process.env['SCARCE_DISK']
        const third = await codeOf(job.complete({ to: fine!, bytes: 'result' }))
        // The result's disk is fine, and that of the job fails.
        const last = from!.tryTake()!
        process.env['SCARCE_DISK'] = paths[0]!
        const fourth = await codeOf(last.complete({ to: fine!, bytes: 'result' }))
        return {
          first,
          settled,
          free,
          second,
          third,
          fourth,
          last: last.settled,
          results: fine!.size,
          left: from!.stats().free,
        }
      },
      ['from', 'to', 'fine'].map((name) => join(path, name)),
    )
    t.like(told, {
      first: 'ERR_MILLRACE_NO_SPACE',
      settled: undefined,
      free: 8,
      second: 'ERR_MILLRACE_NO_SPACE',
      third: 'done',
      last: 'completed',
      results: 2,
      left: 8,
    })
    await other.leave()
  },
)

test('workers on disk that are killed again and again forward each job once', async (t) => {
  const path = ownDirectory(t)
  const paths = [join(path, 'from'), join(path, 'to')] as const
  const from = openFile(t, paths[0], { ...disk, jobs: 512, maxAttempts: Infinity })
  const to = openFile(t, paths[1], { ...disk, jobs: 512 })
  const count = 400
  await from.pushBatch(Array.from({ length: count }, (_, i) => String(i)))
  const found = new Map<string, number>()
  const collecting = (async () => {
    for (let i = 0; i < count; i++) {
      const result = (await to.receive({ timeout: 30_000 })).toString()
      found.set(result, (found.get(result) ?? 0) + 1)
    }
  })()
  for (let kills = 0; kills < 5 && found.size < count; kills++) {
    const worker = actor(t)
    const before = found.size
    await worker.do(
      ({ WorkQueue, MappedFile, own }, paths) => {
        const [from, to] = paths.map((path) => WorkQueue.open(new MappedFile(path)))
        own.jobs = from!
        void from!.work(
          async (job) => {
            await job.complete({ to: to!, bytes: job.bytes })
          },
          { concurrency: 8 },
        )
      },
      [...paths],
    )
    await until(() => found.size >= Math.min(before + 40, count))
    await worker.kill()
  }
  const last = from.work(
    async (job) => {
      await job.complete({ to, bytes: job.bytes })
    },
    { concurrency: 8 },
  )
  await collecting
  await until(() => from.stats().free === from.jobs)
  t.is(found.size, count)
  t.true([...found.values()].every((times) => times === 1))
  // What the last one that was killed had begun there is given back by whoever waits.
  const control = new AbortController()
  const waiting = t.throwsAsync(to.receive({ signal: control.signal }), {
    code: 'ERR_MILLRACE_ABORTED',
  })
  await until(() => to.stats().free === to.jobs)
  control.abort()
  await waiting
  from.close()
  await last
})
