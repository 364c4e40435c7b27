// A system that has no thread or no memory to give, or does not let a process be registered for the light fence.

import test from 'ava'
import type { QueueConsumer } from 'millrace'
import { actor, type Actor } from '../support/actor.js'
import { compileCxx } from '../support/cxx.js'
import { objectsOf, uniqueName } from '../support/names.js'
import { openProducer } from '../support/queues.js'
import { within } from '../support/until.js'

const preload = () => compileCxx('test/waiting/fixtures/scarce.cpp', ['-shared', '-fPIC'])

test('promise: errors – a watcher thread that cannot be had is a typed error, not the end', async (t) => {
  const other = actor(t, {
    execArgv: ['--import', new URL('../support/without-uv.js', import.meta.url).href],
    env: { ...process.env, LD_PRELOAD: await preload() },
  })
  const open = (name: string) =>
    other.do(({ SpscQueue }, name) => {
      SpscQueue.producer(name).close()
    }, name)
  const name = uniqueName(t)
  await other.do(() => void (process.env['SCARCE_THREADS'] = '1'))
  const error = await t.throwsAsync(open(name), { code: 'ERR_MILLRACE_SYSTEM' })
  t.regex(error.message, /pthread_create.*ulimit -u/u)
  // As soon as there is one, all is well.
  await other.do(() => delete process.env['SCARCE_THREADS'])
  await t.notThrowsAsync(open(name))
  t.deepEqual(await other.leave(), { code: 0, signal: null })
})

const onLinux = process.platform === 'linux' ? test : test.skip

onLinux('a full /dev/shm is a typed error of every creation, and nothing is left', async (t) => {
  const name = uniqueName(t)
  const other = actor(t, { env: { ...process.env, LD_PRELOAD: await preload() } })
  const opened = () =>
    other.do((stage, name) => {
      const { SpscQueue, FrameWriter, Cell, SharedMemory, NamelessSegment } = stage
      const { Barrier, Counter, Mutex, RwLock, SharedEvent } = stage
      const creations: Readonly<Record<string, () => { close(): void }>> = {
        producer: () => SpscQueue.producer(name),
        consumer: () => SpscQueue.consumer(name, { capacity: 4096 }),
        writer: () => FrameWriter.create(name, { slotBytes: 64 }),
        cell: () => Cell.writer(name, { maxBytes: 64 }),
        memory: () => SharedMemory.create(name, 64),
        either: () => SharedMemory.openOrCreate(name, 64),
        nameless: () => {
          const segment = NamelessSegment.create()
          try {
            return SharedMemory.create(segment, 64)
          } finally {
            segment.close()
          }
        },
        counter: () => Counter.open(name),
        mutex: () => Mutex.open(name),
        lock: () => RwLock.open(name),
        event: () => SharedEvent.open(name),
        barrier: () => Barrier.open(name, { parties: 2 }),
      }
      const said: Record<string, string> = {}
      for (const [what, create] of Object.entries(creations)) {
        try {
          create().close()
          said[what] = 'opened'
        } catch (error) {
          said[what] = `${(error as { code?: string }).code}: ${(error as Error).message}`
        }
      }
      return said
    }, name)
  await other.do(() => void (process.env['SCARCE_MEMORY'] = '1'))
  for (const [what, said] of Object.entries(await opened())) {
    t.regex(said, /^ERR_MILLRACE_NO_SPACE: .*No space left on device.*enlarge shared memory/u, what)
  }
  t.deepEqual(objectsOf(name), [])
  // As soon as there is some, all is well.
  await other.do(() => delete process.env['SCARCE_MEMORY'])
  for (const [what, said] of Object.entries(await opened())) t.is(said, 'opened', what)
  await other.leave()
})

/** How many of 100 messages were published by Atomics.store, sent and received. */
function storesOf(other: Actor, name: string): Promise<number> {
  return other.do(({ SpscQueue }, name) => {
    const producer = SpscQueue.producer(name)
    const consumer = SpscQueue.consumer(name)
    const { store } = Atomics
    let stores = 0
    Atomics.store = ((...all: Parameters<typeof store>) => {
      stores++
      return store(...all)
    }) as typeof store
    for (let i = 0; i < 100; i++) {
      producer.tryPush('x')
      consumer.tryPop()
    }
    Atomics.store = store
    producer.close()
    consumer.close()
    return stores
  }, name)
}

// Elsewhere every store is one of Atomics, registered or not.
const here = process.platform === 'linux' && process.arch === 'x64' ? test : test.skip

here('JavaScript publishes by ordinary stores once the light fence is there', async (t) => {
  const other = actor(t, { env: { ...process.env, LD_PRELOAD: await preload() } })
  const name = uniqueName(t)
  // It takes the kernel some ten milliseconds; the question is asked now and then.
  for (let round = 0; ; round++) {
    if ((await storesOf(other, name)) === 0) break
    t.true(round < 200, 'still none')
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
  await other.leave()
})

here('JavaScript never publishes by ordinary stores if the light fence is refused', async (t) => {
  const other = actor(t, {
    env: { ...process.env, LD_PRELOAD: await preload(), SCARCE_FENCE: '1' },
  })
  const name = uniqueName(t)
  for (let round = 0; round < 30; round++) {
    t.is(await storesOf(other, name), 200)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  await other.leave()
})

onLinux('sides that fall asleep together are woken, too, where the fence is refused', async (t) => {
  const name = uniqueName(t)
  const other = actor(t, { env: { ...process.env, LD_PRELOAD: await preload() } })
  const many = 20
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
  for (const refused of [false, true, true, false]) {
    // Each says how often it went to sleep all by itself.
    const alone = await other.do(async ({ own }, refused) => {
      if (refused) process.env['SCARCE_BARRIER'] = '1'
      else delete process.env['SCARCE_BARRIER']
      const consumers = own['consumers'] as QueueConsumer[]
      let alone = 0
      for (const consumer of consumers) {
        const { native } = consumer as unknown as { native: object }
        const { park } = Object.getPrototypeOf(native) as { park: () => unknown }
        const value = () => {
          alone++
          return park.call(native)
        }
        Object.defineProperty(native, 'park', { value, configurable: true })
      }
      own['popped'] = Promise.all(consumers.map((consumer) => consumer.pop()))
      await new Promise((resolve) => setImmediate(resolve))
      return alone
    }, refused)
    t.is(alone, refused ? many : 0)
    for (const [i, producer] of producers.entries()) t.true(producer.tryPush(String(i)))
    const popped = other.do(async ({ own }) =>
      (await (own['popped'] as Promise<Buffer[]>)).map(String),
    )
    t.deepEqual(
      await within(20_000, popped),
      producers.map((_, i) => String(i)),
    )
  }
  await other.do(({ own }) => {
    for (const consumer of own['consumers'] as QueueConsumer[]) consumer.close()
  })
  await other.leave()
})
