// Routes of frames: from a channel here over a connection into a channel there; whole, in order, at most once.

import test, { type ExecutionContext } from 'ava'
import { FrameWriter, MillraceError } from 'millrace'
import { Gateway, type FramesRoute, type GatewayConfig } from 'millrace/gateway'

import { killedAtRandom } from '../support/frame-drill.js'
import { uniqueName } from '../support/names.js'
import { camera, look, shoot, timestampOf, viewer } from '../support/pictures.js'
import { run } from '../support/process.js'
import { until, within } from '../support/until.js'
import { schemes, unixAddress, wayOf } from './support/ways.js'

const patience = 60_000
const fixture = new URL('fixtures/gateway.js', import.meta.url)
const reconnect = { base: 5, cap: 50 }
const slotBytes = 65_536

const out = (from: string, to: string, more: Partial<FramesRoute> = {}): FramesRoute => ({
  ...{ kind: 'frames', from, to, toConnection: { reconnect } },
  ...more,
})

const into = (from: string, to: string, more: Partial<FramesRoute> = {}): FramesRoute => ({
  ...{ kind: 'frames', from, to, toChannel: { slotBytes, slots: 4 } },
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
    `frames of 8 MB come over ${scheme} between gateways of two processes as they were: bytes, header, timestamp, order`,
    async (t) => {
      t.timeout(patience)
      const [near, far] = [uniqueName(t), uniqueName(t, { mayLeave: true })]
      const large = 8 * 2 ** 20
      const writer = camera(t, near, { slotBytes: large })
      const { address, connecting, listening } = await wayOf(t, scheme)
      const there = run(t, fixture, [
        JSON.stringify({
          host: 'there',
          routes: [
            into(address, far, {
              fromConnection: listening,
              toChannel: { slotBytes: large, slots: 4 },
            }),
          ],
        }),
      ])
      await there.next()
      const here = await gatewayOf(t, {
        host: 'here',
        routes: [out(near, address, { toConnection: connecting, fromChannel: { policy: 'wait' } })],
      })
      const reader = await viewer(t, far)
      await running(here)
      const sizes = [large, 1, large - 1, 2 ** 20, 2 ** 20 + 1, 100_000, large]
      const shooting = (async () => {
        for (const [number, bytes] of sizes.entries()) await shoot(writer, number, { bytes })
      })()
      for (const [number, bytes] of sizes.entries()) {
        const timestamp = timestampOf(number)
        t.deepEqual(await look(t, reader), { number, who: 0, bytes, timestamp })
      }
      await shooting
      await until(() => here.routes[0]!.inFlight === 0)
      const [status] = here.routes
      t.is(status!.delivered, sizes.length)
      t.is(
        status!.bytes,
        sizes.reduce((sum, bytes) => sum + bytes, 0),
      )
      t.is(status!.dropped, 0)
      t.is(status!.guarantee, 'at-most-once')
      there.send('status')
      t.like(await there.next(), [
        { state: 'running', delivered: sizes.length, dropped: 0, frames: { taken: sizes.length } },
      ])
      there.send('drain')
      t.is((await there.ended()).code, 0)
    },
  )
}

test.serial('several routes, both ways at once', async (t) => {
  t.timeout(patience)
  const names = Array.from({ length: 4 }, () => [uniqueName(t), uniqueName(t)] as const)
  const addresses = names.map(() => unixAddress(t))
  const wait = { fromChannel: { policy: 'wait' } } as const
  const [a, b] = [0, 1].map((side) => ({
    host: `host-${String(side)}`,
    routes: names.map(([near, far], at) =>
      at % 2 === side ? out(near, addresses[at]!, wait) : into(addresses[at]!, far),
    ),
  }))
  const writers = names.map(([near]) => camera(t, near))
  const gateways = [await gatewayOf(t, a!), await gatewayOf(t, b!)]
  const readers = await Promise.all(names.map(([, far]) => viewer(t, far)))
  await running(...gateways)
  await Promise.all(
    writers.map(async (writer, who) => {
      for (let number = 0; number < 20; number++) await shoot(writer, number, { who })
    }),
  )
  await Promise.all(
    readers.map(async (reader, who) => {
      for (let number = 0; number < 20; number++) t.like(await look(t, reader), { number, who })
    }),
  )
  t.deepEqual(
    gateways.flatMap(({ routes }) => routes.map(({ dropped }) => dropped)),
    new Array<number>(8).fill(0),
  )
})

