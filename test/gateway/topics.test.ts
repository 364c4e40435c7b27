// Routes of messages: from bus to bus, both ways, none twice.

import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { Gateway, type GatewayConfig } from 'millrace/gateway'
import { Topics, type Subscription } from 'millrace/topics'

import { ownDirectory } from '../support/directory.js'
import { uniqueName } from '../support/names.js'
import { until, within } from '../support/until.js'

const patience = 20_000

function busOf(t: ExecutionContext): Topics {
  const bus = Topics.open(uniqueName(t), { messages: 1024 })
  t.teardown(() => {
    bus.close()
  })
  return bus
}

async function addressOf(t: ExecutionContext, bus: Topics): Promise<string> {
  const address = `unix://${join(ownDirectory(t), 'socket')}`
  const share = await bus.share(address)
  t.teardown(() => share.close())
  return address
}

async function gatewayOf(t: ExecutionContext, config: GatewayConfig): Promise<Gateway> {
  const gateway = await Gateway.start(config)
  t.teardown(() => gateway.drain())
  await until(() => gateway.routes.every(({ state }) => state === 'running'))
  return gateway
}

/** As soon as whoever listens at `bus` has joined. */
async function joined(bus: Topics, count: number): Promise<void> {
  await until(() => bus.stats().subscriptions >= count)
}

async function next(subscription: Subscription) {
  using message = await within(patience, subscription.receive())
  const { subject, headers } = message
  return { subject, text: message.text(), headers }
}

if (process.platform === 'linux') {
  test.serial('a bus whose name is taken away is opened anew', async (t) => {
    const [near, far] = [busOf(t), busOf(t)]
    const gateway = await gatewayOf(t, {
      host: 'here',
      routes: [{ kind: 'topics', name: 'out', from: near.name, to: far.name }],
    })
    Topics.unlink(near.name)
    const made = Topics.open(near.name, { messages: 1024 })
    t.teardown(() => {
      made.close()
    })
    await until(() => gateway.routes[0]!.reconnects === 1 && gateway.routes[0]!.state === 'running')
    const there = await far.subscribe('>')
    await joined(made, 1)
    await made.publish('a', 'after')
    t.is((await next(there)).text, 'after')
  })
}

test.serial(
  'messages go from bus to bus with what goes with them, both ways, and none comes back',
  async (t) => {
    const [near, far] = [busOf(t), busOf(t)]
    const address = await addressOf(t, far)
    const here = await near.subscribe('>')
    const there = await far.subscribe('>')
    const gateway = await gatewayOf(t, {
      host: 'here',
      routes: [
        { kind: 'topics', name: 'out', from: near.name, to: address },
        { kind: 'topics', name: 'in', from: address, to: near.name },
      ],
    })
    await joined(near, 2)
    await joined(far, 2)
    await near.publish('line1.temp', '20', { headers: { traceparent: 'the trace' } })
    await far.publish('line2.temp', '30')
    const own = { 'millrace-origin': 'here', 'millrace-hops': 'here' }
    t.deepEqual(
      [await next(here), await next(here)].toSorted((a, b) => (a.subject < b.subject ? -1 : 1)),
      [
        { subject: 'line1.temp', text: '20', headers: { traceparent: 'the trace' } },
        { subject: 'line2.temp', text: '30', headers: own },
      ],
    )
    t.deepEqual(
      [await next(there), await next(there)].toSorted((a, b) => (a.subject < b.subject ? -1 : 1)),
      [
        { subject: 'line1.temp', text: '20', headers: { traceparent: 'the trace', ...own } },
        { subject: 'line2.temp', text: '30', headers: {} },
      ],
    )
    await until(() => gateway.routes.every(({ loops }) => loops === 1))
    t.is(here.tryReceive(), undefined)
    t.is(there.tryReceive(), undefined)
    t.deepEqual(
      gateway.routes.map(({ delivered, bytes, dropped, guarantee }) => [
        delivered,
        bytes,
        dropped,
        guarantee,
      ]),
      [
        [1, 2, 0, 'at-most-once'],
        [1, 2, 0, 'at-most-once'],
      ],
    )
  },
)

test.serial('only what was asked for', async (t) => {
  const [near, far] = [busOf(t), busOf(t)]
  const there = await far.subscribe('>')
  await gatewayOf(t, {
    host: 'here',
    routes: [{ kind: 'topics', from: near.name, to: far.name, subjects: ['a.*', 'b'] }],
  })
  await joined(near, 1)
  for (const subject of ['c', 'a.x', 'a.x.y', 'b']) await near.publish(subject, subject)
  t.deepEqual([(await next(there)).text, (await next(there)).text], ['a.x', 'b'])
})

test.serial(
  'what finds no room while the other side is away is dropped and counted, and its publisher does not wait',
  async (t) => {
    const [near, far] = [busOf(t), busOf(t)]
    const address = `unix://${join(ownDirectory(t), 'socket')}`
    const gateway = await Gateway.start({
      host: 'here',
      routes: [
        {
          ...{ kind: 'topics', from: near.name, to: address, depth: 16 },
          toConnection: { reconnect: { base: 5, cap: 20 } },
        },
      ],
    })
    t.teardown(() => {
      gateway.close()
    })
    await joined(near, 1)
    for (let at = 0; at < 2000; at++) await within(patience, near.publish('n', String(at)))
    const [before] = gateway.routes
    t.is(before?.state, 'connecting')
    t.true(before!.inFlight <= 256)
    const there = await far.subscribe('>')
    const share = await far.share(address)
    t.teardown(() => share.close())
    const found: number[] = []
    while (found.at(-1) !== 1999) found.push(Number((await next(there)).text))
    t.deepEqual(
      found,
      found.toSorted((a, b) => a - b),
    )
    await until(() => gateway.routes[0]!.inFlight === 0)
    const [after] = gateway.routes
    t.is(after!.delivered + after!.dropped, 2000)
    t.is(after!.delivered, found.length)
  },
)

test.serial('a message that has passed too many gateways goes no further', async (t) => {
  const [near, far] = [busOf(t), busOf(t)]
  const there = await far.subscribe('>')
  const gateway = await gatewayOf(t, {
    host: 'here',
    routes: [{ kind: 'topics', from: near.name, to: far.name }],
  })
  await joined(near, 1)
  const hops = (count: number) => ({
    headers: { 'millrace-hops': Array.from({ length: count }, (_, at) => `h${String(at)}`).join() },
  })
  await near.publish('far', 'x', hops(8))
  await near.publish('near', 'y', hops(7))
  t.is((await next(there)).subject, 'near')
  t.is(gateway.routes[0]!.loops, 1)
})

test.serial('a filter that is none is refused', async (t) => {
  const routes = [{ kind: 'topics', from: 'a', to: 'b', subjects: ['a.>.b'] }] as const
  await t.throwsAsync(Gateway.start({ host: 'here', routes }), {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
    message: /routes\[0\].*filter/,
  })
})
