// The drills of topics.

import type { ExecutionContext } from 'ava'
import { Topics, type Subscription, type TopicsOptions } from 'millrace/topics'

import {
  awayFor,
  broken,
  certificates,
  passwords,
  patience,
  reconnect,
  slowMs,
  slowServer,
  type CommonDrill,
  type DrilledEngine,
  type Drills,
} from './engine.js'

const noTime = { code: 'ERR_MILLRACE_TIMEOUT' }

export function openBus(
  t: ExecutionContext,
  { topics }: DrilledEngine,
  address: string,
  { connection, ...options }: TopicsOptions = {},
): Topics {
  const { connection: usual, ...others } = topics?.options ?? {}
  const bus = Topics.open(address, {
    ...others,
    ...options,
    connection: { reconnect, ...usual, ...connection },
  })
  t.teardown(() => {
    bus.close()
  })
  return bus
}

export async function received(subscription: Subscription, count: number): Promise<string[]> {
  const texts: string[] = []
  while (texts.length < count) {
    using message = await subscription.receive(patience)
    texts.push(`${message.subject} ${message.text()}`)
  }
  return texts
}

/** Until a subscription is made anew, what is published is missed. */
async function heardAgain(
  t: ExecutionContext,
  subscription: Subscription,
  publish: () => Promise<unknown>,
): Promise<void> {
  for (;;) {
    await publish()
    const found = await subscription.receive({ timeout: 200 }).catch(() => undefined)
    if (found === undefined) continue
    t.is(found.text(), 'after')
    t.is(found.missed, subscription.missed)
    break
  }
}

const away =
  (forgets: boolean): CommonDrill =>
  async (t, engine) => {
    const server = await engine.server(t, {})
    const address = server.address(engine.newName())
    const bus = openBus(t, engine, address)
    const subscription = await bus.subscribe('x', patience)
    await bus.publish('x', 'before')
    t.is((await subscription.receive(patience)).missed, 0)
    await server.end()
    await broken(bus)
    const early = openBus(t, engine, address)
    const joining = early.subscribe('x', { timeout: 2 ** 31 - 1 })
    await awayFor(bus, early)
    await t.throwsAsync(bus.publish('x', 'nobody', { timeout: 100 }), {
      ...noTime,
      message: engine.cure,
    })
    if (forgets) await server.forget()
    await server.start()
    const joined = await joining
    await heardAgain(t, subscription, () => early.publish('x', 'after', patience))
    t.is((await received(joined, 1))[0], 'x after')
    // One for each connection that broke.
    t.deepEqual([subscription.missed, bus.connection!.made, joined.missed], [1, 2, 0])
  }

