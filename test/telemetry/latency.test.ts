// How long messages and frames take, counted where it can be read from outside: true to a clock beside, in every way of sending and
// taking, only if both sides were asked, and also when both are dead.

import test from 'ava'
import {
  FrameReader,
  FrameWriter,
  SpscQueue,
  type QueueConsumer,
  type QueueProducer,
} from 'millrace'
import {
  familiesOf,
  observe,
  percentile,
  prometheusText,
  waitTimes,
  type Latency,
} from 'millrace/telemetry'

import { uniqueName } from '../support/names.js'
import { run } from '../support/process.js'
import { until } from '../support/until.js'

const stats = { stats: true, capacity: 4096 } as const
const latenciesOf = (name: string): readonly Latency[] => observe({ name })[0]!.latencies
const countOf = (name: string): number =>
  latenciesOf(name).reduce(
    (all, { buckets }) => all + buckets.reduce((sum, { count }) => sum + count, 0),
    0,
  )
const now = (): number => Number(process.hrtime.bigint()) / 1e6

test('the percentile of a queue is true to a clock beside it, to an eighth', async (t) => {
  const name = uniqueName(t)
  using consumer = SpscQueue.consumer(name, stats)
  using producer = SpscQueue.producer(name, stats)
  const before = now()
  t.true(producer.tryPush('x'))
  const sent = now()
  await until(() => now() > sent + 30)
  const taking = now()
  t.is(String(consumer.tryPop()), 'x')
  const after = now()
  const [latency, ...others] = latenciesOf(name)
  t.deepEqual(others, [])
  t.like(latency, { side: 'consumer', index: 0 })
  t.is(countOf(name), 1)
  t.true(latency!.milliseconds >= taking - sent && latency!.milliseconds <= after - before)
  for (const part of [0.5, 0.95, 0.99, 1]) {
    const bound = percentile(latency!, part)!
    t.true(bound > latency!.milliseconds, `${String(part)}: ${String(bound)}`)
    t.true(bound * (7 / 8) <= latency!.milliseconds, `${String(part)}: ${String(bound)}`)
  }
})

test('many quick ones and a slow one: the median is of those, and the longest of this one', async (t) => {
  const name = uniqueName(t)
  using consumer = SpscQueue.consumer(name, stats)
  using producer = SpscQueue.producer(name, stats)
  const took: number[] = []
  // One of 16 is measured, the first one of them.
  for (let i = 0; i < 16 * 20; i++) {
    const before = now()
    t.true(producer.tryPush('x'))
    if (i === 16 * 10) await until(() => now() > before + 50)
    t.is(String(consumer.tryPop()), 'x')
    if (i % 16 === 0) took.push(now() - before)
  }
  took.sort((a, b) => a - b)
  const [latency] = latenciesOf(name)
  t.is(countOf(name), 16 * 19 + 1)
  // By the clock beside no measured one is shorter than it is said to be, but for the width of a bucket.
  t.true(percentile(latency!, 0.5)! * (7 / 8) <= took[10]! + 0.001)
  t.true(percentile(latency!, 1)! >= 50)
  t.true(percentile(latency!, 1)! * (7 / 8) <= took[19]!)
  t.true(latency!.milliseconds <= 16 * took.reduce((all, one) => all + one, 0))
})

const sides = {
  neither: [],
  'the producer alone': ['producer'],
  'the consumer alone': ['consumer'],
}
for (const [who, asked] of Object.entries<readonly string[]>(sides)) {
  test(`nothing is counted if ${who} was asked`, (t) => {
    const name = uniqueName(t)
    const capacity = 4096
    using consumer = SpscQueue.consumer(name, { capacity, stats: asked.includes('consumer') })
    using producer = SpscQueue.producer(name, { capacity, stats: asked.includes('producer') })
    for (let i = 0; i < 100; i++) {
      t.true(producer.tryPush('x'))
      t.is(consumer.tryPop()?.length, 1)
    }
    t.deepEqual(latenciesOf(name), [])
    t.false(prometheusText(familiesOf(observe({ name }))).includes('latency'))
  })
}

const eight = new Uint8Array(8)
const sending: Record<string, (producer: QueueProducer) => void> = {
  tryPush: (producer) => producer.tryPush(eight),
  tryPushBatch: (producer) => producer.tryPushBatch([eight]),
  tryPushPacked: (producer) => producer.tryPushPacked(eight, 8),
  reserve: (producer) => {
    producer.reserve(8)!.commit()
  },
}
const target = new Uint8Array(8)
const lengths = new Uint32Array(1)
const taking: Record<string, (consumer: QueueConsumer) => void> = {
  tryPop: (consumer) => consumer.tryPop(),
  tryPopInto: (consumer) => consumer.tryPopInto(target),
  tryPopPacked: (consumer) => consumer.tryPopPacked(target, lengths),
  drain: (consumer) => consumer.drain(() => undefined),
  drainRaw: (consumer) => consumer.drainRaw(() => undefined),
  tryTake: (consumer) => {
    consumer.tryTake()!.release()
  },
  popSync: (consumer) => consumer.popSync(),
}
for (const [way, send] of Object.entries(sending)) {
  for (const [other, take] of Object.entries(taking)) {
    test(`one of 16 is measured: sent by ${way}, taken by ${other}`, (t) => {
      const name = uniqueName(t)
      using consumer = SpscQueue.consumer(name, stats)
      using producer = SpscQueue.producer(name, stats)
      for (let i = 0; i < 160; i++) {
        send(producer)
        take(consumer)
        t.is(countOf(name), i - (i % 16) + 1)
      }
    })
  }
}

