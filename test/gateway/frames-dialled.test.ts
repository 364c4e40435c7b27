// Frames for hosts that can only connect: the gateway that reads the channel listens, and hands frames on to every gateway that comes.

import test, { type ExecutionContext } from 'ava'
import { FrameWriter, MillraceError } from 'millrace'
import { Gateway, type FramesRoute, type GatewayConfig } from 'millrace/gateway'

import { killedAtRandom } from '../support/frame-drill.js'
import { uniqueName } from '../support/names.js'
import { camera, look, seen, shoot, viewer } from '../support/pictures.js'
import { until, within } from '../support/until.js'
import { schemes, unixAddress, wayOf } from './support/ways.js'

const patience = 60_000
const reconnect = { base: 5, cap: 50 }
const slotBytes = 65_536

const hub = (from: string, to: string, more: Partial<FramesRoute> = {}): FramesRoute => ({
  ...{ kind: 'frames', from, to, listen: true },
  ...more,
})

const site = (from: string, to: string, more: Partial<FramesRoute> = {}): FramesRoute => ({
  ...{ kind: 'frames', from, to, listen: false, fromConnection: { reconnect } },
  ...{ toChannel: { slotBytes, slots: 4 } },
  ...more,
})

async function gatewayOf(t: ExecutionContext, config: GatewayConfig): Promise<Gateway> {
  const gateway = await Gateway.start(config)
  t.teardown(() => gateway.drain())
  return gateway
}

const running = (...gateways: readonly Gateway[]): Promise<void> =>
  until(
    () => gateways.every(({ routes }) => routes.every(({ state }) => state === 'running')),
    patience,
  )

for (const scheme of schemes) {
  test.serial(
    `${scheme}: hub and site are killed again and again: what arrives is whole, in order, and comes once`,
    async (t) => {
      const { address, connecting, listening } = await wayOf(t, scheme)
      await killedAtRandom(t, {
        out: { to: address, listen: true, toConnection: listening },
        into: { from: address, listen: false, fromConnection: connecting },
      })
    },
  )
}

test.serial('each site has every frame from then on, as it was; and none before', async (t) => {
  t.timeout(patience)
  const near = uniqueName(t)
  const fars = [uniqueName(t), uniqueName(t), uniqueName(t)]
  const address = unixAddress(t)
  const writer = camera(t, near)
  const there = await gatewayOf(t, {
    host: 'hub',
    routes: [hub(near, address, { partBytes: 10_000 })],
  })
  await until(() => there.routes[0]!.error !== undefined)
  t.like(there.routes[0], { state: 'connecting' })
  t.like(there.routes[0]!.error, { code: 'ERR_MILLRACE_UNREACHABLE' })
  // Nobody is there to take them, so nobody reads the channel.
  await shoot(writer, 0)
  t.is(writer.readers, 0)
  const sites: Gateway[] = []
  let number = 0
  for (const [at, far] of fars.entries()) {
    sites.push(await gatewayOf(t, { host: `site-${String(at)}`, routes: [site(address, far)] }))
    await running(there, ...sites)
    await until(() => writer.readers === sites.length, patience)
    const readers = await Promise.all(fars.slice(0, at + 1).map((one) => viewer(t, one)))
    for (const bytes of [slotBytes, 1, 9999, 10_001]) {
      await shoot(writer, ++number, { bytes })
      for (const reader of readers) t.like(await look(t, reader), { number, bytes })
    }
    for (const reader of readers) reader.close()
  }
  await until(() => there.routes[0]!.inFlight === 0)
  t.like(there.routes[0], { delivered: 4 + 8 + 12, dropped: 0, frames: { taken: 24 } })
  t.deepEqual(
    sites.map(({ routes }) => [routes[0]!.delivered, routes[0]!.dropped]),
    [
      [12, 0],
      [8, 0],
      [4, 0],
    ],
  )
  await sites[0]!.drain()
  await until(() => writer.readers === 2, patience)
  t.like(there.routes[0], { state: 'running', dropped: 0 })
})

test.serial('a slow site loses frames, which are counted, and the other one none', async (t) => {
  t.timeout(patience)
  const [near, slow, fast] = [uniqueName(t), uniqueName(t), uniqueName(t)]
  const address = unixAddress(t)
  const writer = camera(t, near, { slots: 6 })
  const there = await gatewayOf(t, {
    host: 'hub',
    routes: [hub(near, address, { inFlight: 2 })],
  })
  const sites = [
    await gatewayOf(t, { host: 'slow', routes: [site(address, slow)] }),
    await gatewayOf(t, { host: 'fast', routes: [site(address, fast)] }),
  ]
  await running(there, ...sites)
  await until(() => writer.readers === 2, patience)
  const [late, quick] = [await viewer(t, slow), await viewer(t, fast)]
  const count = 200
  for (let number = 1; number <= count; number++) {
    await shoot(writer, number)
    t.is((await look(t, quick)).number, number)
  }
  t.true(there.routes[0]!.inFlight <= 4)
  const found: number[] = []
  while (found.at(-1) !== count) found.push((await look(t, late)).number)
  t.deepEqual(
    found,
    found.toSorted((a, b) => a - b),
  )
  await until(() => there.routes[0]!.inFlight === 0)
  const { delivered, dropped, frames } = there.routes[0]!
  t.is(delivered, count + found.length)
  t.deepEqual([dropped, frames!.dropped.skipped], [count - found.length, count - found.length])
  t.true(found.length < count)
})