test.serial(
  'frames of several writers are not mixed, and each writer keeps its order',
  async (t) => {
    t.timeout(patience)
    const far = uniqueName(t)
    const address = unixAddress(t)
    const large = 2 ** 21
    const nears = [uniqueName(t), uniqueName(t), uniqueName(t)]
    const writers = nears.map((near) => camera(t, near, { slotBytes: large }))
    const there = await gatewayOf(t, {
      host: 'there',
      routes: [into(address, far, { toChannel: { slotBytes: large, slots: 6 } })],
    })
    const reader = await viewer(t, far)
    const more = { partBytes: 65_536, fromChannel: { policy: 'wait' } } as const
    for (const [at, near] of nears.entries()) {
      await gatewayOf(t, { host: `here-${String(at)}`, routes: [out(near, address, more)] })
    }
    const each = 15
    const shooting = writers.map(async (writer, who) => {
      for (let number = 0; number < each; number++) await shoot(writer, number, { who })
    })
    const found = nears.map((): number[] => [])
    for (let count = 0; count < each * nears.length; count++) {
      const { number, who } = await look(t, reader)
      found[who]!.push(number)
    }
    const all = Array.from({ length: each }, (_, number) => number)
    t.deepEqual(found, [all, all, all])
    await Promise.all(shooting)
    t.like(there.routes[0], { delivered: each * nears.length, dropped: 0, duplicates: 0 })
  },
)

for (const scheme of schemes) {
  test.serial(
    `${scheme}: gateways of both hosts are killed again and again: what arrives is whole, in order, and comes once`,
    async (t) => {
      const { address, connecting, listening } = await wayOf(t, scheme)
      await killedAtRandom(t, {
        out: { to: address, toConnection: connecting },
        into: { from: address, fromConnection: listening },
      })
    },
  )
}

test.serial(
  'while the other side is away frames give way to newer ones, which is counted at once; then the newest come, and it goes on',
  async (t) => {
    t.timeout(patience)
    const [near, far] = [uniqueName(t), uniqueName(t)]
    const writer = camera(t, near)
    const address = unixAddress(t)
    const here = await gatewayOf(t, { host: 'here', routes: [out(near, address)] })
    await until(() => writer.readers === 1)
    const away = 3000
    for (let number = 0; number < away; number++) await shoot(writer, number, { bytes: 64 })
    const [before] = here.routes
    t.like(before, { state: 'connecting', delivered: 0, inFlight: 0 })
    t.like(before!.error, { code: 'ERR_MILLRACE_UNREACHABLE' })
    // All but those that still wait in the slots of the channel.
    t.is(before!.frames!.dropped.skipped, away - 2)
    const there = await gatewayOf(t, { host: 'there', routes: [into(address, far)] })
    const reader = await viewer(t, far)
    t.is((await look(t, reader)).number, away - 2)
    t.is((await look(t, reader)).number, away - 1)
    await running(here, there)
    await shoot(writer, away)
    t.is((await look(t, reader)).number, away)
    await until(() => here.routes[0]!.inFlight === 0)
    t.like(here.routes[0], { delivered: 3, dropped: away - 2, frames: { taken: 3 } })

    await there.drain()
    await until(() => here.routes[0]!.state === 'connecting')
    const again = await gatewayOf(t, { host: 'there', routes: [into(address, far)] })
    await running(here, again)
    await reader.waitForPeer()
    await shoot(writer, away + 1)
    t.is((await look(t, reader)).number, away + 1)
    t.is(here.routes[0]!.reconnects, 1)
  },
)

test.serial('a slow reader there makes frames give way here, and nobody else waits', async (t) => {
  t.timeout(patience)
  const [near, far] = [uniqueName(t), uniqueName(t)]
  const writer = camera(t, near, { slots: 6 })
  const address = unixAddress(t)
  const there = await gatewayOf(t, { host: 'there', routes: [into(address, far)] })
  const here = await gatewayOf(t, { host: 'here', routes: [out(near, address, { inFlight: 2 })] })
  const reader = await viewer(t, far)
  await running(here, there)
  const all = 400
  for (let number = 0; number < all; number++) {
    await shoot(writer, number)
    await new Promise((turn) => setImmediate(turn))
  }
  const [slow] = here.routes
  t.true(slow!.inFlight <= 2)
  t.true(slow!.frames!.dropped.skipped > all / 2)
  const found: number[] = []
  while (found.at(-1) !== all - 1) found.push((await look(t, reader)).number)
  t.deepEqual(
    found,
    found.toSorted((a, b) => a - b),
  )
  await until(() => here.routes[0]!.inFlight === 0)
  const { delivered, frames } = here.routes[0]!
  t.is(delivered, found.length)
  t.is(delivered + frames!.dropped.skipped, all)
})

