// Frames over servers that take no message of their size: in parts, which are whole frames again at the other host.

import test, { type ExecutionContext } from 'ava'
import { Gateway, type FramesRoute } from 'millrace/gateway'
import { Topics } from 'millrace/topics'

import { killedAtRandom } from '../support/frame-drill.js'
import { uniqueName } from '../support/names.js'
import { camera, look, seen, shoot, timestampOf, viewer } from '../support/pictures.js'
import { until, within } from '../support/until.js'
import { kafkaCluster } from './support/kafka.js'
import { natsServer } from './support/nats.js'
import { endSharedServer, redisServer } from './support/redis.js'
import { ipcAddress } from './support/zeromq.js'

const patience = 60_000
const large = 8 * 2 ** 20
const connection = { reconnect: { base: 10, cap: 100 } }

test.after.always(endSharedServer)

interface Ways {
  readonly near: string
  readonly far: string
  readonly address: string
  readonly slotBytes?: number
  readonly more?: Partial<FramesRoute>
}

async function start(t: ExecutionContext, host: string, route: FramesRoute): Promise<Gateway> {
  const gateway = await Gateway.start({ host, routes: [route] })
  t.teardown(() => gateway.drain())
  return gateway
}

const sender = (
  t: ExecutionContext,
  { near, far, address, more }: Ways,
  host = 'here',
): Promise<Gateway> =>
  start(t, host, {
    ...{ kind: 'frames', from: near, to: address, subject: `frames.${far}` },
    ...{ toConnection: connection, fromChannel: { policy: 'wait' }, ...more },
  })

const taker = (t: ExecutionContext, { far, address, slotBytes = large }: Ways): Promise<Gateway> =>
  start(t, 'there', {
    ...{ kind: 'frames', from: address, to: far, fromConnection: connection },
    toChannel: { slotBytes, slots: 6 },
  })

const running = (...gateways: readonly Gateway[]): Promise<void> =>
  until(() => gateways.every(({ routes }) => routes[0]!.state === 'running'), patience)

async function carriesLarge(t: ExecutionContext, address: string): Promise<void> {
  t.timeout(patience)
  const ways = { near: uniqueName(t), far: uniqueName(t), address }
  const writer = camera(t, ways.near, { slotBytes: large })
  const there = await taker(t, ways)
  const reader = await viewer(t, ways.far)
  await running(there)
  const here = await sender(t, ways)
  await running(here)
  const sizes = [large, 1, large - 1, 262_144, 262_145, large]
  // The next one when this one has come: here nothing may be lost because a machine is slow.
  for (const [number, bytes] of sizes.entries()) {
    await shoot(writer, number, { bytes })
    t.deepEqual(await look(t, reader), { number, who: 0, bytes, timestamp: timestampOf(number) })
  }
  await until(() => here.routes[0]!.inFlight === 0)
  const bytes = sizes.reduce((sum, one) => sum + one, 0)
  t.like(here.routes[0], { delivered: sizes.length, bytes, dropped: 0, guarantee: 'at-most-once' })
  t.like(there.routes[0], { delivered: sizes.length, bytes, dropped: 0, loops: 0 })
}

test('NATS: frames of 8 MB, where a message has 1 MiB', async (t) => {
  await carriesLarge(t, (await natsServer(t, { jetstream: false })).address('pictures'))
})

test('Redis: frames of 8 MB', async (t) => {
  await carriesLarge(t, (await redisServer(t)).address('pictures'))
})

/** Where the first messages may be lost: some frames come, each of them whole, in order. */
async function carriesSome(
  t: ExecutionContext,
  [out, back]: readonly [string, string],
): Promise<void> {
  t.timeout(patience)
  const bytes = 3 * 2 ** 20
  const ways = { near: uniqueName(t), far: uniqueName(t), slotBytes: bytes }
  const writer = camera(t, ways.near, { slotBytes: bytes })
  const there = await taker(t, { ...ways, address: back })
  const reader = await viewer(t, ways.far, { policy: 'overwrite-oldest' })
  const here = await sender(t, { ...ways, address: out })
  await running(here, there)
  let over = false
  const isOver = (): boolean => over
  const shooting = (async () => {
    for (let number = 0; !isOver(); number++) {
      await shoot(writer, number)
      await until(() => isOver() || here.routes[0]!.inFlight === 0, patience)
    }
  })()
  let last = -1
  for (let count = 0; count < 10; count++) {
    const { number, bytes: length } = await look(t, reader)
    t.is(length, bytes)
    t.true(number > last)
    last = number
  }
  over = true
  await shooting
  t.like(there.routes[0], { frames: { dropped: { damaged: 0, 'too-large': 0 } } })
}

test('Kafka: frames of 3 MB, where a record has 1 MiB', async (t) => {
  const cluster = await kafkaCluster(t, ['pictures:1'])
  const address = cluster.address('pictures')
  await carriesSome(t, [address, address])
})

test('ZeroMQ: frames of 3 MB', async (t) => {
  const address = ipcAddress()
  await carriesSome(t, [address.at(), address.at('?bind')])
})