test.serial('what is on its way arrives when either side drains', async (t) => {
  t.timeout(patience)
  for (const who of [0, 1]) {
    const [near, far] = [uniqueName(t), uniqueName(t, { mayLeave: true })]
    const address = unixAddress(t)
    const writer = camera(t, near, { slots: 8 })
    const wait = { fromChannel: { policy: 'wait' } } as const
    const both = [
      await gatewayOf(t, { host: 'hub', routes: [hub(near, address, wait)] }),
      await gatewayOf(t, { host: 'site', routes: [site(address, far)] }),
    ]
    await running(...both)
    await until(() => writer.readers === 1, patience)
    const reader = await viewer(t, far)
    for (let number = 1; number <= 6; number++) await shoot(writer, number)
    const numbers = [(await look(t, reader)).number]
    const over = new AbortController()
    const reading = (async () => {
      for (;;) {
        using frame = await reader.receive({ signal: over.signal }).catch(() => undefined)
        if (frame === undefined) return
        numbers.push(seen(t, frame).number)
      }
    })()
    await within(patience, both[who]!.drain())
    const [from, to] = both.map(({ routes }) => routes[0]!)
    await until(() => numbers.length === to!.delivered, patience)
    over.abort()
    await reading
    t.deepEqual(
      numbers,
      numbers.map((_one, at) => at + 1),
    )
    await until(() => both[0]!.routes[0]!.inFlight === 0, patience)
    const { delivered, dropped, frames } = both[0]!.routes[0]!
    t.is(delivered + dropped, frames!.taken + frames!.dropped.skipped)
    // Who sends hears of all that has arrived before it goes; who takes goes without it.
    if (who === 0) t.deepEqual([from!.delivered, from!.dropped], [to!.delivered, 0])
    else t.true(from!.delivered <= to!.delivered)
    writer.close()
    await Promise.all(both.map((gateway) => gateway.drain()))
  }
})

test.serial(
  'a site for which the channel has no reader left comes again until it has',
  async (t) => {
    t.timeout(patience)
    const [near, first, second] = [uniqueName(t), uniqueName(t), uniqueName(t)]
    const address = unixAddress(t)
    const writer = FrameWriter.create(near, { slotBytes, slots: 4, maxReaders: 1 })
    t.teardown(() => {
      writer.close()
    })
    const there = await gatewayOf(t, { host: 'hub', routes: [hub(near, address)] })
    const one = await gatewayOf(t, { host: 'one', routes: [site(address, first)] })
    await running(there, one)
    await until(() => writer.readers === 1, patience)
    const other = await gatewayOf(t, { host: 'other', routes: [site(address, second)] })
    await until(() => there.routes[0]!.error !== undefined, patience)
    t.like(there.routes[0], { state: 'running', error: { code: 'ERR_MILLRACE_NO_LANE' } })
    const reader = await viewer(t, second)
    await one.drain()
    await until(() => there.routes[0]!.error === undefined && writer.readers === 1, patience)
    await running(there, other)
    await shoot(writer, 1)
    t.is((await look(t, reader)).number, 1)
  },
)

test.serial('two sides that both connect, or do what the other does, are told so', async (t) => {
  t.timeout(patience)
  const [near, far, other] = [uniqueName(t), uniqueName(t), uniqueName(t)]
  const address = unixAddress(t)
  camera(t, near)
  const there = await gatewayOf(t, { host: 'hub', routes: [hub(near, address)] })
  const wrong = await gatewayOf(t, {
    host: 'wrong',
    routes: [{ kind: 'frames', from: other, to: address, toConnection: { reconnect } }],
  })
  camera(t, other)
  await until(() => wrong.routes[0]!.state === 'failed', patience)
  t.like(wrong.routes[0]!.error, { code: 'ERR_MILLRACE_SCHEMA' })
  t.regex(
    wrong.routes[0]!.error!.message,
    /there is a gateway that sends frames, and a gateway that takes frames was asked for/,
  )
  const right = await gatewayOf(t, { host: 'site', routes: [site(address, far)] })
  await running(there, right)
})

test.serial('what cannot be is refused before anything is done', async (t) => {
  const near = uniqueName(t)
  const refused: Readonly<Record<string, readonly [FramesRoute, RegExp]>> = {
    'an engine': [hub(near, 'nats://127.0.0.1:4222'), /listen is for unix:\/\//],
    'no truth': [hub(near, unixAddress(t), { listen: 1 as never }), /listen/],
  }
  for (const [what, [route, message]] of Object.entries(refused)) {
    const error = await t.throwsAsync(Gateway.start({ host: 'here', routes: [route] }), { message })
    t.true(error instanceof MillraceError, what)
  }
})
