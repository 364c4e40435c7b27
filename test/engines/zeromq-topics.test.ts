// A bus over PUB and SUB of ZeroMQ.

import test, { type ExecutionContext } from 'ava'
import type { CurveOptions } from 'millrace/net'
import { Topics, type Subscription } from 'millrace/topics'

import { until } from '../support/until.js'
import { foreign, ipcAddress, library, python, tcpAddress } from './support/zeromq.js'

const patience = { timeout: 5000 }

function open(t: ExecutionContext, address: string, curve?: CurveOptions): Topics {
  const bus = Topics.open(address, { connection: { curve } })
  t.teardown(() => {
    bus.close()
  })
  return bus
}

async function received(subscription: Subscription, count: number): Promise<string[]> {
  const texts: string[] = []
  while (texts.length < count) {
    using message = await subscription.receive(patience)
    texts.push(`${message.subject} ${message.text()}`)
  }
  return texts
}

/** Publishes until the subscription has heard of it, for a publisher does not know who has come; then all of that is received. */
async function joined(bus: Topics, subject: string, subscription: Subscription): Promise<void> {
  let heard: string[] = []
  await until(async () => {
    await bus.publish(subject, 'are you there?')
    const message = subscription.tryReceive()
    if (message !== undefined) heard = [message.text()]
    return heard.length > 0
  })
  await bus.publish(subject, 'last')
  while (heard.at(-1) !== 'last') {
    using message = await subscription.receive(patience)
    heard.push(message.text())
  }
}

for (const [kind, addressOf] of [
  ['zmq+tcp', tcpAddress],
  ['zmq+ipc', () => Promise.resolve(ipcAddress())],
] as const) {
  test(`${kind}: messages go to whoever has subscribed to their subjects, in their order`, async (t) => {
    const address = await addressOf()
    const [publishing, one, other] = [
      open(t, address.at('?bind')),
      open(t, address.at()),
      open(t, address.at()),
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
  const subscription = await open(t, address.at('?bind')).subscribe('>')
  const publishing = open(t, address.at())
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
  const publishing = open(t, there.at('/plant?bind'))
  const subscription = await open(t, back.at('?bind')).subscribe('heard.plant.line1.*')
  await joined(publishing, 'line1.temp', subscription)
  await publishing.publish('line2.temp', 'not for it')
  await publishing.publish('line1.temp', '21')
  t.deepEqual(await received(subscription, 1), ['heard.plant.line1.temp 21'])
})

test('what is no message is left out', async (t) => {
  const address = await tcpAddress()
  const subscription = await open(t, address.at('?bind')).subscribe('>')
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

test('a subscription goes on when who publishes was away', async (t) => {
  const address = await tcpAddress()
  const subscription = await open(t, address.at()).subscribe('>')
  for (const text of ['first', 'second']) {
    const pub = foreign(t, 'Publisher')
    await until(
      async () =>
        await pub.bind(address.endpoint).then(
          () => true,
          () => false,
        ),
    )
    let heard = ''
    await until(async () => {
      await pub.send(['x', text])
      heard = subscription.tryReceive()?.text() ?? heard
      return heard === text
    })
    pub.close()
    t.is(heard, text)
  }
})

test('what ZeroMQ cannot do is refused, and what is too long', async (t) => {
  const address = await tcpAddress()
  const bus = open(t, address.at('?bind'))
  await t.throwsAsync(bus.subscribe('x', { queue: 'workers' }), {
    code: 'ERR_MILLRACE_UNSUPPORTED',
    message: /no queue groups/,
  })
  await bus.subscribe('x')
  await t.throwsAsync(bus.publish('x', 'y'), {
    code: 'ERR_MILLRACE_UNSUPPORTED',
    message: /is a Subscriber already/,
  })
  const other = Topics.open((await tcpAddress()).at('?bind'), { connection: { maxBytes: 100 } })
  await t.throwsAsync(other.publish('x', Buffer.alloc(101)), { code: 'ERR_MILLRACE_TOO_LARGE' })
  other.close()
})

test('CURVE: who has no key that is allowed hears nothing', async (t) => {
  const address = await tcpAddress()
  const [server, client, stranger] = [
    library.curveKeyPair(),
    library.curveKeyPair(),
    library.curveKeyPair(),
  ]
  const serverKey = server.publicKey
  const publishing = open(t, address.at('?bind'), {
    secretKey: server.secretKey,
    allowed: [client.publicKey],
  })
  const heard = await open(t, address.at(), { ...client, serverKey }).subscribe('>')
  const unheard = await open(t, address.at(), { ...stranger, serverKey }).subscribe('>')
  await joined(publishing, 'x', heard)
  await publishing.publish('x', 'secret')
  t.deepEqual(await received(heard, 1), ['x secret'])
  await t.throwsAsync(unheard.receive({ timeout: 200 }), { code: 'ERR_MILLRACE_TIMEOUT' })
})
