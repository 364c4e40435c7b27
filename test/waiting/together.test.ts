// Many sides of one environment that wait: what each of them could do alone they do together, and none is forgotten.

import { AsyncLocalStorage } from 'node:async_hooks'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import type { QueueConsumer, QueueOptions } from 'millrace'

import { actor, type Actor } from '../support/actor.js'
import { compileCxx } from '../support/cxx.js'
import { ownDirectory } from '../support/directory.js'
import { beforeAnswer, countCalls } from '../support/meeting.js'
import { uniqueName } from '../support/names.js'
import { openConsumer, openPair, openProducer } from '../support/queues.js'
import { until, within } from '../support/until.js'

const turn = () => new Promise((resolve) => setImmediate(resolve))
const patience = 20_000
/** Asleep at once. */
const asleep = { poll: 0, spin: 0 }
const polling = { poll: patience, spin: 0 }
const onLinux = process.platform === 'linux' ? test.serial : test.serial.skip

/** Turns of the event loop that are on order. */
const turns = () => process.getActiveResourcesInfo().filter((name) => name === 'Immediate').length

function open(t: ExecutionContext, count: number, options: QueueOptions) {
  return Array.from({ length: count }, () => openPair(t, options))
}

/** Another process, and how often it has asked the system for something. */
async function counted(t: ExecutionContext): Promise<[Actor, (what: 0 | 1 | 2) => number]> {
  const counters = join(ownDirectory(t), 'calls')
  writeFileSync(counters, new Uint8Array(24))
  const env = {
    ...process.env,
    COUNTED_CALLS: counters,
    LD_PRELOAD: await compileCxx('test/waiting/fixtures/counted.cpp', ['-shared', '-fPIC']),
  }
  const calls = (what: 0 | 1 | 2) => Number(readFileSync(counters).readBigUInt64LE(8 * what))
  return [actor(t, { env }), calls]
}
const [fences, yields, rings] = [0, 1, 2] as const

onLinux('however many fall asleep together, one fence serves them all', async (t) => {
  const name = uniqueName(t)
  const [other, calls] = await counted(t)
  const many = 200
  await other.do(
    ({ SpscQueue, own }, name, many) => {
      own['consumers'] = Array.from({ length: many }, (_, i) =>
        SpscQueue.consumer(`${name}.${String(i)}`, { capacity: 4096, poll: 0, spin: 0 }),
      )
    },
    name,
    many,
  )
  const producers = Array.from({ length: many }, (_, i) =>
    openProducer(t, `${name}.${String(i)}`, { capacity: 4096 }),
  )
  const wait = () =>
    other.do(async ({ own }) => {
      const consumers = own['consumers'] as QueueConsumer[]
      own['popped'] = Promise.all(consumers.map((consumer) => consumer.pop()))
      await new Promise((resolve) => setImmediate(resolve))
    })
  const popped = () =>
    within(
      patience,
      other.do(async ({ own }) => (await (own['popped'] as Promise<Buffer[]>)).map(String)),
    )
  for (let round = 0; round < 3; round++) {
    const [fencesBefore, ringsBefore] = [calls(fences), calls(rings)]
    await wait()
    t.is(calls(fences) - fencesBefore, 1)
    for (const [i, producer] of producers.entries()) t.true(producer.tryPush(String(i)))
    t.deepEqual(
      await popped(),
      producers.map((_, i) => String(i)),
    )
    t.is(calls(rings) - ringsBefore, 0, 'who only receives rings nobody')
  }
  await other.do(({ own }) => {
    for (const consumer of own['consumers'] as QueueConsumer[]) consumer.close()
  })
  await other.leave()
})

onLinux('many that wait in vain spin no longer together than a few would', async (t) => {
  const name = uniqueName(t)
  const [other, calls] = await counted(t)
  const many = 500
  const counters = { name, many, calls: 0 }
  const before = calls(yields)
  // Those that are looked for are few, and each was the last to find nothing for the whole of its spin.
  const [spun, milliseconds] = await other.do(({ SpscQueue, own }, { name, many }) => {
    const consumers = Array.from({ length: many }, (_, i) =>
      SpscQueue.consumer(`${name}.${String(i)}`, { capacity: 4096, poll: 0.001 }),
    )
    own['consumers'] = consumers
    const { readFileSync } = process.getBuiltinModule('node:fs')
    const yields = () => readFileSync(process.env['COUNTED_CALLS']!).readBigUInt64LE(8)
    let spun = 0
    const start = performance.now()
    for (const consumer of consumers) {
      const before = yields()
      consumer.pop().catch(() => undefined)
      if (yields() > before) spun++
    }
    return [spun, performance.now() - start] as const
  }, counters)
  t.true(calls(yields) > before)
  // The first millisecond, and a twentieth of the time, in spins of 20 µs at least.
  const most = (1 + milliseconds / 20) / 0.02 + 1
  t.true(spun > 0 && spun <= most, `${String(spun)} of ${String(many)}, at most ${String(most)}`)
  await other.do(({ own }) => {
    for (const consumer of own['consumers'] as QueueConsumer[]) consumer.close()
  })
  await other.leave()
})

test.serial(
  'a side that falls asleep alone does so at once; two do it in two steps, which meet at the fence',
  async (t) => {
    const [one, two] = open(t, 2, asleep) as [
      ReturnType<typeof openPair>,
      ReturnType<typeof openPair>,
    ]
    const [parks, announcements] = [
      countCalls(one.consumer, 'park'),
      countCalls(one.consumer, 'announce'),
    ]
    let waits = [one.consumer.pop()]
    await turn()
    t.deepEqual([parks(), announcements()], [1, 0])
    one.producer.tryPush('a')
    await within(patience, Promise.all(waits))
    waits = [one.consumer.pop(), two.consumer.pop()]
    await turn()
    t.deepEqual([parks(), announcements()], [1, 1])
    one.producer.tryPush('b')
    two.producer.tryPush('c')
    t.deepEqual((await within(patience, Promise.all(waits))).map(String), ['b', 'c'])
  },
)

