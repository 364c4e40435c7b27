// How long messages of topics take, counted where it can be read from outside: true to a clock beside, in every way of publishing and receiving,
// only if both sides were asked, and also when both are dead.

import test, { type ExecutionContext } from 'ava'
import { familiesOf, observe, percentile, prometheusText, type Latency } from 'millrace/telemetry'
import { Topics, type Subscription, type TopicMessage } from 'millrace/topics'

import { command, start } from '../cli/run.js'
import { uniqueName } from '../support/names.js'
import { run } from '../support/process.js'
import { until } from '../support/until.js'

/** Of so many one is measured. */
const every = 64
const stats = { stats: true } as const
const soon = { timeout: 15_000 }

const latenciesOf = (name: string): readonly Latency[] => observe({ name })[0]!.latencies
const countOf = (name: string): number =>
  latenciesOf(name).reduce(
    (all, { buckets }) => all + buckets.reduce((sum, { count }) => sum + count, 0),
    0,
  )
const now = (): number => Number(process.hrtime.bigint()) / 1e6

function open(t: ExecutionContext, name: string, options: object = stats): Topics {
  const bus = Topics.open(name, options)
  t.teardown(() => {
    bus.close()
  })
  return bus
}

test('the time is true to a clock beside it, to a half', async (t) => {
  const name = uniqueName(t)
  const bus = open(t, name)
  const subscription = await bus.subscribe('>')
  const before = now()
  t.is(bus.tryPublish('a', 'x'), 1)
  const published = now()
  await until(() => now() > published + 30)
  const reading = now()
  t.truthy(subscription.tryReceive())
  const after = now()
  const [latency, ...others] = latenciesOf(name)
  t.deepEqual(others, [])
  t.is(latency!.side, 'subscriber')
  t.is(countOf(name), 1)
  t.true(latency!.milliseconds >= reading - published && latency!.milliseconds <= after - before)
  const bound = percentile(latency!, 0.99)!
  t.true(bound > latency!.milliseconds && bound / 2 <= latency!.milliseconds)
})

const askers = { nobody: [], 'who publishes': ['publisher'], 'who subscribes': ['subscriber'] }
for (const [who, asked] of Object.entries<readonly string[]>(askers)) {
  test(`nothing is counted if ${who} was asked, and all work side by side`, async (t) => {
    const name = uniqueName(t)
    const publisher = open(t, name, { stats: asked.includes('publisher') })
    const subscriber = open(t, name, { stats: asked.includes('subscriber') })
    const subscription = await subscriber.subscribe('>')
    for (let i = 0; i < 2 * every; i++) {
      t.is(publisher.tryPublish('a', 'x'), 1)
      t.truthy(subscription.tryReceive())
    }
    t.deepEqual(latenciesOf(name), [])
    t.false(prometheusText(familiesOf(observe({ name }))).includes('latency'))
  })
}

const long = new Uint8Array(2000)
const publishing: Record<string, (bus: Topics) => unknown> = {
  publish: (bus) => bus.publish('a', 'x'),
  tryPublish: (bus) => bus.tryPublish('a', long),
  'tryPublish with headers': (bus) => bus.tryPublish('a', 'x', { headers: { k: 'v' } }),
  publishSync: (bus) => bus.publishSync('a', 'x'),
  publishBatch: (bus) => bus.publishBatch('a', ['x']),
  'a loan': (bus) => bus.tryLoan('a', 8)!.publish(),
}
const receiving: Record<string, (from: Subscription) => TopicMessage | Promise<TopicMessage>> = {
  receive: (from) => from.receive(soon),
  tryReceive: (from) => from.tryReceive()!,
  receiveSync: (from) => from.receiveSync(soon),
}
for (const [way, publish] of Object.entries(publishing)) {
  for (const [other, receive] of Object.entries(receiving)) {
    test(`one of 64 is measured: published by ${way}, received by ${other}`, async (t) => {
      const name = uniqueName(t)
      const bus = open(t, name)
      const subscription = await bus.subscribe('>')
      for (let i = 0; i < 2 * every; i++) {
        await publish(bus)
        const message = await receive(subscription)
        message.release()
        if (i % every === 0) t.is(countOf(name), i < every ? 1 : every + 1)
      }
    })
  }
}

test('each subscription counts its own, and none what was published before it came', async (t) => {
  const name = uniqueName(t)
  const bus = open(t, name)
  t.is(bus.tryPublish('a', 'x'), 0)
  const late = await bus.subscribe('>', { replay: 8 })
  const other = await bus.subscribe('a')
  t.truthy(late.tryReceive())
  t.is(countOf(name), 0)
  for (let i = 0; i < every; i++) t.is(bus.tryPublish('a', 'x'), 2)
  t.is((await late.receiveBatch(every, soon)).length, every)
  t.is(countOf(name), every)
  t.is((await other.receiveBatch(every, soon)).length, every)
  t.is(countOf(name), 2 * every)
  t.is(latenciesOf(name).length, 2)
  late.close()
  t.is(countOf(name), every)
})

test('the work queue of a group counts, as its members say of their bus', async (t) => {
  const name = uniqueName(t)
  const bus = open(t, name)
  const member = await bus.subscribe('>', { queue: 'g' })
  t.is(bus.tryPublish('a', 'x'), 1)
  const job = await member.receive(soon)
  await job.complete()
  t.deepEqual(latenciesOf(name), [])
  t.deepEqual(
    latenciesOf(`${name}.g`).map(({ side }) => side),
    ['worker', 'handler'],
  )
})

test('two processes; what they counted is there when both were killed, and is shown by stat and by export', async (t) => {
  const name = uniqueName(t, { mayLeave: true })
  const fixture = new URL('./fixtures/measured-topics.js', import.meta.url)
  const subscriber = run(t, fixture, [name, 'subscriber', '200'])
  t.is(await subscriber.next(), 'subscribed')
  const publisher = run(t, fixture, [name, 'publisher', '200'])
  t.is(await publisher.next(), 'published')
  t.is(await subscriber.next(), 'read')
  await subscriber.kill()
  await publisher.kill()
  t.is(countOf(name), 3 * every + 1)
  const told = await start(command, ['stat', name]).ended
  t.is(told.code, 0, told.err)
  t.regex(told.out.toString(), /\nsubscriber +\d+ +193 +\d.* ≤/)
  const exported = await start(command, ['export', '--once', '--histograms', name]).ended
  const lines = exported.out.toString().split('\n')
  const labels = `{channel="${name}",kind="topics",side="subscriber"`
  t.true(lines.includes(`millrace_message_latency_seconds_count${labels}} 193`))
  t.true(lines.includes(`millrace_message_latency_seconds_bucket${labels},le="+Inf"} 193`))
})

test('stats is true or false, said before anything is opened, and nothing for a bus elsewhere', (t) => {
  const name = uniqueName(t)
  t.throws(() => Topics.open(name, { stats: 1 } as never), {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
    message: /stats must be true or false/,
  })
  t.deepEqual(observe({ name }), [])
  t.throws(() => Topics.open('tcp://127.0.0.1:1', stats), {
    code: 'ERR_MILLRACE_UNSUPPORTED',
    message: /`stats` of bus 'tcp:.*: say it where that is shared/,
  })
})
