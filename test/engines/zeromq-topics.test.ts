// A bus over PUB and SUB of ZeroMQ.

import test from 'ava'

import { until } from '../support/until.js'
import { patience } from './support/drills/engine.js'
import { received } from './support/drills/topics.js'
import { joined, openBus } from './support/zeromq-topics.js'
import { foreign, ipcAddress, python, tcpAddress } from './support/zeromq.js'

for (const [kind, addressOf] of [
  ['zmq+tcp', tcpAddress],
  ['zmq+ipc', () => Promise.resolve(ipcAddress())],
] as const) {
  test(`${kind}: messages go to whoever has subscribed to their subjects, in their order`, async (t) => {
    const address = await addressOf()
    const [publishing, one, other] = [
      openBus(t, address.at('?bind')),
      openBus(t, address.at()),
      openBus(t, address.at()),
    ]
    const exact = await one.subscribe('line1.temp')
    const star = await other.subscribe('*.temp')
    const head = await other.subscribe(['line2.>', 'line2.temp'])
    await joined(publishing, 'line1.temp', exact)
    await joined(publishing, 'line2.temp', head)
    while (star.tryReceive() !== undefined);
    t.is(await publishing.publish('line1.temp', '21'), NaN)
    await publishing.publish('line1.temperature', 'not that')
    await publishing.publish('line2.temp', '22')
    t.deepEqual(await received(exact, 1), ['line1.temp 21'])
    t.deepEqual(await received(star, 2), ['line1.temp 21', 'line2.temp 22'])
    t.deepEqual(await received(head, 1), ['line2.temp 22'])
    for (const subscription of [exact, star, head]) t.is(subscription.tryReceive(), undefined)
    exact.close()
    const { traits } = other
    t.deepEqual(
      [traits.local, traits.waits, traits.replays, traits.counts, traits.redelivers],
      [false, false, false, false, false],
    )
  })
}

test('who subscribes may bind, for many who publish; headers and time go along', async (t) => {
  const address = await tcpAddress()
  const subscription = await openBus(t, address.at('?bind')).subscribe('>')
  const publishing = openBus(t, address.at())
  await joined(publishing, 'x', subscription)
  const headers = { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', a: 'ü' }
  await publishing.publish('x', 'y', { headers })
  const message = await subscription.receive(patience)
  t.deepEqual(message.headers, headers)
  t.true(Math.abs(message.publishedAt - Date.now()) < 60_000)
})

test("Python's SUB hears what is published here, and what its PUB publishes is heard here", async (t) => {
  const [there, back] = [await tcpAddress(), await tcpAddress()]
  python(
    t,
    `
sub = context.socket(zmq.SUB); sub.connect(args[0]); sub.setsockopt(zmq.SUBSCRIBE, b'plant.line1.')
pub = context.socket(zmq.PUB); pub.connect(args[1])
while True:
    subject, payload = sub.recv_multipart()[:2]
    pub.send_multipart([b'heard.' + subject, payload])
`,
    [there.endpoint, back.endpoint],
  )
  const publishing = openBus(t, there.at('/plant?bind'))
  const subscription = await openBus(t, back.at('?bind')).subscribe('heard.plant.line1.*')
  await joined(publishing, 'line1.temp', subscription)
  await publishing.publish('line2.temp', 'not for it')
  await publishing.publish('line1.temp', '21')
  t.deepEqual(await received(subscription, 1), ['heard.plant.line1.temp 21'])
})

test('what is no message is left out', async (t) => {
  const address = await tcpAddress()
  const subscription = await openBus(t, address.at('?bind')).subscribe('>')
  const pub = foreign(t, 'Publisher')
  pub.connect(address.endpoint)
  await until(async () => {
    await pub.send(['x', 'ready'])
    return subscription.tryReceive() !== undefined
  })
  await pub.send('alone')
  await pub.send(['x', 'a', '{"headers":[1]}'])
  await pub.send(['x', 'b', Buffer.alloc(100_000, 0x7b), 'more'])
  const texts: string[] = []
  while (texts.at(-1) !== 'x b') texts.push(...(await received(subscription, 1)))
  t.deepEqual(
    texts.filter((text) => text !== 'x ready'),
    ['x a', 'x b'],
  )
})

test('a bus goes one way', async (t) => {
  const bus = openBus(t, (await tcpAddress()).at('?bind'))
  await bus.subscribe('x')
  await t.throwsAsync(bus.publish('x', 'y'), {
    code: 'ERR_MILLRACE_UNSUPPORTED',
    message: /is a Subscriber already/,
  })
})
