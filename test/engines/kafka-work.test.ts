// A work queue over a topic of Kafka.

import test, { type ExecutionContext } from 'ava'
import { WorkQueue, type Job, type WorkQueueOptions } from 'millrace/work'

import { run } from '../support/process.js'
import { until } from '../support/until.js'
import { kafkaCluster, type KafkaCluster } from './support/kafka.js'

const patience = { timeout: 20_000 }
/** Milliseconds: the brokers wait for nearly as long when a group is joined anew. */
const heartbeat = 4000
/** What Kafka calls requests and errors. */
const produce = 0
const offsetCommit = 8
const notLeader = 6
const tooLarge = 10
const notEnoughReplicas = 19
const rebalanceInProgress = 27

function open(
  t: ExecutionContext,
  cluster: KafkaCluster,
  topic = 'jobs',
  options?: WorkQueueOptions,
): WorkQueue {
  const queue = WorkQueue.open(cluster.address(topic), { connection: { heartbeat }, ...options })
  t.teardown(() => {
    queue.close()
  })
  return queue
}

const textOf = (job: Job) => job.copy().toString()

/** A take brings what is there, which may be less. */
async function taken(queue: WorkQueue, count: number): Promise<Job[]> {
  const jobs: Job[] = []
  while (jobs.length < count) jobs.push(...(await queue.takeBatch(count - jobs.length, patience)))
  return jobs
}

