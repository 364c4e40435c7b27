// A bus over a server of NATS.

import test, { type ExecutionContext } from 'ava'
import { Topics, type Subscription, type TopicsOptions } from 'millrace/topics'

import { until } from '../support/until.js'
import { library, natsClient } from './support/client.js'
import { natsServer, type NatsServer } from './support/nats.js'

const patience = { timeout: 15_000 }

function open(
  t: ExecutionContext,
  server: NatsServer,
  name = 'plant',
  options?: TopicsOptions,
  secret = '',
): Topics {
  const bus = Topics.open(server.address(name, secret), options)
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

test('messages go to whoever has subscribed to their subjects, in their order', async (t) => {
  const server = await natsServer(t, { jetstream: false })
  const [publishing, other] = [open(t, server), open(t, server)]
  t.true(other instanceof Topics)
  const exact = await other.subscribe('line1.temp')
  const star = await other.subscribe('*.temp')
  const all = await publishing.subscribe(['line1.>', '>'])
  t.is(await publishing.publish('line1.temp', '21'), NaN)
  await publishing.publishBatch('line2.temp', ['22', '23'])
  t.deepEqual(await received(exact, 1), ['line1.temp 21'])
  t.deepEqual(await received(star, 3), ['line1.temp 21', 'line2.temp 22', 'line2.temp 23'])
  t.deepEqual(await received(all, 3), ['line1.temp 21', 'line2.temp 22', 'line2.temp 23'])
  for (const one of [exact, star, all]) t.is(one.tryReceive(), undefined)
  const { traits } = other
  t.deepEqual(
    [traits.local, traits.waits, traits.replays, traits.counts, traits.groups, traits.redelivers],
    [false, false, false, false, true, false],
  )
})

test('headers go along, a trace among them, and when it was published', async (t) => {
  const server = await natsServer(t, { jetstream: false })
  const bus = open(t, server)
  const subscription = await bus.subscribe('>')
  const headers = { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', a: 'ü' }
  await bus.publish('x', 'y', { headers })
  const message = await subscription.receive(patience)
  t.deepEqual(message.headers, headers)
  t.true(Math.abs(message.publishedAt - Date.now()) < 60_000)
  await bus.publish('x', '')
  const plain = await subscription.receive(patience)
  t.deepEqual([plain.length, plain.headers], [0, {}])
  await t.throwsAsync(bus.publish('x', 'y', { headers: { a: 'two\nlines' } }), {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
  })
})

test('the subjects are those of NATS: any other client has them, behind the name of the bus', async (t) => {
  const server = await natsServer(t, { jetstream: false })
  const bus = open(t, server)
  const bare = open(t, server, '')
  const nats = await natsClient(t, server)
  const heard: string[] = []
  nats.subscribe('>', {
    callback: (_error, message) => heard.push(`${message.subject} ${message.string()}`),
  })
  await nats.flush()
  await bus.publish('line1.temp', '21')
  await bare.publish('plant.line1.temp', '22')
  await until(() => heard.length === 2)
  t.deepEqual(heard, ['plant.line1.temp 21', 'plant.line1.temp 22'])
  const subscription = await bus.subscribe('line1.*')
  const headers = library.headers()
  headers.set('from', 'outside')
  nats.publish('plant.line1.state', 'on', { headers })
  const message = await subscription.receive(patience)
  t.deepEqual(
    [message.subject, message.text(), message.headers],
    ['line1.state', 'on', { from: 'outside' }],
  )
})

test('of a queue group one member gets each message; what fails comes again to the same one', async (t) => {
  const server = await natsServer(t, { jetstream: false })
  const publishing = open(t, server)
  const members = await Promise.all(
    [open(t, server), open(t, server)].map((bus) => bus.subscribe('jobs.>', { queue: 'g' })),
  )
  const everybody = await publishing.subscribe('jobs.>')
  const seen: string[] = []
  let failed = 0
  const headers = { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01' }
  for (const member of members) {
    void (async () => {
      for await (const job of member) {
        t.deepEqual(job.headers, headers)
        if (job.attempt === 1 && job.text() === '3') {
          failed++
          job.retry({ error: 'again' })
          continue
        }
        seen.push(`${job.subject} ${job.text()}`)
        job.complete()
      }
    })().catch(() => undefined)
  }
  const expected = Array.from({ length: 50 }, (_, n) => `jobs.${String(n)} ${String(n)}`)
  for (let n = 0; n < 50; n++) await publishing.publish(`jobs.${String(n)}`, String(n), { headers })
  await until(() => seen.length >= 50)
  t.deepEqual([...seen].sort(), [...expected].sort())
  t.is(failed, 1)
  t.is((await received(everybody, 50)).length, 50)
})

test('what core NATS cannot do is refused before anything is done', async (t) => {
  const server = await natsServer(t, { jetstream: false })
  const bus = open(t, server)
  for (const options of [{ replay: 1 }, { replay: 'last' as const }]) {
    await t.throwsAsync(bus.subscribe('x', options), { code: 'ERR_MILLRACE_UNSUPPORTED' })
  }
  await t.throwsAsync(bus.subscribe(['a.*', '*.b'], { queue: 'g' }), {
    code: 'ERR_MILLRACE_UNSUPPORTED',
    message: /match the same subjects/,
  })
  t.throws(() => bus.tryPublish('x', 'y'), { code: 'ERR_MILLRACE_UNSUPPORTED' })
  t.throws(() => open(t, server, 'a b'), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
  t.throws(() => open(t, server, 'a.>'), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
  await t.throwsAsync(open(t, server, 'x', { messages: 7 }).publish('x', ''), {
    code: 'ERR_MILLRACE_GEOMETRY',
  })
})

test('what the server lets nobody do is refused where it was asked', async (t) => {
  const server = await natsServer(t, { jetstream: false, permissions: true })
  const bus = open(t, server, 'plant', undefined, 'u:p')
  const allowed = await bus.subscribe('open.>')
  await t.throwsAsync(bus.publish('shut.x', 'y'), { code: 'ERR_MILLRACE_PERMISSION' })
  await t.throwsAsync(bus.subscribe('shut.*'), { code: 'ERR_MILLRACE_PERMISSION' })
  await Promise.all([
    t.throwsAsync(bus.publish('shut.y', 'y'), { code: 'ERR_MILLRACE_PERMISSION' }),
    bus.publish('open.x', 'y'),
  ])
  t.deepEqual(await received(allowed, 1), ['open.x y'])
})
