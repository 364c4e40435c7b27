// Metrics: what Prometheus reads, and what the registry of an application shows.

import { spawnSync } from 'node:child_process'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import test, { type ExecutionContext } from 'ava'
import { SpscQueue } from 'millrace'
import { Counter as SharedCount } from 'millrace/sync'
import { familiesOf, observe, prometheusText, showMetrics, waitTimes } from 'millrace/telemetry'
import * as successor from '@prometheus-io/client'
import * as prom from 'prom-client'

import { uniqueName } from '../support/names.js'
import { until } from '../support/until.js'
import { open } from '../work/open.js'

/** The samples of that channel. */
const linesOf = (text: string, name: string) =>
  text.split('\n').filter((line) => line.includes(`channel="${name}"`))

/** What promtool finds wrong with it; nothing, too, if there is no promtool. */
function checkedBy(t: ExecutionContext, text: string): string {
  const checked = spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' })
  if (checked.error === undefined) return `${checked.stdout}${checked.stderr}`
  t.log('promtool is not installed')
  return ''
}

test('a page of all channels is what promtool finds nothing wrong with', async (t) => {
  const name = uniqueName(t, { mayLeave: true })
  const queue = open(t, name)
  await queue.push('job')
  using ring = SpscQueue.consumer(name, { capacity: 4096 })
  const text = prometheusText(familiesOf(observe({ name: ring.name })))
  t.deepEqual(
    linesOf(text, name).filter((line) => /messages_total|queue_messages|peers/.test(line)),
    [
      `millrace_messages_total{channel="${name}",kind="queue",op="send"} 0`,
      `millrace_messages_total{channel="${name}",kind="queue",op="receive"} 0`,
      `millrace_messages_total{channel="${name}",kind="work",op="send"} 1`,
      `millrace_messages_total{channel="${name}",kind="work",op="receive"} 0`,
      `millrace_queue_messages{channel="${name}",kind="queue"} 0`,
      `millrace_queue_messages{channel="${name}",kind="work"} 1`,
      `millrace_peers{channel="${name}",kind="queue",state="alive"} 1`,
      `millrace_peers{channel="${name}",kind="queue",state="dead"} 0`,
      `millrace_peers{channel="${name}",kind="work",state="alive"} 1`,
      `millrace_peers{channel="${name}",kind="work",state="dead"} 0`,
    ],
  )
  t.is(checkedBy(t, text), '')
})

test('labels are bounded: beyond so many, channels of a kind are one', (t) => {
  const name = uniqueName(t)
  const rings = ['a', 'b', 'c'].map((end) =>
    SpscQueue.consumer(`${name}-${end}`, { capacity: 4096 }),
  )
  const families = familiesOf(observe({ prefix: name }), { maxChannels: 1 })
  const bytes = families.find((family) => family.name === 'millrace_segment_bytes')!
  const size = observe({ name: `${name}-a` })[0]!.size
  t.deepEqual(bytes.samples, [
    { labels: { channel: `${name}-a`, kind: 'queue' }, value: size },
    { labels: { channel: 'other', kind: 'queue' }, value: 2 * size },
  ])
  for (const ring of rings) ring.close()
  for (const maxChannels of [-1, 1.5, '1']) {
    t.throws(() => familiesOf([], { maxChannels } as never), {
      code: 'ERR_MILLRACE_INVALID_ARGUMENT',
    })
  }
})

test('waits are a summary, or a histogram whose buckets promtool finds nothing wrong with', async (t) => {
  const name = uniqueName(t)
  using consumer = SpscQueue.consumer(name, { capacity: 4096 })
  using producer = SpscQueue.producer(name, { capacity: 4096 })
  for (let i = 0; i < 3; ++i) {
    const message = consumer.pop()
    await until(() => observe({ name })[0]!.waits.some(({ since }) => since !== undefined))
    await producer.push('x')
    await message
  }
  const label = `{channel="${name}",kind="queue",side="consumer"`
  const told = (histograms: boolean) =>
    prometheusText(familiesOf(observe({ name }), { histograms }))
      .split('\n')
      .filter((line) => line.includes('millrace_wait_seconds') && !line.startsWith('# HELP'))
  const [type, sum, count, ...more] = told(false)
  t.is(type, '# TYPE millrace_wait_seconds summary')
  t.true(sum!.startsWith(`millrace_wait_seconds_sum${label}} `))
  t.deepEqual([count, ...more], [`millrace_wait_seconds_count${label}} 3`])
  const spread = told(true)
  t.is(spread[0], '# TYPE millrace_wait_seconds histogram')
  const buckets = spread.filter((line) => line.startsWith('millrace_wait_seconds_bucket'))
  t.is(buckets.length, waitTimes.length + 1)
  t.is(buckets.at(-1), `millrace_wait_seconds_bucket${label},le="+Inf"} 3`)
  const counts = buckets.map((line) => Number(line.split(' ')[1]))
  t.deepEqual(
    counts,
    counts.toSorted((a, b) => a - b),
  )
  t.deepEqual(checkedBy(t, prometheusText(familiesOf(observe({ name }), { histograms: true }))), '')
  t.throws(() => familiesOf([], { histograms: 1 } as never), {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
  })
})