test.serial(
  'with the policy wait the writer waits for the other host, and no frame is skipped',
  async (t) => {
    t.timeout(patience)
    const [near, far] = [uniqueName(t), uniqueName(t)]
    const writer = camera(t, near)
    const address = unixAddress(t)
    const here = await gatewayOf(t, {
      host: 'here',
      routes: [out(near, address, { fromChannel: { policy: 'wait' } })],
    })
    await until(() => writer.readers === 1)
    let shot = 0
    const shooting = (async () => {
      for (; shot < 50; shot++) await shoot(writer, shot)
    })()
    await until(() => writer.tryLoan() === undefined)
    t.true(shot <= 4)
    const there = await gatewayOf(t, { host: 'there', routes: [into(address, far)] })
    const reader = await viewer(t, far)
    for (let number = 0; number < 50; number++) t.is((await look(t, reader)).number, number)
    await shooting
    await until(() => here.routes[0]!.inFlight === 0)
    t.like(here.routes[0], { delivered: 50, dropped: 0 })
    t.like(there.routes[0], { delivered: 50, dropped: 0 })
  },
)

test.serial(
  'a frame that no slot there holds is dropped and counted with a typed error, and smaller ones go on',
  async (t) => {
    t.timeout(patience)
    const [near, far] = [uniqueName(t), uniqueName(t)]
    const writer = camera(t, near)
    const address = unixAddress(t)
    const there = await gatewayOf(t, {
      host: 'there',
      routes: [into(address, far, { toChannel: { slotBytes: 1000 } })],
    })
    const here = await gatewayOf(t, { host: 'here', routes: [out(near, address)] })
    const reader = await viewer(t, far)
    await running(here, there)
    await shoot(writer, 1, { bytes: 1001 })
    await until(() => here.routes[0]!.frames!.dropped['too-large'] === 1)
    t.like(here.routes[0], { state: 'running', dropped: 1 })
    t.like(here.routes[0]!.error, { code: 'ERR_MILLRACE_TOO_LARGE' })
    t.regex(here.routes[0]!.error!.message, /1001 bytes.*slots have 1000.*slotBytes/)
    await shoot(writer, 2, { bytes: 1000 })
    t.is((await look(t, reader)).number, 2)
    await until(() => here.routes[0]!.error === undefined)
    t.like(there.routes[0], { delivered: 1, dropped: 0 })
  },
)

test.serial(
  'parts are no longer than the other side takes; a side that takes no head is refused with a typed error',
  async (t) => {
    t.timeout(patience)
    const [near, far] = [uniqueName(t), uniqueName(t)]
    const writer = camera(t, near)
    const address = unixAddress(t)
    const there = await gatewayOf(t, {
      host: 'there',
      routes: [into(address, far, { fromConnection: { maxBytes: 500 } })],
    })
    const here = await gatewayOf(t, { host: 'here', routes: [out(near, address)] })
    const late = { code: 'ERR_MILLRACE_TOO_LARGE', state: 'connecting' }
    await until(() => {
      const { error, state } = here.routes[0]!
      return error instanceof MillraceError && error.code === late.code && state === late.state
    }, patience)
    await there.reload({
      host: 'there',
      routes: [into(address, far, { fromConnection: { maxBytes: 1000 } })],
    })
    const reader = await viewer(t, far)
    await running(here, there)
    await shoot(writer, 1)
    t.like(await look(t, reader), { number: 1, bytes: slotBytes })
  },
)

test.serial(
  'what has passed a host does not come there again, whatever channels it goes through',
  async (t) => {
    t.timeout(patience)
    const [first, second, third] = [uniqueName(t), uniqueName(t), uniqueName(t)]
    const [there, back] = [unixAddress(t), unixAddress(t)]
    const writer = camera(t, first)
    const a = await gatewayOf(t, { host: 'a', routes: [out(first, there), into(back, third)] })
    const b = await gatewayOf(t, { host: 'b', routes: [into(there, second), out(second, back)] })
    const [middle, end] = [await viewer(t, second), await viewer(t, third)]
    await running(a, b)
    await shoot(writer, 1)
    t.is((await look(t, middle)).number, 1)
    await until(() => a.routes[1]!.loops === 1 && b.routes[1]!.loops === 1)
    t.is(end.tryReceive(), undefined)
    t.is(a.routes[1]!.delivered, 0)
  },
)

