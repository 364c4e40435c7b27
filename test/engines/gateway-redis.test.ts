// Two gateways and a server of Redis between two queues of shared memory, as between two hosts.

import test, { type ExecutionContext } from 'ava'
import { Gateway, type GatewayConfig } from 'millrace/gateway'
import { WorkQueue } from 'millrace/work'

import { until, within } from '../support/until.js'
import { carriedOnce, queueOf } from './support/gateways.js'
import { endSharedServer, redisClient, redisServer } from './support/redis.js'

test.after.always(endSharedServer)

async function runs(t: ExecutionContext, config: GatewayConfig): Promise<Gateway> {
  const gateway = await Gateway.start(config)
  t.teardown(() => gateway.drain())
  return gateway
}

test('jobs go through Redis with their priority and group, in order, and each comes once', async (t) => {
  const server = await redisServer(t)
  const [near, far] = [queueOf(t), queueOf(t)]
  const address = server.address('orders')
  const there = { dedupWindow: 600_000 }
  await runs(t, {
    host: 'a',
    routes: [{ kind: 'work', from: near.name, to: address, toQueue: there }],
  })
  await runs(t, {
    host: 'b',
    routes: [{ kind: 'work', from: address, to: far.name, fromQueue: there }],
  })
  const count = 50
  for (let n = 0; n < count; n++) {
    await near.push(String(n), { group: 'g', priority: 3, id: `job ${String(n)}` })
  }
  const seen: (readonly [string, string | undefined, number])[] = []
  while (seen.length < count) {
    const job = await within(20_000, far.takeOne())
    seen.push([job.copy().toString(), job.group, job.priority])
    job.complete()
  }
  t.deepEqual(
    seen,
    Array.from({ length: count }, (_, n) => [String(n), 'g', 3] as const),
  )
  await until(() => near.stats().completed === count)
  t.is(far.tryTake(), undefined)
})

test('who takes alone has at once what somebody had in hand before, in its order, however long that lease is', async (t) => {
  const server = await redisServer(t)
  const far = queueOf(t)
  const address = server.address('alone')
  const leaseTimeout = 600_000
  const before = WorkQueue.open(address, { leaseTimeout })
  t.teardown(() => {
    before.close()
  })
  for (const text of ['1', '2', '3']) await before.push(text, { group: 'g' })
  await before.push('free')
  const [first, free] = [await before.takeOne(), await before.takeOne()]
  t.deepEqual(
    [first, free].map((job) => job.copy().toString()),
    ['1', 'free'],
  )
  // What a reader was given that died at once.
  const client = await redisClient(t, server)
  await client.sendCommand(['XADD', 'alone', '*', 'data', 'read'])
  await client.sendCommand(['XREADGROUP', 'GROUP', 'millrace', 'millrace', 'STREAMS', 'alone', '>'])
  const fromQueue = { leaseTimeout }
  await runs(t, {
    host: 'b',
    routes: [{ kind: 'work', from: address, to: far.name, fromQueue, alone: true }],
  })
  const found: string[] = []
  while (found.length < 5) {
    const job = await within(20_000, far.takeOne())
    found.push(job.copy().toString())
    job.complete()
  }
  t.deepEqual(
    found.filter((text) => /^\d$/.test(text)),
    ['1', '2', '3'],
  )
  t.deepEqual(found.toSorted(), ['1', '2', '3', 'free', 'read'])
  await t.throwsAsync(Promise.resolve(first.complete()), { code: 'ERR_MILLRACE_LEASE_LOST' })
})

test('an id of somebody else that is too long to go along is known again by its hash', async (t) => {
  const server = await redisServer(t)
  const far = queueOf(t)
  const gateway = await runs(t, {
    host: 'b',
    routes: [{ kind: 'work', from: server.address('long'), to: far.name }],
  })
  const client = await redisClient(t, server)
  const long = 'lång '.repeat(200)
  for (const [text, id] of [
    ['one', long],
    ['one again', long],
    ['another', `${long}!`],
  ] as const) {
    await client.sendCommand(['XADD', 'long', '*', 'data', text, 'id', id])
  }
  const texts: string[] = []
  while (texts.length < 2) {
    const job = await within(20_000, far.takeOne())
    texts.push(job.copy().toString())
    await job.complete()
  }
  t.deepEqual(texts.sort(), ['another', 'one'])
  await until(() => gateway.routes[0]!.duplicates === 1)
  t.deepEqual([gateway.routes[0]!.guarantee, gateway.routes[0]!.dropped], ['exactly-once', 0])
})

test('gateways of two hosts and the server between them are killed again and again: each job comes once, in order', async (t) => {
  const server = await redisServer(t, { config: ['appendonly yes'] })
  const between = {
    address: server.address('orders'),
    // So long a gateway that was killed has its jobs in hand still.
    there: { dedupWindow: 600_000, leaseTimeout: 1000 },
  }
  await carriedOnce(t, [queueOf(t), queueOf(t)], between, {
    ...{ jobs: 400, lives: [110, 110], outages: [0.3, 0.6], ordered: true },
    outage: async () => {
      await server.end()
      await server.start()
    },
  })
})