export const topicDrills = {
  absent: async (t, engine) => {
    const server = await engine.server(t, { started: false })
    const bus = openBus(t, engine, server.address(engine.newName()))
    const subscribing = bus.subscribe('x', patience)
    await awayFor(bus)
    await t.throwsAsync(bus.publish('x', 'nobody', { timeout: 100 }), {
      ...noTime,
      message: engine.cure,
    })
    await server.start()
    const subscription = await subscribing
    await bus.publish('x', 'y', patience)
    t.deepEqual(await received(subscription, 1), ['x y'])
    t.is(subscription.missed, 0)
  },

  away: away(false),
  empty: away(true),

  slow: async (t, engine) => {
    const { proxy, address } = await slowServer(t, engine, engine.newName())
    const bus = openBus(t, engine, address)
    const subscription = await bus.subscribe('x', patience)
    proxy.delay = slowMs
    const from = performance.now()
    await bus.publish('x', 'a', patience)
    t.true(performance.now() - from >= 2 * slowMs - 10)
    const later = await bus.subscribe('>', patience)
    await bus.publish('x', 'b', patience)
    t.deepEqual(await received(subscription, 2), ['x a', 'x b'])
    t.deepEqual(await received(later, 1), ['x b'])
    t.deepEqual([subscription.missed, bus.connection!.made], [0, 1])
  },

  still: async (t, engine) => {
    const { heartbeat } = engine.topics!
    const server = await engine.server(t, {})
    const bus = openBus(t, engine, server.address(engine.newName()), { connection: { heartbeat } })
    const subscription = await bus.subscribe('x', patience)
    t.teardown(() => {
      server.resume()
    })
    server.pause()
    await broken(bus)
    t.regex(bus.connection!.lastError!.message, /no sign of life|timed out/)
    server.resume()
    await heardAgain(t, subscription, () => bus.publish('x', 'after', patience))
    t.is(subscription.missed, bus.connection!.made - 1)
  },

  full: async (t, engine) => {
    const server = await engine.server(t, {})
    const bus = openBus(t, engine, server.address(engine.newName()))
    const subscription = await bus.subscribe('n', { depth: 10, ...patience })
    const count = 1000
    for (let n = 0; n < count; n++) void bus.publish('n', String(n))
    await bus.publish('end', '', patience)
    let seen = 0
    let last = -1
    while (last < count - 1) {
      using message = await subscription.receive(patience)
      seen++
      t.is(Number(message.text()), last + 1 + message.missed)
      last = Number(message.text())
    }
    t.true(subscription.missed > 0)
    t.is(seen + subscription.missed, count)
  },

  password: async (t, engine) => {
    const server = await engine.server(t, { password: true })
    const open = (address: string): Topics => openBus(t, engine, address)
    const use = (bus: Topics): Promise<unknown> => bus.publish('x', 'y', patience)
    await passwords(t, engine, server, engine.newName(), open, use)
  },

  certificate: async (t, engine) => {
    const open = (address: string, tls: object | undefined): Topics =>
      openBus(t, engine, address, { connection: tls === undefined ? {} : { tls } })
    await certificates(t, engine, engine.newName(), open, async (bus) => {
      const all = await bus.subscribe('>', patience)
      await bus.publish('a', 'b', patience)
      t.deepEqual(await received(all, 1), ['a b'])
    })
  },

  /** Nobody has to make a subject: what nobody listens to is for nobody. */
  unknown: async (t, engine) => {
    const server = await engine.server(t, {})
    const bus = openBus(t, engine, server.address(engine.newName()))
    t.is(await bus.publish('nobody.has.made.this', 'x', patience), NaN)
    const subscription = await bus.subscribe('nor.*', patience)
    t.is(subscription.tryReceive(), undefined)
    await bus.publish('nor.this', 'y', patience)
    t.deepEqual(await received(subscription, 1), ['nor.this y'])
    t.is(bus.connection!.made, 1)
  },

  large: async (t, engine) => {
    const { most, fits, tells = true, refuse } = engine.topics!
    const server = await engine.server(t, { small: true })
    const bus = openBus(t, engine, server.address(engine.newName()))
    const subscription = await bus.subscribe('x', patience)
    if (tells) t.is(bus.maxBytes, most)
    for (const headers of [undefined, { a: 'b' }]) {
      // With headers it is longer.
      await refuse?.(server)
      const refused = bus.publish('x', Buffer.alloc(headers === undefined ? most + 1 : most), {
        ...patience,
        ...(headers === undefined ? {} : { headers }),
      })
      await t.throwsAsync(refused, { code: 'ERR_MILLRACE_TOO_LARGE', message: engine.tooLarge! })
    }
    await bus.publish('x', Buffer.alloc(fits, 7), patience)
    const message = await subscription.receive(patience)
    t.deepEqual([message.length, message.bytes[fits - 1]], [fits, 7])
    t.is(bus.connection!.made, 1)
  },

  /** What fails for a member each time is dropped by it in the end, and does not hold up the others. */
  poison: async (t, engine) => {
    const server = await engine.server(t, {})
    const bus = openBus(t, engine, server.address(engine.newName()))
    const member = await bus.subscribe('>', { queue: 'g', ...patience })
    await bus.publish('x', 'poison', patience)
    await bus.publish('x', 'good', patience)
    const seen: string[] = []
    for (;;) {
      const job = await member.receive(patience)
      const text = job.text()
      seen.push(`${text} ${String(job.attempt)}`)
      if (text === 'poison') job.retry({ error: 'it cannot be done' })
      else await job.complete()
      if (text === 'last') break
      // Five attempts, and one of the other: who then waits hears of the last one alone.
      if (seen.length === 6) await bus.publish('x', 'last', patience)
    }
    const attempts = [1, 2, 3, 4, 5].map((attempt) => `poison ${String(attempt)}`)
    t.deepEqual([...seen].sort(), ['good 1', 'last 1', ...attempts])
  },

  rebalance: null,
} as const satisfies Drills
