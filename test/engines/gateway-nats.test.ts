// Two gateways and a server of NATS between two queues of shared memory, as between two hosts: each is ended at random, and every job
// arrives once, in the order of its group.

import test from 'ava'
import { Gateway } from 'millrace/gateway'
import { Topics } from 'millrace/topics'
import { WorkQueue } from 'millrace/work'

import { RunningGateway } from '../gateway/service/running.js'
import { uniqueName } from '../support/names.js'
import { until, within } from '../support/until.js'
import { carriedOnce, queueOf, ways, type Between } from './support/gateways.js'
import { natsServer, type NatsServer } from './support/nats.js'

function between(server: NatsServer): Between {
  const there = { maxAttempts: 255, dedupWindow: 600_000 }
  return { address: server.address('orders'), there, alone: true }
}

test('gateways of two hosts and the server between them are killed again and again: each job comes once, in order', async (t) => {
  const server = await natsServer(t)
  await carriedOnce(t, [queueOf(t), queueOf(t)], between(server), {
    ...{ jobs: 800, lives: [110, 110], outages: [0.3, 0.6], ordered: true },
    outage: async () => {
      await server.end()
      await server.start()
    },
  })
})

test('gateways that are killed while they drain, and two of each at the end: each job comes once', async (t) => {
  t.timeout(120_000)
  const server = await natsServer(t)
  const [near, far] = [queueOf(t), queueOf(t)]
  const configs = ways(near, far, { ...between(server), alone: false }).map((config) => ({
    ...config,
    drainTimeout: 60_000,
  }))
  const rounds = 4
  const each = 250
  for (let round = 0; round < rounds; round++) {
    const gateways = configs.map((config) => new RunningGateway(t, config))
    await Promise.all(gateways.map((gateway) => gateway.told('up')))
    for (let i = 0; i < each; i++) await near.push(`job ${String(round * each + i)}`)
    await Promise.all(
      gateways.map(async (gateway) => {
        gateway.kill('SIGTERM')
        if (round > 0) await gateway.told('draining')
        gateway.kill('SIGKILL')
        await gateway.ended
      }),
    )
  }
  const last = [...configs, ...configs].map((config) => new RunningGateway(t, config))
  const got = new Set<string>()
  for (let i = 0; i < rounds * each; i++) {
    const job = await far.takeOne({ timeout: 60_000 })
    got.add(Buffer.from(job.bytes).toString())
    job.complete()
  }
  t.is(got.size, rounds * each)
  await until(() => near.stats().ready + near.stats().leased === 0)
  for (const gateway of last) gateway.kill('SIGTERM')
  for (const gateway of last) t.is((await gateway.ended).code, 0, gateway.text)
  t.is(far.stats().ready, 0)
})

test('what JetStream cannot carry by itself is there again on the other side; what passed here does not come back', async (t) => {
  const server = await natsServer(t)
  const [near, far] = [queueOf(t), queueOf(t)]
  const [out, back] = ways(near, far, between(server))
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
  const [out] = ways(near, far, between(server))
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
  const [out] = ways(near, near, between(server))
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
