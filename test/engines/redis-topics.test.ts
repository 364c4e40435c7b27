// A bus over a server of Redis.

import { execFileSync } from 'node:child_process'
import test, { type ExecutionContext } from 'ava'
import { call, connect, contract } from 'millrace/rpc'
import { Topics, type Subscription, type TopicsOptions } from 'millrace/topics'

import { until } from '../support/until.js'
import { endSharedServer, redisClient, redisServer, type RedisServer } from './support/redis.js'

const calc = contract('calc', { add: call<number, number>() })

const patience = { timeout: 15_000 }

test.after.always(endSharedServer)

function open(
  t: ExecutionContext,
  server: RedisServer,
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
  const server = await redisServer(t)
  const [publishing, other] = [open(t, server), open(t, server)]
  t.true(other instanceof Topics)
  const exact = await other.subscribe('line1.temp')
  const star = await other.subscribe('*.temp')
  const all = await publishing.subscribe(['line1.>', '>'])
  t.is(await publishing.publish('line1.temp', '21'), NaN)
  await publishing.publishBatch('line2.temp', ['22', '23'])
  await publishing.publish('line2.deep.temp', '24')
  t.deepEqual(await received(exact, 1), ['line1.temp 21'])
  t.deepEqual(await received(star, 3), ['line1.temp 21', 'line2.temp 22', 'line2.temp 23'])
  t.deepEqual(await received(all, 4), [
    'line1.temp 21',
    'line2.temp 22',
    'line2.temp 23',
    'line2.deep.temp 24',
  ])
  for (const one of [exact, star, all]) t.is(one.tryReceive(), undefined)
  star.close()
  await publishing.publish('line1.temp', '25')
  t.deepEqual(await received(exact, 1), ['line1.temp 25'])
  const { traits } = other
  t.deepEqual(
    [traits.local, traits.waits, traits.replays, traits.counts, traits.groups, traits.redelivers],
    [false, false, false, false, false, false],
  )
})

test('what means something in patterns of Redis means nothing in subjects', async (t) => {
  const server = await redisServer(t)
  const bus = open(t, server, 'pl[a]nt?')
  const subjects = ['a?b', '[ab]', 'x^y', 'back\\slash', '[^z]']
  const found = await Promise.all(
    subjects.map((subject) => bus.subscribe([`${subject}.*`, `${subject}.>`])),
  )
  const redis = await redisClient(t, server)
  await redis.sendCommand(['PUBLISH', 'plant1.a?b.x', 'not of this bus'])
  await bus.publish('aXb.x', 'no')
  await bus.publish('a.x', 'no')
  for (const subject of subjects) await bus.publish(`${subject}.x`, 'yes')
  for (const [at, subscription] of found.entries()) {
    t.deepEqual(await received(subscription, 1), [`${subjects[at]!}.x yes`])
    t.is(subscription.tryReceive(), undefined)
  }
})

test('headers go along, a trace among them, and when it was published', async (t) => {
  const server = await redisServer(t)
  const bus = open(t, server)
  const subscription = await bus.subscribe('>')
  const headers = { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', a: 'ü' }
  await bus.publish('x', 'y', { headers })
  const message = await subscription.receive(patience)
  t.deepEqual([message.text(), message.headers], ['y', headers])
  t.true(Math.abs(message.publishedAt - Date.now()) < 60_000)
  await bus.publish('x', '')
  const plain = await subscription.receive(patience)
  t.deepEqual([plain.length, plain.headers], [0, {}])
  for (const wrong of [{ a: 'two\nlines' }, { 'a:b': 'x' }]) {
    await t.throwsAsync(bus.publish('x', 'y', { headers: wrong }), {
      code: 'ERR_MILLRACE_INVALID_ARGUMENT',
    })
  }
  for (const text of ['MILLRACE/1\na: b\n\nc', 'MILLRACE/1\n', 'MILLRACE/1\nno header\n\nc']) {
    await bus.publish('x', text)
    const same = await subscription.receive(patience)
    t.deepEqual([same.text(), same.headers], [text, {}])
  }
})

test("any other client has the channels, behind the name of the bus: the library's, and Python's", async (t) => {
  const server = await redisServer(t)
  const bus = open(t, server)
  const bare = open(t, server, '')
  const redis = await redisClient(t, server)
  const heard: string[] = []
  await redis.pSubscribe('plant.*', (message, channel) => heard.push(`${channel} ${message}`))
  await bus.publish('line1.temp', '21')
  await bare.publish('plant.line1.temp', '22')
  await bus.publish('line1.temp', '23', { headers: { a: 'b' } })
  await until(() => heard.length === 3)
  t.deepEqual(heard.slice(0, 2), ['plant.line1.temp 21', 'plant.line1.temp 22'])
  t.regex(heard[2]!, /^plant\.line1\.temp MILLRACE\/1\na: b\nmillrace-published-at: \d+\n\n23$/)
  const subscription = await bus.subscribe('line1.*')
  const python = `
import redis
r = redis.Redis(port=${String(server.port)})
r.publish('plant.line1.state', b'on')
r.publish('plant.line1.state', b'MILLRACE/1\\nfrom: outside\\n\\noff')
`
  execFileSync('/usr/bin/python3', ['-c', python])
  const on = await subscription.receive(patience)
  t.deepEqual([on.subject, on.text(), on.headers], ['line1.state', 'on', {}])
  const off = await subscription.receive(patience)
  t.deepEqual([off.text(), off.headers], ['off', { from: 'outside' }])
})

test('what channels of Redis cannot do is refused before anything is done', async (t) => {
  const server = await redisServer(t)
  const bus = open(t, server)
  await t.throwsAsync(bus.subscribe('x', { replay: 1 }), { code: 'ERR_MILLRACE_UNSUPPORTED' })
  await t.throwsAsync(bus.subscribe('x', { queue: 'g' }), {
    code: 'ERR_MILLRACE_UNSUPPORTED',
    message: /take a work queue/,
  })
  t.throws(() => bus.tryPublish('x', 'y'), { code: 'ERR_MILLRACE_UNSUPPORTED' })
  t.throws(() => open(t, server, 'a b'), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
  t.throws(() => open(t, server, 'a.>'), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
  await t.throwsAsync(connect(server.address('calc'), calc), {
    code: 'ERR_MILLRACE_UNSUPPORTED',
    message: /push to a work queue/,
  })
})

test('what the server lets nobody do is refused where it was asked', async (t) => {
  const acl = 'user u on >p resetchannels &plant.open.* +@all'
  const server = await redisServer(t, { config: ['user default off', acl] })
  const bus = open(t, server, 'plant', undefined, 'u:p')
  const allowed = await bus.subscribe('open.x')
  await t.throwsAsync(bus.publish('shut.x', 'y'), { code: 'ERR_MILLRACE_PERMISSION' })
  await t.throwsAsync(bus.subscribe('shut.x'), { code: 'ERR_MILLRACE_PERMISSION' })
  await bus.publish('open.x', 'y')
  t.deepEqual(await received(allowed, 1), ['open.x y'])
})