test.serial('what cannot be is refused before anything is done', async (t) => {
  const [near, far] = [uniqueName(t), uniqueName(t)]
  const address = unixAddress(t)
  const refused: Readonly<Record<string, readonly [FramesRoute[], RegExp]>> = {
    circle: [[out(near, address), into(address, near)], /'frames test.* lead in a circle/],
    'both here': [[into(near, far)], /both channels of this machine's memory/],
    'both elsewhere': [
      [{ kind: 'frames', from: address, to: 'unix:///tmp/other' }],
      /both elsewhere/,
    ],
    'no slotBytes': [[{ kind: 'frames', from: address, to: far }], /toChannel: \{ slotBytes/],
    'of another side': [
      [out(near, address, { toChannel: { slotBytes } })],
      /toChannel is for a channel of this machine's memory/,
    ],
    policy: [[out(near, address, { fromChannel: { policy: 'x' as 'wait' } })], /policy.*"x"/],
    part: [[out(near, address, { partBytes: 10 })], /partBytes/],
    'an engine without topics': [[out(near, 'amqp://127.0.0.1/q')], /amqp/],
    'one way': [[out(near, 'pipe:///tmp/x')], /goes one way/],
    subject: [[out(near, 'nats://127.0.0.1', { subject: 'a.>' })], /subject/],
  }
  for (const [what, [routes, message]] of Object.entries(refused)) {
    const error = await t.throwsAsync(Gateway.start({ host: 'here', routes }), { message }, what)
    t.true(error instanceof MillraceError, what)
  }
  const writer = FrameWriter.create(far, { slotBytes, slots: 4 })
  t.teardown(() => {
    writer.close()
  })
  await t.throwsAsync(Gateway.start({ host: 'here', routes: [into(address, far)] }), {
    code: 'ERR_MILLRACE_ROLE_TAKEN',
  })
})

test.serial(
  'a reload leaves alone what is as it was, and what changed goes on with the same readers',
  async (t) => {
    t.timeout(patience)
    const names = [0, 1].map(() => [uniqueName(t), uniqueName(t)] as const)
    const addresses = names.map(() => unixAddress(t))
    const writers = names.map(([near]) => camera(t, near))
    const routes = names.map(([, far], at) => into(addresses[at]!, far))
    const there = await gatewayOf(t, { host: 'there', routes })
    const here = await gatewayOf(t, {
      host: 'here',
      routes: names.map(([near], at) => out(near, addresses[at]!)),
    })
    const readers = await Promise.all(names.map(([, far]) => viewer(t, far)))
    await running(here, there)
    const bring = async (number: number): Promise<void> => {
      for (const [at, writer] of writers.entries()) {
        await shoot(writer, number)
        t.is((await look(t, readers[at]!)).number, number)
      }
    }
    await bring(1)
    await t.throwsAsync(
      there.reload({ host: 'there', routes: [...routes, into(addresses[0]!, names[1]![1])] }),
    )
    await bring(2)
    const changed = { ...routes[1]!, inFlight: 3 }
    await there.reload({ host: 'there', routes: [routes[0]!, changed] })
    await readers[1]!.waitForPeer({ timeout: patience })
    await running(here, there)
    await bring(3)
    t.deepEqual(
      there.routes.map(({ delivered }) => delivered),
      [3, 1],
    )
    await there.reload({ host: 'there', routes: [routes[0]!] })
    t.is(await within(patience, readers[1]!.receive()), undefined)
    await shoot(writers[0]!, 4)
    t.is((await look(t, readers[0]!)).number, 4)
  },
)

test.serial('a writer may come later, go, and come again with another size', async (t) => {
  t.timeout(patience)
  const [near, far] = [uniqueName(t), uniqueName(t)]
  const address = unixAddress(t)
  const there = await gatewayOf(t, {
    host: 'there',
    routes: [into(address, far, { toChannel: { slotBytes: 2 * slotBytes } })],
  })
  const here = await gatewayOf(t, { host: 'here', routes: [out(near, address)] })
  await until(() => here.routes[0]!.error !== undefined)
  t.like(here.routes[0], { state: 'connecting' })
  t.like(here.routes[0]!.error, { code: 'ERR_MILLRACE_NOT_FOUND' })
  const reader = await viewer(t, far)
  for (const [number, bytes] of [slotBytes, slotBytes, 2 * slotBytes].entries()) {
    // As long as the gateway keeps the channel it has the size that it had.
    let writer: FrameWriter | undefined
    await until(() => {
      try {
        writer = FrameWriter.create(near, { slotBytes: bytes, slots: 4 })
        return true
      } catch (error) {
        t.like(error, { code: 'ERR_MILLRACE_GEOMETRY' })
        return false
      }
    }, patience)
    await running(here, there)
    await until(() => writer!.readers === 1, patience)
    await shoot(writer!, number)
    t.like(await look(t, reader), { number, bytes })
    writer!.close()
    await until(() => here.routes[0]!.state === 'connecting')
  }
  t.like(here.routes[0], { delivered: 3, dropped: 0 })
})