test('whatever a channel is called, its label is a label', (t) => {
  const family = {
    name: 'x',
    type: 'gauge',
    help: 'x',
    samples: [{ labels: { channel: 'a"b\\c\nd' }, value: 1 }],
  } as const
  t.is(prometheusText([family]).split('\n')[2], 'x{channel="a\\"b\\\\c\\nd"} 1')
})

test('labels that somebody changes between two pages are told as they are then', (t) => {
  const labels = { channel: 'a' }
  const family = { name: 'x', type: 'gauge', help: 'x', samples: [{ labels, value: 1 }] } as const
  t.true(prometheusText([family]).endsWith('x{channel="a"} 1\n'))
  labels.channel = 'b'
  t.true(prometheusText([family]).endsWith('x{channel="b"} 1\n'))
})

test('a name that is removed and made again between two pages is told as it is then, also as another kind', async (t) => {
  const name = uniqueName(t)
  const told = () =>
    linesOf(prometheusText(familiesOf(observe({ name }))), name).filter((line) =>
      /^millrace_(messages_total|value|unusable)/.test(line),
    )
  const queue = (op: string, count: number) =>
    `millrace_messages_total{channel="${name}",kind="queue",op="${op}"} ${String(count)}`
  const usable = (kind: string) => `millrace_unusable{channel="${name}",kind="${kind}"} 0`
  const consumer = SpscQueue.consumer(name, { capacity: 4096 })
  const producer = SpscQueue.producer(name)
  await producer.push('x')
  await producer.push('x')
  t.deepEqual(told(), [queue('send', 2), queue('receive', 0), usable('queue')])
  for (const side of [producer, consumer]) side.close({ discard: true })
  t.deepEqual(told(), [])

  const again = SpscQueue.consumer(name, { capacity: 4096 })
  t.deepEqual(told(), [queue('send', 0), queue('receive', 0), usable('queue')])
  again.close({ discard: true })
  using counter = SharedCount.open(name)
  counter.add(7n)
  t.deepEqual(told(), [`millrace_value{channel="${name}",kind="counter"} 7`, usable('counter')])
})

test('of channels that are not among those that are told any more nothing is kept', async (t) => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const name = uniqueName(t)
  using ring = SpscQueue.consumer(name, { capacity: 4096 })
  const [seen] = observe({ name: ring.name })
  const labelsOf = (channel: string) => {
    const families = familiesOf([{ ...seen!, name: channel }])
    prometheusText(families)
    return families.flatMap(({ samples }) => samples)[0]!.labels
  }
  t.is(labelsOf(name), labelsOf(name), 'those of the last page are gone on with')
  const labels = Array.from(
    { length: 100 },
    (_, at) => new WeakRef(labelsOf(`${name}-${String(at)}`)),
  )
  labelsOf(name)
  await until(() => {
    collect()
    return labels.every((one) => one.deref() === undefined)
  })
  t.pass()
})

/** The one that most applications have, and its successor. */
const libraries = [
  ['prom-client', prom],
  // Its types are its own, and what is used here is the same.
  ['@prometheus-io/client', successor as unknown as typeof prom],
] as const

for (const [library, { Counter, Registry }] of libraries) {
  test(`the registry of ${library} shows them, looked at when it is asked, until they are taken out`, async (t) => {
    const name = uniqueName(t)
    const registry = new Registry()
    new Counter({ name: 'mine', help: 'of the application', registers: [registry] }).inc(3)
    const hide = showMetrics(registry, { name })
    t.deepEqual(linesOf(await registry.metrics(), name), [])
    using ring = SpscQueue.consumer(name, { capacity: 4096 })
    const page = await registry.metrics()
    t.deepEqual(
      linesOf(page, name).sort(),
      linesOf(prometheusText(familiesOf(observe({ name: ring.name }))), name).sort(),
    )
    t.regex(page, /^mine 3$/m)
    t.true(Array.isArray(await registry.getMetricsAsJSON()))
    hide()
    t.is(await registry.metrics(), '# HELP mine of the application\n# TYPE mine counter\nmine 3\n')
  })
}

for (const [library, { Gauge, Registry }] of libraries) {
  test(`a name that the registry of ${library} has is its error, and nothing stays; what is no registry is said`, async (t) => {
    const registry = new Registry()
    new Gauge({ name: 'millrace_peers', help: 'another one', registers: [registry] })
    const before = await registry.metrics()
    t.throws(() => showMetrics(registry), { message: /millrace_peers/ })
    t.is(await registry.metrics(), before)
    for (const wrong of [undefined, null, {}, 'register']) {
      t.throws(() => showMetrics(wrong as never), {
        code: 'ERR_MILLRACE_INVALID_ARGUMENT',
        message: /prom-client/,
      })
    }
  })
}
