// Gateways whose routes lead in a circle that none of them knows: each in a process of its own, over an engine. What has come round is known by
// where it has been, and cut off.

import test, { type ExecutionContext } from 'ava'
import type { GatewayConfig, RouteConfig, RouteStatus, WorkRoute } from 'millrace/gateway'
import { call, connect, contract } from 'millrace/rpc'
import { Topics } from 'millrace/topics'
import { WorkQueue } from 'millrace/work'

import { uniqueName } from '../support/names.js'
import { camera, look, shoot, viewer } from '../support/pictures.js'
import { run, type Run } from '../support/process.js'
import { until } from '../support/until.js'
import { natsServer } from './support/nats.js'

const patience = 60_000
const fixture = new URL('../gateway/fixtures/gateway.js', import.meta.url)
const connection = { reconnect: { base: 10, cap: 100 } }

async function gatewayOf(t: ExecutionContext, config: GatewayConfig): Promise<Run> {
  const gateway = run(t, fixture, [JSON.stringify(config)])
  await gateway.next(patience)
  return gateway
}

async function statusOf(gateway: Run): Promise<readonly RouteStatus[]> {
  gateway.send('status')
  return (await gateway.next(patience)) as readonly RouteStatus[]
}

const running = (...gateways: readonly Run[]): Promise<void> =>
  until(async () => {
    const statuses = await Promise.all(gateways.map(statusOf))
    return statuses.flat().every(({ state }) => state === 'running')
  }, patience)

/** Host after host, each with something of its memory, from which the next one has it; the last one's goes to the first. */
function ring(
  places: readonly string[],
  between: (at: number) => string,
  route: (from: string, to: string) => RouteConfig,
): readonly GatewayConfig[] {
  return places.map((place, at) => ({
    host: `host-${String(at)}`,
    routes: [
      route(place, between(at)),
      route(between((at + places.length - 1) % places.length), place),
    ],
  }))
}

function carries(from: string, to: string): WorkRoute {
  const there = { maxAttempts: 255 }
  return {
    ...{ kind: 'work', from, to },
    ...(from.includes(':') ? { fromQueue: there, fromConnection: connection } : {}),
    ...(to.includes(':') ? { toQueue: there, toConnection: connection } : {}),
  }
}

for (const hosts of [2, 3]) {
  test(`jobs go once round ${String(hosts)} hosts, with an id of their own and without`, async (t) => {
    t.timeout(2 * patience)
    const server = await natsServer(t)
    // None knows ids again.
    const queues = Array.from({ length: hosts }, () => {
      const name = uniqueName(t, { mayLeave: true })
      const queue = WorkQueue.open(name)
      t.teardown(() => {
        queue.close()
        WorkQueue.unlink(name)
      })
      return queue
    })
    const configs = ring(
      queues.map(({ name }) => name),
      (at) => server.address(`round-${String(at)}`),
      carries,
    )
    const gateways = await Promise.all(configs.map((config) => gatewayOf(t, config)))
    await running(...gateways)
    const count = 20
    for (let at = 0; at < count; at++) {
      await queues[0]!.push(String(at), at % 2 === 0 ? {} : { id: `job ${String(at)}` })
    }
    await until(async () => (await statusOf(gateways[0]!))[1]!.loops === count, patience)
    for (const [at, gateway] of gateways.entries()) {
      const [out, back] = await statusOf(gateway)
      t.is(out!.delivered, count)
      t.like(back, at === 0 ? { delivered: 0 } : { delivered: count, loops: 0 })
      t.like(queues[at]!.stats(), { pushed: count, completed: count, ready: 0 })
    }
  })
}

test('messages that a gateway has brought it does not send on', async (t) => {
  t.timeout(2 * patience)
  const server = await natsServer(t, { jetstream: false })
  const buses = Array.from({ length: 3 }, () => Topics.open(uniqueName(t, { mayLeave: true })))
  t.teardown(() => {
    for (const bus of buses) bus.close()
  })
  const configs = ring(
    buses.map(({ name }) => name),
    (at) => server.address(`round-${String(at)}`),
    (from, to) => ({ kind: 'topics', from, to }),
  )
  const gateways = await Promise.all(configs.map((config) => gatewayOf(t, config)))
  await running(...gateways)
  const heard = await Promise.all(buses.map((bus) => bus.subscribe('x')))
  // Nobody says when the server has heard of a subscription of another connection.
  let published = 0
  await until(async () => {
    await buses[0]!.publish('x', String(++published))
    return (await statusOf(gateways[1]!))[0]!.loops > 0
  }, patience)
  for (const subscription of heard.slice(0, 2)) {
    const numbers: number[] = []
    while (numbers.at(-1) !== published) {
      using message = await subscription.receive({ timeout: patience })
      numbers.push(Number(message.text()))
    }
    t.is(new Set(numbers).size, numbers.length)
  }
  await until(async () => (await statusOf(gateways[0]!))[0]!.delivered === published, patience)
  const [, middle, last] = await Promise.all(gateways.map(statusOf))
  t.like(middle![0], { delivered: 0 })
  t.like(last![1], { delivered: 0 })
  t.is(heard[2]!.tryReceive(), undefined)
})

test('frames that come round to the channel that they were taken from are shown once', async (t) => {
  t.timeout(2 * patience)
  const server = await natsServer(t, { jetstream: false })
  const address = server.address()
  const [near, far] = [uniqueName(t), uniqueName(t, { mayLeave: true })]
  const subject = 'frames.round'
  const out = (from: string): RouteConfig => ({
    ...{ kind: 'frames', from, to: address, subject, toConnection: connection },
  })
  const slots = { slotBytes: 65_536, slots: 6 }
  const into: RouteConfig = {
    ...{ kind: 'frames', from: address, to: far, subject, fromConnection: connection },
    toChannel: slots,
  }
  const writer = camera(t, near)
  const there = await gatewayOf(t, { host: 'there', routes: [into] })
  const back = await gatewayOf(t, { host: 'back', routes: [out(far)] })
  const here = await gatewayOf(t, { host: 'here', routes: [out(near)] })
  const reader = await viewer(t, far)
  await running(there, back, here)
  for (let number = 1; number <= 20; number++) {
    await shoot(writer, number)
    t.is((await look(t, reader)).number, number)
    // The next one when this one has come round, so that none gives way.
    await until(async () => (await statusOf(there))[0]!.loops === number, patience)
  }
  t.like((await statusOf(there))[0], { delivered: 20, dropped: 0 })
  reader.close()
})

test('gateways of calls that would serve each other serve nobody', async (t) => {
  t.timeout(2 * patience)
  const server = await natsServer(t, { jetstream: false })
  const [one, other] = [server.address('one'), server.address('other')]
  const gateways = await Promise.all(
    [
      [one, other],
      [other, one],
    ].map(([from, to], at) =>
      gatewayOf(t, {
        host: `host-${String(at)}`,
        routes: [{ kind: 'calls', from: from!, to: to! }],
      }),
    ),
  )
  await until(async () => {
    const statuses = await Promise.all(gateways.map(statusOf))
    return statuses.flat().every(({ error }) => error !== undefined)
  }, patience)
  const client = await connect(one, contract('one', { add: call<number, number>() }))
  t.teardown(() => {
    client.close()
  })
  await t.throwsAsync(client.add(1), { code: 'ERR_MILLRACE_NO_RESPONDER' })
})