test('jobs go from handle to handle, one of a group at a time and in its order, and are gone when they are complete', async (t) => {
  const cluster = await kafkaCluster(t, ['jobs:3'])
  const [pushing, taking] = [open(t, cluster), open(t, cluster)]
  t.true(pushing instanceof WorkQueue)
  t.deepEqual(await pushing.push('a1', { group: 'a', id: 'first' }), { duplicate: false })
  t.is(await pushing.pushBatch(['a2', 'a3'], { group: 'a' }), 2)
  await pushing.push('b1', { group: 'b' })
  await pushing.push('alone')
  const first = await taken(taking, 3)
  t.deepEqual(first.map(textOf).sort(), ['a1', 'alone', 'b1'])
  const a1 = first.find((job) => textOf(job) === 'a1')!
  t.deepEqual([a1.group, a1.id, a1.attempt, a1.acquired], ['a', 'first', 1, 1])
  t.true(Math.abs(a1.pushedAt.getTime() - Date.now()) < 60_000)
  await t.throwsAsync(taking.takeOne({ timeout: 100 }), { code: 'ERR_MILLRACE_TIMEOUT' })

  // What comes back is before all others of its group.
  await a1.release()
  const again = await taking.takeOne(patience)
  t.deepEqual([textOf(again), again.attempt, again.acquired], ['a1', 1, 2])
  t.true(again.token > a1.token)
  await again.retry({ delay: 50, error: 'not yet' })
  const third = await taking.takeOne(patience)
  t.deepEqual([textOf(third), third.attempt], ['a1', 2])
  await third.complete()
  t.throws(() => third.complete(), { code: 'ERR_MILLRACE_RELEASED' })
  for (const text of ['a2', 'a3']) {
    const job = await taking.takeOne(patience)
    t.is(textOf(job), text)
    await job.complete()
  }
  for (const job of first) if (job !== a1) await job.complete()

  taking.close()
  await taking[Symbol.asyncDispose]()
  const later = open(t, cluster)
  await t.throwsAsync(later.takeOne({ timeout: 6000 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  const { traits } = later
  t.deepEqual(
    [traits.local, traits.leases, traits.death, traits.dedups, traits.priorities, traits.groups],
    [false, 'silence', 'timeout', false, false, true],
  )
  t.deepEqual([later.durability, later.maxAttempts, later.priorities], ['file', 5, 1])
})

test('dead letters are jobs of a topic of their own: rejected, out of attempts, out of time', async (t) => {
  const cluster = await kafkaCluster(t, ['jobs:1', 'jobs-dead:1'])
  const queue = open(t, cluster, 'jobs', { maxAttempts: 2, leaseTimeout: 1500 })
  await queue.push('rejected', { id: 'r', group: 'g' })
  await queue.push('poison')
  await queue.push('hangs')
  await queue.push('expired', { ttl: 1 })
  const [rejected, poison, hangs] = (await taken(queue, 3)) as [Job, Job, Job]
  await hangs.extend(4000)
  await rejected.reject(new Error('two\nlines'))
  await poison.retry({ error: 'no' })
  const second = await queue.takeOne(patience)
  t.deepEqual([textOf(second), second.attempt], ['poison', 2])
  await second.retry({ error: 'no' })
  t.false(hangs.signal.aborted)
  const late = await queue.takeOne(patience)
  t.deepEqual([textOf(late), late.attempt], ['hangs', 2])
  await until(() => hangs.signal.aborted)
  await t.throwsAsync(Promise.resolve(hangs.complete()), { code: 'ERR_MILLRACE_LEASE_LOST' })
  await late.complete()

  const dead = open(t, cluster, 'jobs-dead')
  const letters = await taken(dead, 3)
  t.deepEqual(letters.map(textOf).sort(), ['expired', 'poison', 'rejected'])
  const one = letters.find((job) => textOf(job) === 'rejected')!
  t.deepEqual([one.id, one.group], ['r', 'g'])
})

test('what Kafka cannot do is refused before anything is done', async (t) => {
  const cluster = await kafkaCluster(t, ['jobs:1'])
  const queue = open(t, cluster)
  for (const options of [{ priority: 1 }, { delay: 10 }]) {
    await t.throwsAsync(queue.push('x', options), {
      code: 'ERR_MILLRACE_UNSUPPORTED',
      message: /in the order of its log/,
    })
  }
  const wrong: readonly WorkQueueOptions[] = [
    { jobs: 5 },
    { bytes: 2 ** 20 },
    { deadLetters: { jobs: 7 } },
    { dedupWindow: 1000 },
    { durability: 'disk' },
    { durability: 'memory' },
  ]
  for (const options of wrong) {
    t.throws(
      () => open(t, cluster, 'jobs', options),
      { code: 'ERR_MILLRACE_UNSUPPORTED' },
      JSON.stringify(options),
    )
  }
  t.throws(() => queue.size, { code: 'ERR_MILLRACE_UNSUPPORTED' })
})

test('a worker that is killed holds nothing: others have its jobs, each group in its order', async (t) => {
  const cluster = await kafkaCluster(t, ['jobs:4'])
  const pushing = open(t, cluster)
  const groups = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']
  for (const n of [1, 2, 3]) {
    for (const group of groups) await pushing.push(`${group}${String(n)}`, { group })
  }
  const fixture = new URL('./fixtures/kafka-worker.js', import.meta.url)
  const worker = run(t, fixture, [cluster.address('jobs'), String(heartbeat)])
  await until(() => worker.lines.length === groups.length, 20_000)
  t.deepEqual([...worker.lines].sort(), groups.map((group) => `${group}1`).sort())
  const queue = open(t, cluster)
  const seen: string[] = []
  const working = queue.work(
    async (job) => {
      await Promise.resolve()
      seen.push(textOf(job))
    },
    { concurrency: 8 },
  )
  await worker.kill()
  await until(() => new Set(seen).size === 3 * groups.length, 30_000)
  for (const group of groups) {
    const its = seen.filter((text) => text.startsWith(group))
    t.deepEqual(its, [`${group}1`, `${group}2`, `${group}3`])
  }
  queue.close()
  await working
})

test('a partition that goes to another worker takes its jobs along: settling them late is refused', async (t) => {
  const cluster = await kafkaCluster(t, ['jobs:2'])
  const [one, other] = [open(t, cluster), open(t, cluster)]
  const texts = Array.from({ length: 20 }, (_, n) => String(n))
  for (const text of texts) await one.push(text, { group: text })
  const held = new Map((await taken(one, 20)).map((job) => [textOf(job), job] as const))
  // What is done is with nobody again, wherever its partition goes.
  for (const text of texts.slice(0, 8)) {
    await held.get(text)!.complete()
    held.delete(text)
  }
  const found = await other.takeOne(patience)
  // By the hashes of their groups, half of the twelve are in each partition. Where the brokers made two generations of it, those of both are
  // lost: somebody may have had the other one in between.
  const lost = () => [...held].filter(([, job]) => job.signal.aborted)
  await until(() => lost().length >= 6, patience.timeout)
  t.true([6, 12].includes(lost().length), String(lost().length))
  for (const [, job] of lost()) {
    await t.throwsAsync(Promise.resolve(job.complete()), { code: 'ERR_MILLRACE_LEASE_LOST' })
  }
  const theirs = [found, ...(await taken(other, 5))]
  const again = await taken(one, lost().length - 6)
  t.deepEqual(
    [...theirs, ...again].map(textOf).sort(),
    lost()
      .map(([text]) => text)
      .sort(),
  )
  for (const [, job] of held) if (!job.signal.aborted) await job.complete()
  for (const job of [...theirs, ...again]) await job.complete()
})

test('errors of brokers: what was refused for now is tried again, what is too large is not', async (t) => {
  const cluster = await kafkaCluster(t, ['jobs:1'])
  const queue = open(t, cluster)
  await queue.push('a')
  await cluster.tell(`error ${String(produce)} ${String(notLeader)} 2`)
  await queue.push('b', patience)
  await cluster.tell(`error ${String(produce)} ${String(notEnoughReplicas)} 2`)
  await queue.push('c', patience)
  await cluster.tell(`error ${String(produce)} ${String(tooLarge)} 1`)
  await t.throwsAsync(queue.push('d', patience), {
    code: 'ERR_MILLRACE_TOO_LARGE',
    message: /max\.message\.bytes/,
  })
  t.is(queue.connection?.state, 'connected')
  const jobs = await taken(queue, 3)
  t.deepEqual(jobs.map(textOf), ['a', 'b', 'c'])
  await cluster.tell(`error ${String(offsetCommit)} ${String(rebalanceInProgress)} 1`)
  await Promise.all(
    jobs.map(async (job) => {
      await job.complete()
    }),
  )
  await queue.push(Buffer.alloc(900_000, 7))
  const large = await queue.takeOne(patience)
  t.deepEqual([large.length, large.bytes[12]], [900_000, 7])
  await large.complete()
  await cluster.tell('rtt -1 700')
  await queue.push('slow', patience)
  const slow = await queue.takeOne(patience)
  t.is(textOf(slow), 'slow')
  await slow.complete()
})

test('an open queue does not keep its process alive, and a wait does', async (t) => {
  const cluster = await kafkaCluster(t, ['jobs:2'], 2)
  const fixture = new URL('./fixtures/ends.js', import.meta.url)
  const ending = run(t, fixture, [cluster.address('jobs')])
  await ending.printed('x', 20_000)
  t.deepEqual(await ending.ended(), { code: 0, signal: null })
  t.is(ending.stderr, '')
})
