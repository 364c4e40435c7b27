// Many waits at once: on one signal, with the caller's context, and in order however many leave.

import { AsyncLocalStorage } from 'node:async_hooks'
import test from 'ava'

import { openPair } from '../support/queues.js'

const onePage = 4096

test('one signal serves any number of waits, and Node does not take them for a leak', async (t) => {
  const { consumer } = openPair(t)
  const warnings: Error[] = []
  const onWarning = (warning: Error) => warnings.push(warning)
  process.on('warning', onWarning)
  const controller = new AbortController()
  const waits = Array.from({ length: 100 }, () => consumer.pop({ signal: controller.signal }))
  await new Promise((resolve) => setImmediate(resolve))
  controller.abort()
  for (const wait of waits) await t.throwsAsync(wait, { code: 'ERR_MILLRACE_ABORTED' })
  await new Promise((resolve) => setImmediate(resolve))
  process.off('warning', onWarning)
  t.deepEqual(warnings, [])
})

test('of twenty thousand waits every third gives up, and the others are served in order', async (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  while (producer.tryPush(Buffer.alloc(500)));
  const controller = new AbortController()
  const pushes = Array.from({ length: 20_000 }, (_, i) =>
    producer
      .push(String(i), i % 3 === 0 ? { signal: controller.signal } : {})
      .catch((error: unknown) => (error as { code: string }).code),
  )
  controller.abort()
  let expected = 1
  const reading = (async () => {
    for await (const message of consumer) {
      if (message.length === 500) continue
      if (message.toString() !== String(expected))
        t.fail(`${String(message)} instead of ${expected}`)
      expected += expected % 3 === 1 ? 1 : 2
      if (expected >= 20_000) return
    }
  })()
  const ends = await Promise.all(pushes)
  t.is(ends.filter((end) => end === 'ERR_MILLRACE_ABORTED').length, Math.ceil(20_000 / 3))
  await reading
})

test('whoever waits goes on in its own asynchronous context', async (t) => {
  const { producer, consumer } = openPair(t)
  const storage = new AsyncLocalStorage<string>()
  const receivers = ['a', 'b', 'c'].map((name) =>
    storage.run(name, async () => {
      const message = await consumer.pop()
      return [name, storage.getStore(), message?.toString()]
    }),
  )
  await storage.run('sender', async () => {
    for (const message of ['1', '2', '3']) await producer.push(message)
  })
  t.deepEqual(await Promise.all(receivers), [
    ['a', 'a', '1'],
    ['b', 'b', '2'],
    ['c', 'c', '3'],
  ])
})
