// How long jobs take, counted where it can be read from outside: true to a clock beside, in every way of pushing, taking and settling, only by
// handles that were asked, and also when all are dead.

import test, { type ExecutionContext } from 'ava'
import { familiesOf, observe, percentile, prometheusText, type Latency } from 'millrace/telemetry'
import { Pipeline, WorkQueue, type Job } from 'millrace/work'

import { command, start } from '../cli/run.js'
import { uniqueName } from '../support/names.js'
import { run } from '../support/process.js'
import { until } from '../support/until.js'

/** Of so many one is measured. */
const every = 64
const stats = { stats: true } as const
const soon = { timeout: 15_000 }

function latencyOf(name: string, side: Latency['side']): Latency | undefined {
  return observe({ name })[0]!.latencies.find((latency) => latency.side === side)
}
const countOf = (name: string, side: Latency['side']): number =>
  (latencyOf(name, side)?.buckets ?? []).reduce((sum, { count }) => sum + count, 0)
const now = (): number => Number(process.hrtime.bigint()) / 1e6

function open(t: ExecutionContext, name: string, options: object = stats): WorkQueue {
  const queue = WorkQueue.open(name, options)
  t.teardown(() => {
    queue.close()
    WorkQueue.unlink(name)
  })
  return queue
}

test('both times are true to a clock beside them, to a quarter', async (t) => {
  const name = uniqueName(t)
  const queue = open(t, name)
  const before = now()
  t.truthy(queue.tryPush('x'))
  const pushed = now()
  await until(() => now() > pushed + 20)
  const taking = now()
  const job = queue.tryTake()!
  const taken = now()
  await until(() => now() > taken + 40)
  const settling = now()
  job.complete()
  const after = now()
  const waited = latencyOf(name, 'worker')!
  const served = latencyOf(name, 'handler')!
  t.is(observe({ name })[0]!.latencies.length, 2)
  t.is(countOf(name, 'worker'), 1)
  t.is(countOf(name, 'handler'), 1)
  t.true(waited.milliseconds >= taking - pushed && waited.milliseconds <= taken - before)
  t.true(served.milliseconds >= settling - taken && served.milliseconds <= after - taking)
  for (const latency of [waited, served]) {
    t.is(latency.index, 0)
    const bound = percentile(latency, 0.99)!
    t.true(bound > latency.milliseconds && bound * (3 / 4) <= latency.milliseconds)
  }
})

const askers = { nobody: [], 'who pushes': ['pusher'], 'who takes': ['worker'] }
for (const [who, asked] of Object.entries<readonly string[]>(askers)) {
  test(`if ${who} was asked, how long jobs wait is not counted, and all work side by side`, (t) => {
    const name = uniqueName(t)
    const pusher = open(t, name, { stats: asked.includes('pusher') })
    const worker = open(t, name, { stats: asked.includes('worker') })
    for (let i = 0; i < 2 * every; i++) {
      pusher.tryPush('x')
      worker.tryTake()!.complete()
    }
    t.is(countOf(name, 'worker'), 0)
    t.is(countOf(name, 'handler'), asked.includes('worker') ? every + 1 : 0)
    t.is(prometheusText(familiesOf(observe({ name }))).includes('latency'), false)
  })
}

const pushing: Record<string, (queue: WorkQueue) => unknown> = {
  push: (queue) => queue.push('x'),
  tryPush: (queue) => queue.tryPush('x'),
  'tryPush with options': (queue) => queue.tryPush('x', { priority: 3, group: 'g' }),
  pushBatch: (queue) => queue.pushBatch(['x']),
  pushSync: (queue) => queue.pushSync('x'),
  'a loan': (queue) => {
    queue.tryLoan(8)!.push()
  },
}
const taking: Record<string, (queue: WorkQueue) => Job | Promise<Job>> = {
  takeOne: (queue) => queue.takeOne(soon),
  tryTake: (queue) => queue.tryTake()!,
  takeBatch: async (queue) => (await queue.takeBatch(1, soon))[0]!,
  takeSync: (queue) => queue.takeSync(soon),
}
for (const [way, push] of Object.entries(pushing)) {
  for (const [other, take] of Object.entries(taking)) {
    test(`one of 64 is measured: pushed by ${way}, taken by ${other}`, async (t) => {
      const name = uniqueName(t)
      const queue = open(t, name)
      for (let i = 0; i < 2 * every; i++) {
        await push(queue)
        ;(await take(queue)).complete()
        const wanted = i < every ? 1 : every + 1
        if (i % every === 0 || i === 2 * every - 1) {
          t.is(countOf(name, 'worker'), wanted)
          t.is(countOf(name, 'handler'), wanted)
        }
      }
    })
  }
}

