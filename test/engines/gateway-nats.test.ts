// Two gateways and a server of NATS between two queues of shared memory, as between two hosts: each is ended at random, and every job
// arrives once, in the order of its group.

import test, { type ExecutionContext } from 'ava'
import { Gateway, type GatewayConfig } from 'millrace/gateway'
import { Topics } from 'millrace/topics'
import { WorkQueue, type WorkQueueOptions } from 'millrace/work'

import { uniqueName } from '../support/names.js'
import { run } from '../support/process.js'
import { Random } from '../support/random.js'
import { until, within } from '../support/until.js'
import { natsServer } from './support/nats.js'

const patience = 90_000
const fixture = new URL('../gateway/fixtures/gateway.js', import.meta.url)
const options: WorkQueueOptions = { jobs: 8192, dedupWindow: 600_000, dedupIds: 65_536 }
const reconnect = { base: 10, cap: 100 }

function queueOf(t: ExecutionContext): WorkQueue {
  const name = uniqueName(t, { mayLeave: true })
  const queue = WorkQueue.open(name, options)
  t.teardown(() => {
    queue.close()
    WorkQueue.unlink(name)
  })
  return queue
}

/** Both ends of the way from `near` to `far`. */
function ways(near: WorkQueue, far: WorkQueue, address: string): readonly GatewayConfig[] {
  const there = { maxAttempts: 255, dedupWindow: 600_000 }
  return [
    {
      host: 'a',
      routes: [
        {
          ...{ kind: 'work', from: near.name, to: address },
          ...{ toQueue: there, toConnection: { reconnect }, inFlight: 64 },
        },
      ],
    },
    {
      host: 'b',
      routes: [
        {
          ...{ kind: 'work', from: address, to: far.name, alone: true },
          ...{ fromQueue: there, fromConnection: { reconnect }, inFlight: 64 },
        },
      ],
    },
  ]
}

test('gateways of two hosts and the server between them are killed again and again: each job comes once, in order', async (t) => {
  t.timeout(patience)
  const server = await natsServer(t)
  const [near, far] = [queueOf(t), queueOf(t)]
  const configs = ways(near, far, server.address('orders'))
  const random = new Random(11)
  const [jobs, groups] = [800, 5]
  let over = false
  const isOver = (): boolean => over
  const kills = [0, 0]
  const killing = configs.map(async (config, which) => {
    while (!isOver()) {
      const gateway = run(t, fixture, [JSON.stringify(config)])
      await gateway.next()
      const moved = which === 0 ? () => near.stats().completed : () => far.stats().pushed
      const wanted = moved() + 10 + random.below(100)
      await until(() => isOver() || moved() >= wanted, patience)
      await gateway.end()
      kills[which]!++
    }
  })
  const restarting = (async () => {
    for (const part of [0.3, 0.6]) {
      await until(() => far.stats().pushed > jobs * part, patience)
      await server.end()
      await server.start()
    }
  })()
  const pushing = (async () => {
    for (let at = 0; at < jobs; at++)
      await near.push(String(at), { group: `g${String(at % groups)}` })
  })()
  const found: number[] = []
  while (found.length < jobs) {
    const job = await within(patience, far.takeOne())
    t.is(job.group, `g${String(Number(Buffer.from(job.bytes).toString()) % groups)}`)
    found.push(Number(Buffer.from(job.bytes).toString()))
    await job.complete()
  }
  over = true
  await Promise.all([...killing, restarting, pushing])
  t.is(new Set(found).size, jobs)
  for (let group = 0; group < groups; group++) {
    const own = found.filter((at) => at % groups === group)
    t.deepEqual(
      own,
      own.toSorted((a, b) => a - b),
    )
  }
  t.true(kills[0]! > 2 && kills[1]! > 2, kills.join())
  t.is(far.stats().ready, 0)
})

