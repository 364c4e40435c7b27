// A system that has no thread to give, or does not let a process be registered for the light fence.

import test from 'ava'
import { actor, type Actor } from '../support/actor.js'
import { compileCxx } from '../support/cxx.js'
import { uniqueName } from '../support/names.js'

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