for (const [engine, addressOf] of [
  ['NATS', async (t) => (await natsServer(t, { jetstream: false })).address('pictures')],
  ['Redis', async (t) => (await redisServer(t)).address('pictures')],
] as const satisfies readonly (readonly [string, (t: ExecutionContext) => Promise<string>])[]) {
  test(`${engine}: gateways of both hosts are killed again and again: what arrives is whole, in order, and comes once`, async (t) => {
    const address = await addressOf(t)
    const subject = 'frames.killed'
    await killedAtRandom(t, {
      out: { to: address, subject, toConnection: connection },
      into: { from: address, subject, fromConnection: connection },
    })
  })
}

test('NATS: two gateways send by one subject: each frame is whole, and each writer keeps its order', async (t) => {
  t.timeout(patience)
  const address = (await natsServer(t, { jetstream: false })).address()
  const bytes = 2 ** 20
  const far = uniqueName(t)
  const there = await taker(t, { near: '', far, address, slotBytes: bytes })
  const reader = await viewer(t, far, { policy: 'overwrite-oldest' })
  await running(there)
  const nears = [uniqueName(t), uniqueName(t)]
  const writers = nears.map((near) => camera(t, near, { slotBytes: bytes }))
  for (const [at, near] of nears.entries()) {
    const more = { partBytes: 65_536 }
    await running(await sender(t, { near, far, address, more }, `here-${String(at)}`))
  }
  let over = false
  const isOver = (): boolean => over
  const shooting = writers.map(async (writer, who) => {
    for (let number = 0; !isOver(); number++) {
      await shoot(writer, number, { who })
      await new Promise((turn) => setImmediate(turn))
    }
  })
  const found: number[][] = [[], []]
  while (Math.min(...found.map(({ length }) => length)) < 20) {
    using frame = await within(patience, reader.receive())
    const { number, who } = seen(t, frame!)
    t.true(number > (found[who]!.at(-1) ?? -1))
    found[who]!.push(number)
  }
  over = true
  await Promise.all(shooting)
  t.like(there.routes[0], { frames: { dropped: { damaged: 0 } } })
})

test('NATS: while the server is away frames give way to newer ones, and when it is back the newest come', async (t) => {
  t.timeout(patience)
  const server = await natsServer(t, { jetstream: false })
  const near = uniqueName(t)
  const far = uniqueName(t)
  const ways = {
    ...{ near, far, address: server.address(), slotBytes: 65_536 },
    more: { fromChannel: { policy: 'overwrite-oldest' } },
  } as const
  const writer = camera(t, near)
  const [there, here] = [await taker(t, ways), await sender(t, ways)]
  const reader = await viewer(t, far)
  await running(here, there)
  await shoot(writer, 1)
  t.is((await look(t, reader)).number, 1)
  await server.end()
  await until(() => here.routes[0]!.state === 'connecting')
  for (let number = 2; number < 2000; number++) await shoot(writer, number, { bytes: 64 })
  const [away] = here.routes
  t.true(away!.inFlight <= 16)
  t.true(away!.frames!.dropped.skipped > 1900)
  await server.start()
  await running(here, there)
  await shoot(writer, 2000)
  let last = 1
  while (last !== 2000) {
    const { number } = await look(t, reader)
    t.true(number > last)
    last = number
  }
  // What went when nobody at the other side had joined yet is given up after ten seconds of silence.
  await until(() => here.routes[0]!.inFlight === 0, patience)
  const { delivered, dropped } = here.routes[0]!
  t.is(delivered + dropped, 2000)
})

test('NATS: a server whose messages have no room for a part is refused with a typed error', async (t) => {
  t.timeout(patience)
  const server = await natsServer(t, { jetstream: false, maxPayload: 1024 })
  const near = uniqueName(t)
  const far = uniqueName(t)
  const writer = camera(t, near)
  const ways = { near, far, address: server.address() }
  const [there, here] = [await taker(t, ways), await sender(t, ways)]
  for (const gateway of [there, here]) {
    await until(() => gateway.routes[0]!.error !== undefined, patience)
    t.is(gateway.routes[0]!.state, 'failed')
    t.like(gateway.routes[0]!.error, { code: 'ERR_MILLRACE_TOO_LARGE' })
    t.regex(gateway.routes[0]!.error!.message, /messages of 1024 bytes/)
  }
  writer.close()
})

test('NATS: what is no part, and a frame that no slot holds, are counted, and what is right goes on', async (t) => {
  t.timeout(patience)
  const server = await natsServer(t, { jetstream: false })
  const near = uniqueName(t)
  const far = uniqueName(t)
  const ways = { near, far, address: server.address('pictures'), slotBytes: 1000 }
  const writer = camera(t, near)
  const [there, here] = [await taker(t, ways), await sender(t, ways)]
  const reader = await viewer(t, far)
  await running(here, there)
  using bus = Topics.open(ways.address)
  await bus.publish(`frames.${far}`, 'what somebody else says')
  await until(() => there.routes[0]!.frames!.dropped.damaged === 1)
  await shoot(writer, 1, { bytes: 1001 })
  await until(() => there.routes[0]!.frames!.dropped['too-large'] === 1)
  t.like(there.routes[0]!.error, { code: 'ERR_MILLRACE_TOO_LARGE' })
  await shoot(writer, 2, { bytes: 1000 })
  t.is((await look(t, reader)).number, 2)
  t.like(there.routes[0], { state: 'running', error: undefined, delivered: 1, dropped: 2 })
})