const settling: Record<string, (job: Job, other: WorkQueue) => unknown> = {
  release: (job) => {
    job.release()
  },
  retry: (job) => {
    job.retry()
  },
  reject: (job) => {
    job.reject('no')
  },
  'complete to another queue': (job, other) => job.complete({ to: other, bytes: 'y' }),
}
for (const [way, settle] of Object.entries(settling)) {
  test(`${way} ends the time in hand, too`, async (t) => {
    const name = uniqueName(t)
    const queue = open(t, name)
    const other = open(t, `${name}.other`, {})
    queue.tryPush('x')
    const job = queue.tryTake()!
    t.is(countOf(name, 'handler'), 0)
    await settle(job, other)
    t.is(countOf(name, 'handler'), 1)
  })
}

test('receive, and a push that waited for room, are measured like others', async (t) => {
  const name = uniqueName(t)
  const queue = open(t, name, { ...stats, jobs: 1 })
  queue.tryPush('x')
  const waits = queue.push('y')
  t.is(String(await queue.receive(soon)), 'x')
  await waits
  t.is(String(queue.receiveSync(soon)), 'y')
  t.is(countOf(name, 'worker'), 1)
  t.is(countOf(name, 'handler'), 1)
})

test('a pipeline counts how long its first stage lets jobs wait, and how long each has them in hand', async (t) => {
  const name = uniqueName(t)
  const etl = Pipeline.open(name, stats)
    .stage('one', (job) => job.bytes)
    .stage('two', () => undefined)
  t.teardown(() => {
    etl.close()
    Pipeline.unlink(name)
  })
  const done = etl.work()
  for (let i = 0; i < every; i++) await etl.push('x')
  await etl.idle(soon)
  t.is(countOf(name, 'worker'), 1)
  // Each stage has a handle, whose first job is measured.
  t.is(countOf(name, 'handler'), 2)
  etl.close()
  await done
})

test('two processes; what they counted is there when both were killed, and is shown by stat and by export', async (t) => {
  const name = uniqueName(t, { mayLeave: true })
  t.teardown(() => WorkQueue.unlink(name))
  const fixture = new URL('./fixtures/measured-work.js', import.meta.url)
  const worker = run(t, fixture, [name, 'worker', '200'])
  t.is(await worker.next(), 'ready')
  const pusher = run(t, fixture, [name, 'pusher', '200'])
  t.is(await pusher.next(), 'pushed')
  t.is(await worker.next(), 'done')
  await worker.kill()
  await pusher.kill()
  t.is(countOf(name, 'worker'), 3 * every + 1)
  t.is(countOf(name, 'handler'), 3 * every + 1)
  const told = await start(command, ['stat', name]).ended
  t.is(told.code, 0, told.err)
  t.regex(told.out.toString(), /LATENCY OF +MESSAGES +MEAN +P50 +P95 +P99\n/)
  t.regex(told.out.toString(), /\nworker +0 +193 +\d.* ≤/)
  t.regex(told.out.toString(), /\nhandler +0 +193 +\d.* ≤/)
  const json = await start(command, ['stat', name, '--json']).ended
  const [seen] = JSON.parse(json.out.toString()) as readonly { latencies: readonly Latency[] }[]
  t.deepEqual(
    seen!.latencies.map(({ side }) => side),
    ['worker', 'handler'],
  )
  const exported = await start(command, ['export', '--once', '--histograms', name]).ended
  t.is(exported.code, 0, exported.err)
  const lines = exported.out.toString().split('\n')
  const labels = (side: string) => `{channel="${name}",kind="work",side="${side}"`
  for (const [family, side] of [
    ['millrace_message_latency_seconds', 'worker'],
    ['millrace_service_seconds', 'handler'],
  ] as const) {
    t.true(lines.includes(`# TYPE ${family} histogram`))
    t.true(lines.includes(`${family}_count${labels(side)}} 193`), family)
    t.true(lines.includes(`${family}_bucket${labels(side)},le="+Inf"} 193`), family)
    t.is(lines.filter((line) => line.startsWith(`${family}_bucket`)).length, 20)
  }
})

test('stats is true or false, said before anything is opened, and nothing for a queue elsewhere', (t) => {
  const name = uniqueName(t)
  const wrong = { stats: 1 } as never
  const refused = { code: 'ERR_MILLRACE_INVALID_ARGUMENT', message: /stats must be true or false/ }
  t.throws(() => WorkQueue.open(name, wrong), refused)
  t.throws(() => Pipeline.open(name, wrong), refused)
  t.deepEqual(observe({ name }), [])
  t.throws(() => WorkQueue.open('tcp://127.0.0.1:1', stats), {
    code: 'ERR_MILLRACE_UNSUPPORTED',
    message: /`stats` of work queue 'tcp:.*: say it where that is shared/,
  })
})