test('what JetStream cannot carry by itself is there again on the other side; what passed here does not come back', async (t) => {
  const server = await natsServer(t)
  const [near, far] = [queueOf(t), queueOf(t)]
  const [out, back] = ways(near, far, server.address('orders')) as [GatewayConfig, GatewayConfig]
  const first = await Gateway.start(out)
  t.teardown(() => first.drain())
  await near.push('one', { id: 'the id', group: 'the group, ä', priority: 9 })
  await near.push(new Uint8Array(2 ** 21).buffer.slice(0, 2 ** 17), { id: 'large' })
  await until(() => first.routes[0]!.delivered === 2)
  t.is(first.routes[0]!.guarantee, 'exactly-once')
  const second = await Gateway.start({
    host: 'a',
    routes: back.routes,
  })
  await until(() => second.routes[0]!.loops === 2)
  await second.drain()
  t.is(far.stats().pushed, 0)
  await near.push('two', { id: 'the id 2', group: 'the group, ä', priority: 9 })
  const third = await Gateway.start(back)
  t.teardown(() => third.drain())
  const job = await within(20_000, far.takeOne())
  t.deepEqual(
    [job.id, job.group, job.priority, Buffer.from(job.bytes).toString()],
    ['the id 2', 'the group, ä', 9, 'two'],
  )
  await job.complete()
})

test('jobs wait in this memory while the server is not there, and go within a second when it answers', async (t) => {
  const server = await natsServer(t)
  await server.end()
  const [near, far] = [queueOf(t), queueOf(t)]
  const [out] = ways(near, far, server.address('orders')) as [GatewayConfig, GatewayConfig]
  const gateway = await Gateway.start(out)
  t.teardown(() => gateway.drain())
  for (let at = 0; at < 100; at++) await near.push(String(at))
  await until(() => gateway.routes[0]!.error !== undefined)
  const { state, inFlight } = gateway.routes[0]!
  t.deepEqual({ state, inFlight }, { state: 'connecting', inFlight: 0 })
  await server.start()
  await until(() => near.stats().completed === 100)
  t.is(gateway.routes[0]!.delivered, 100)
  t.is(gateway.routes[0]!.state, 'running')
})

test('a job that is larger than the server takes is a dead letter here, with the reason', async (t) => {
  const server = await natsServer(t)
  const name = uniqueName(t, { mayLeave: true })
  const near = WorkQueue.open(name, { bytes: 2 ** 22 })
  t.teardown(() => {
    near.close()
    WorkQueue.unlink(name)
  })
  const [out] = ways(near, near, server.address('orders')) as [GatewayConfig, GatewayConfig]
  const gateway = await Gateway.start(out)
  t.teardown(() => gateway.drain())
  await near.push(new Uint8Array(2 ** 21), { group: 'g' })
  await near.push('small', { group: 'g' })
  await until(() => gateway.routes[0]!.delivered === 1)
  t.is(gateway.routes[0]!.dropped, 1)
  t.regex(near.dead.peek()[0]?.error ?? '', /max_payload/)
})

test('messages go over NATS from bus to bus, with what goes with them', async (t) => {
  const server = await natsServer(t)
  const buses = [Topics.open(uniqueName(t)), Topics.open(uniqueName(t))] as const
  t.teardown(() => {
    for (const bus of buses) bus.close()
  })
  const address = server.address('')
  const heard = await buses[1].subscribe('line1.>')
  const gateways = await Promise.all(
    buses.map((bus, at) =>
      Gateway.start({
        host: `h${String(at)}`,
        routes: [
          { kind: 'topics', from: bus.name, to: address },
          { kind: 'topics', from: address, to: bus.name },
        ],
      }),
    ),
  )
  t.teardown(() => Promise.all(gateways.map((gateway) => gateway.drain())))
  await until(() =>
    gateways.every(({ routes }) => routes.every(({ state }) => state === 'running')),
  )
  await until(() => buses.every((bus, at) => bus.stats().subscriptions === at + 1))
  // Nobody says when the server has heard of a subscription of another connection.
  let published = 0
  await until(async () => {
    await buses[0].publish('line1.temp', String(++published), {
      headers: { traceparent: 'the trace' },
    })
    return heard.missed > 0 || gateways[1]!.routes[1]!.delivered > 0
  })
  using message = await within(20_000, heard.receive())
  t.deepEqual(message.headers, {
    traceparent: 'the trace',
    'millrace-origin': 'h0',
    'millrace-hops': 'h0,h1',
  })
  await until(() => gateways[0]!.routes[1]!.loops > 0)
  t.is(gateways[0]!.routes[1]!.delivered, 0)
})
