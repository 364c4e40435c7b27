// A bus over a topic of Kafka; and what others read and write there.

import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import test, { type ExecutionContext } from 'ava'
import { call, connect, contract } from 'millrace/rpc'
import { Topics, type Subscription } from 'millrace/topics'
import { WorkQueue } from 'millrace/work'

import { runProgram } from '../support/cxx.js'
import { kafkaCluster, type KafkaCluster } from './support/kafka.js'

const patience = { timeout: 20_000 }
const heartbeat = 4000

function open(t: ExecutionContext, cluster: KafkaCluster, topic = 'plant'): Topics {
  const bus = Topics.open(cluster.address(topic), { connection: { heartbeat } })
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

test('messages go to whoever has subscribed to their subjects, from then on, with their headers', async (t) => {
  const cluster = await kafkaCluster(t, ['plant:1'])
  const bus = open(t, cluster)
  await bus.publish('line1.temp', 'before')
  const [star, all] = await Promise.all([bus.subscribe('*.temp'), bus.subscribe(['line1.>', '>'])])
  const headers = { traceparent: '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01', a: 'ü' }
  t.is(await bus.publish('line1.temp', '21', { headers }), NaN)
  await bus.publish('line1.state', 'on')
  const message = await star.receive(patience)
  t.deepEqual([message.subject, message.text(), message.headers], ['line1.temp', '21', headers])
  t.true(Math.abs(message.publishedAt - Date.now()) < 60_000)
  t.deepEqual(await received(all, 2), ['line1.temp 21', 'line1.state on'])
  t.is(star.tryReceive(), undefined)
  const later = await bus.subscribe('>')
  await bus.publish('line2.temp', '22')
  t.deepEqual(await received(later, 1), ['line2.temp 22'])
  await t.throwsAsync(bus.subscribe('x', { replay: 1 }), { code: 'ERR_MILLRACE_UNSUPPORTED' })
  const { traits } = bus
  t.deepEqual(
    [traits.local, traits.waits, traits.replays, traits.counts, traits.groups, traits.redelivers],
    [false, false, false, false, true, false],
  )
})

test('of a queue group one member gets each message, also what was published while there was none', async (t) => {
  const cluster = await kafkaCluster(t, ['plant:2'])
  const bus = open(t, cluster)
  const one = open(t, cluster)
  const member = await one.subscribe('jobs.>', { queue: 'g' })
  await bus.publish('jobs.1', '1')
  await bus.publish('other', 'x')
  const job = await member.receive(patience)
  t.deepEqual([job.subject, job.text()], ['jobs.1', '1'])
  await job.complete()
  one.close()
  await bus.publish('jobs.2', '2')
  const other = await open(t, cluster).subscribe('jobs.>', { queue: 'g' })
  const next = await other.receive(patience)
  t.is(next.text(), '2')
  await next.complete()
})

test('any other client of Kafka pushes jobs, and reads what is pushed and published', async (t) => {
  const cluster = await kafkaCluster(t, ['jobs:1', 'plant:1'])
  const peer = fileURLToPath(
    new URL('../../../test/engines/fixtures/kafka-peer.py', import.meta.url),
  )
  const python = (...args: string[]) =>
    runProgram(t, '/usr/bin/python3', [peer, cluster.brokers, ...args])
  t.is((await python('jobs', 'produce', 'cats', 'from Python').ended()).code, 0)
  const queue = WorkQueue.open(cluster.address('jobs'), { connection: { heartbeat } })
  t.teardown(() => {
    queue.close()
  })
  const job = await queue.takeOne(patience)
  t.deepEqual([job.copy().toString(), job.group], ['from Python', 'cats'])
  await job.complete()
  await queue.push('to Python', { group: 'dogs', id: '7' })
  const reading = python('jobs', 'consume', '2')
  t.is((await reading.ended()).code, 0)
  t.deepEqual(reading.lines, ['cats from Python from=python', 'dogs to Python Millrace-Id=7'])

  await open(t, cluster).publish('line1.temp', '21', { headers: { a: 'b' } })
  const hearing = python('plant', 'consume', '1')
  t.is((await hearing.ended()).code, 0)
  t.deepEqual(hearing.lines, ['line1.temp 21 a=b'])

  // And kafkajs as the program itself has it, beside the copy of this package.
  interface Client {
    producer(): {
      connect(): Promise<void>
      send(batch: object): Promise<unknown>
      disconnect(): Promise<void>
    }
  }
  const { Kafka } = createRequire(import.meta.url)('kafkajs') as {
    readonly Kafka: new (options: object) => Client
  }
  const brokers = cluster.brokers.split(',')
  const producer = new Kafka({ brokers, logLevel: 0 }).producer()
  await producer.connect()
  await producer.send({ topic: 'jobs', messages: [{ value: 'from kafkajs' }] })
  await producer.disconnect()
  const texts: string[] = []
  while (texts.length < 2) {
    const next = await queue.takeOne(patience)
    texts.push(next.copy().toString())
    await next.complete()
  }
  t.deepEqual(texts, ['to Python', 'from kafkajs'])
})

test('there are no calls over Kafka', async (t) => {
  const calc = contract('calc', { add: call<number, number>() })
  await t.throwsAsync(connect('kafka://127.0.0.1:1/calc', calc), {
    code: 'ERR_MILLRACE_UNSUPPORTED',
    message: /Kafka brings nobody an answer/,
  })
})