test('a full ring: none of what is measured is lost, and a message that waits for room is measured once', async (t) => {
  const name = uniqueName(t)
  using consumer = SpscQueue.consumer(name, stats)
  using producer = SpscQueue.producer(name, stats)
  for (let lap = 1; lap <= 4; lap++) {
    let sent = 0
    while (producer.tryPush(eight)) sent++
    t.is(sent, 256)
    const last = producer.push(eight)
    while (consumer.tryPop() !== undefined);
    await last
    while (consumer.tryPop() !== undefined);
    // 257 a lap, of which one of 16 stands for those before it.
    const last16 = (257 * lap - 1) % 16
    t.is(countOf(name), 257 * lap - last16)
  }
})

test('two processes; what they counted is there when both were killed', async (t) => {
  const name = uniqueName(t, { mayLeave: true })
  const fixture = new URL('./fixtures/measured.js', import.meta.url)
  const consumer = run(t, fixture, [name, 'consumer', '160'])
  t.is(await consumer.next(), 'ready')
  const producer = run(t, fixture, [name, 'producer', '160'])
  t.is(await producer.next(), 'sent')
  t.is(await consumer.next(), 'taken')
  t.is(countOf(name), 145)
  await consumer.kill()
  await producer.kill()
  t.is(observe({ name })[0]!.state, 'abandoned')
  const [latency] = latenciesOf(name)
  t.is(countOf(name), 145)
  t.true(percentile(latency!, 0.5)! > 0)
  t.true(percentile(latency!, 0.99)! >= percentile(latency!, 0.5)!)
})

test('frames: each reader that was asked to counts its own, also the newest and those that waited', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 64, slots: 8 })
  using asked = await FrameReader.open(name, { stats: true })
  using other = await FrameReader.open(name)
  for (let i = 0; i < 32; i++) {
    ;(await writer.loan()).publish()
    const published = now()
    if (i === 0) await until(() => now() > published + 20)
    const frame = i % 2 === 0 ? asked.tryReceive() : asked.latest()
    frame!.release()
    t.is(asked.tryReceive(), undefined)
    other.tryReceive()!.release()
  }
  const [latency, ...others] = latenciesOf(name)
  t.deepEqual(others, [])
  t.like(latency, { side: 'reader', index: 0 })
  t.is(countOf(name), 17)
  t.true(latency!.milliseconds >= 20)
  t.true(percentile(latency!, 1)! >= 20)
  t.true(percentile(latency!, 1)! / 2 <= latency!.milliseconds)
})

test('metrics tell a sum and a number, or a histogram whose last bucket is all of them', (t) => {
  const name = uniqueName(t)
  using consumer = SpscQueue.consumer(name, stats)
  using producer = SpscQueue.producer(name, stats)
  for (let i = 0; i < 48; i++) {
    t.true(producer.tryPush('x'))
    t.is(consumer.tryPop()?.length, 1)
  }
  const told = (histograms: boolean): string[] =>
    prometheusText(familiesOf(observe({ name }), { histograms }))
      .split('\n')
      .filter((line) => line.startsWith('millrace_message_latency_seconds'))
  const labels = `{channel="${name}",kind="queue",side="consumer"`
  t.is(told(false).length, 2)
  t.is(told(false)[1], `millrace_message_latency_seconds_count${labels}} 33`)
  const spread = told(true)
  t.is(spread.length, 19 + 1 + 2)
  t.true(spread[0]!.startsWith(`millrace_message_latency_seconds_bucket${labels},le="0.000004"} `))
  t.is(spread[19], `millrace_message_latency_seconds_bucket${labels},le="+Inf"} 33`)
  const counts = spread.slice(0, 20).map((line) => Number(line.split(' ')[1]))
  t.deepEqual(
    counts,
    counts.toSorted((a, b) => a - b),
  )
})

test('percentiles of waits go by the same bounds', (t) => {
  const times = Array.from({ length: waitTimes.length + 1 }, () => 0)
  const wait = { side: 'consumer', index: 0, waits: 0, milliseconds: 0, times } as const
  t.is(percentile(wait, 0.5), undefined)
  times[2] = 98
  times[waitTimes.length] = 2
  t.is(percentile(wait, 0.98), waitTimes[2])
  t.is(percentile(wait, 0.99), Infinity)
  for (const part of [0, 1.1, Number.NaN, '0.5']) {
    t.throws(() => percentile(wait, part as never), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
  }
})

test('stats is true or false, and said before anything is opened', async (t) => {
  const name = uniqueName(t)
  const wrong = { stats: 1 } as never
  const refused = { code: 'ERR_MILLRACE_INVALID_ARGUMENT', message: /stats must be true or false/ }
  t.throws(() => SpscQueue.producer(name, wrong), refused)
  t.throws(() => SpscQueue.consumer(name, wrong), refused)
  await t.throwsAsync(FrameReader.open(name, wrong), refused)
})