test.serial(
  'what is sent before those who wait say that they are parked is found, without a ring',
  async (t) => {
    const pairs = open(t, 3, asleep)
    const wakes = pairs.map(({ producer }) => countCalls(producer, 'wake'))
    const waits = pairs.map(({ consumer }) => consumer.pop())
    for (const { producer } of pairs) producer.tryPush('early')
    t.deepEqual(
      wakes.map((calls) => calls()),
      [0, 0, 0],
      'nobody is parked yet',
    )
    t.deepEqual((await within(patience, Promise.all(waits))).map(String), [
      'early',
      'early',
      'early',
    ])
  },
)

test.serial(
  'what is sent, and who leaves, between the first step and the last look is noticed',
  async (t) => {
    const [sent, left, quiet] = open(t, 3, asleep) as [
      ReturnType<typeof openPair>,
      ReturnType<typeof openPair>,
      ReturnType<typeof openPair>,
    ]
    // Once before, so that each knows its peer and need not look at it again.
    for (const { consumer, producer } of [sent, left, quiet]) {
      const first = consumer.pop()
      await turn()
      producer.tryPush('first')
      await within(patience, first)
    }
    const waits = [sent, left, quiet].map(({ consumer }) => consumer.pop())
    beforeAnswer(t, sent.consumer, 'heard', () => {
      sent.producer.tryPush('meanwhile')
    })
    beforeAnswer(t, left.consumer, 'heard', () => {
      left.producer.close()
    })
    t.is(String(await within(patience, waits[0]!)), 'meanwhile')
    t.is(await within(patience, waits[1]!), undefined)
    quiet.producer.tryPush('later')
    t.is(String(await within(patience, waits[2]!)), 'later')
  },
)

test.serial('who is closed, or gives up, before it is parked is not parked', async (t) => {
  const [closed, aborted, stays] = open(t, 3, asleep) as [
    ReturnType<typeof openPair>,
    ReturnType<typeof openPair>,
    ReturnType<typeof openPair>,
  ]
  const calls = [closed, aborted, stays].map(({ consumer }) => [
    countCalls(consumer, 'announce'),
    countCalls(consumer, 'park'),
  ])
  const controller = new AbortController()
  const ends = [
    t.throwsAsync(closed.consumer.pop(), { code: 'ERR_MILLRACE_CLOSED' }),
    t.throwsAsync(aborted.consumer.pop({ signal: controller.signal }), {
      code: 'ERR_MILLRACE_ABORTED',
    }),
  ]
  const message = stays.consumer.pop()
  closed.consumer.close()
  controller.abort()
  await Promise.all(ends)
  await turn()
  t.deepEqual(
    calls.map(([announce, park]) => [announce!(), park!()]),
    [
      [0, 0],
      [0, 0],
      [0, 1],
    ],
  )
  stays.producer.tryPush('x')
  t.is(String(await within(patience, message)), 'x')
  const again = aborted.consumer.pop()
  await turn()
  aborted.producer.tryPush('y')
  t.is(String(await within(patience, again)), 'y')
})

test.serial(
  'all that poll look in one turn of the event loop, and none is on order when nobody polls',
  async (t) => {
    const pairs = open(t, 100, polling)
    const controller = new AbortController()
    const waits = pairs.map(({ consumer }) => consumer.pop({ signal: controller.signal }))
    await until(() => turns() === 1)
    for (const { producer } of pairs.slice(0, 50)) producer.tryPush('x')
    t.deepEqual(
      (await within(patience, Promise.all(waits.slice(0, 50)))).map(String),
      pairs.slice(0, 50).map(() => 'x'),
    )
    await until(() => turns() === 1)
    controller.abort()
    for (const wait of waits.slice(50)) await t.throwsAsync(wait, { code: 'ERR_MILLRACE_ABORTED' })
    await until(() => turns() === 0)
  },
)

test.serial('each goes on in its own asynchronous context, whoever ordered the turn', async (t) => {
  const storage = new AsyncLocalStorage<number>()
  for (const options of [asleep, polling]) {
    const pairs = open(t, 20, options)
    const all = pairs.map(({ consumer }, i) =>
      storage.run(i, async () => {
        await consumer.pop()
        return storage.getStore()
      }),
    )
    await turn()
    for (const { producer } of pairs.toReversed()) producer.tryPush('x')
    t.deepEqual(
      await within(patience, Promise.all(all)),
      pairs.map((_, i) => i),
    )
  }
})

test.serial(
  'a peer that is killed while many wait is missed by those who wait for it, and by nobody else',
  async (t) => {
    const name = uniqueName(t)
    const dying = actor(t)
    const mine = Array.from({ length: 20 }, (_, i) =>
      openConsumer(t, `${name}.${String(i)}`, asleep),
    )
    const others = open(t, 20, asleep)
    await dying.do(({ SpscQueue, own }, name) => {
      own['producers'] = Array.from({ length: 20 }, (_, i) =>
        SpscQueue.producer(`${name}.${String(i)}`),
      )
    }, name)
    const gone = mine.map((consumer) =>
      t.throwsAsync(within(patience, consumer.pop()), { code: 'ERR_MILLRACE_PEER_GONE' }),
    )
    const waits = others.map(({ consumer }) => consumer.pop())
    await turn()
    await dying.kill()
    await Promise.all(gone)
    for (const { producer } of others) producer.tryPush('x')
    t.deepEqual(
      (await within(patience, Promise.all(waits))).map(String),
      others.map(() => 'x'),
    )
  },
)
