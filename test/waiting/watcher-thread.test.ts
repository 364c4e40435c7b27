// The same waits where libuv cannot poll for us: one native thread does, as on Bun and Deno.

import test from 'ava'

import { actor, type Actor } from '../support/actor.js'
import { uniqueName } from '../support/names.js'
import { onePage, openConsumer, openProducer } from '../support/queues.js'
import { until } from '../support/until.js'

const soon = { timeout: 15_000 }
const withoutUv = {
  execArgv: ['--expose-gc', '--import', new URL('../support/without-uv.js', import.meta.url).href],
}

function countThreads(other: Actor): Promise<number> {
  return other.do(() => process.getBuiltinModule('fs').readdirSync('/proc/self/task').length)
}

/** The thread that registers the process for fences ends soon after the start. */
async function started(other: Actor): Promise<void> {
  await other.do(() => new Promise((resolve) => setTimeout(resolve, 200)))
}

test.serial('the watcher is a thread of its own, one for all channels', async (t) => {
  const name = uniqueName(t)
  const other = actor(t, withoutUv)
  await started(other)
  const before = await countThreads(other)
  await other.do(({ SpscQueue, own }, queue) => {
    own['sides'] = [0, 1, 2].flatMap((i) => [
      SpscQueue.producer(`${queue}-${i}`),
      SpscQueue.consumer(`${queue}-${i}`),
    ])
  }, name)
  t.is(await countThreads(other), before + 1)
  t.deepEqual(await other.leave(), { code: 0, signal: null })
})

test.serial('a sleeping pop is woken, again and again', async (t) => {
  const name = uniqueName(t)
  const producer = openProducer(t, name)
  const other = actor(t, withoutUv)
  const received = other.do(async ({ SpscQueue }, queue) => {
    const consumer = SpscQueue.consumer(queue, { poll: 0 })
    const texts: string[] = []
    for await (const message of consumer) texts.push(message.toString())
    consumer.close()
    return texts
  }, name)
  await producer.waitForPeer(soon)
  for (let i = 0; i < 200; i++) {
    await producer.push(String(i), soon)
    await until(() => producer.freeBytes === producer.capacity)
  }
  producer.close()
  t.deepEqual(
    await received,
    Array.from({ length: 200 }, (_, i) => String(i)),
  )
  t.deepEqual(await other.leave(), { code: 0, signal: null })
})

test.serial('a sleeping push is woken', async (t) => {
  const name = uniqueName(t)
  const consumer = openConsumer(t, name, { capacity: onePage })
  const other = actor(t, withoutUv)
  const sent = other.do(async ({ SpscQueue }, queue) => {
    const producer = SpscQueue.producer(queue, { poll: 0 })
    for (let i = 0; i < 100; i++) await producer.push(Buffer.alloc(4088, i), { timeout: 15_000 })
    await producer.end({ timeout: 15_000 })
  }, name)
  await consumer.waitForPeer(soon)
  for (let i = 0; i < 100; i++) t.is((await consumer.pop(soon))?.at(0), i)
  await sent
  await other.leave()
})

test.serial('a thousand sleeping pops are all woken', async (t) => {
  const names = Array.from({ length: 1000 }, () => uniqueName(t))
  const producers = names.map((name) => openProducer(t, name, { capacity: 1 }))
  const other = actor(t, withoutUv)
  await other.do(({ SpscQueue, own }, queues) => {
    const consumers = queues.map((queue) => SpscQueue.consumer(queue, { poll: 0 }))
    own.pending = Promise.all(consumers.map((consumer) => consumer.pop({ timeout: 15_000 })))
  }, names)
  for (const producer of producers) producer.tryPush(producer.name)
  const texts = await other.do(async ({ own }) =>
    ((await own.pending) as Buffer[]).map((message) => message.toString()),
  )
  t.deepEqual(texts, names)
  await other.leave()
})

test.serial('the death of the peer is noticed', async (t) => {
  const name = uniqueName(t)
  const [from, to] = [actor(t), actor(t, withoutUv)]
  await from.do(({ SpscQueue, own }, queue) => {
    own.producer = SpscQueue.producer(queue)
  }, name)
  await to.do(({ SpscQueue, own }, queue) => {
    own.consumer = SpscQueue.consumer(queue, { poll: 0 })
    own.pending = own.consumer.pop({ timeout: 15_000 }).catch((error: unknown) => error)
  }, name)
  await from.kill()
  const code = await to.do(async ({ own }) => ((await own.pending) as { code: string }).code)
  t.is(code, 'ERR_MILLRACE_PEER_GONE')
  const producer = openProducer(t, name)
  t.is(producer.peer, 'attached')
  await to.leave()
})

test.serial('pending waits keep the process, unref lets it end', async (t) => {
  const name = uniqueName(t)
  const producer = openProducer(t, name)
  const other = actor(t, withoutUv)
  await other.do(({ SpscQueue, own }, queue) => {
    own.consumer = SpscQueue.consumer(queue, { poll: 0 })
    own.pending = own.consumer.pop().then(async (message) => {
      console.log(`got ${String(message)}`)
      own.consumer.unref()
      await own.consumer.pop()
    })
  }, name)
  const left = other.leave()
  await until(() => !other.run.connected)
  t.is(producer.peer, 'attached')
  await producer.push('x')
  t.deepEqual(await left, { code: 0, signal: null })
  t.deepEqual(other.run.lines, ['got x'])
  t.is(producer.peer, 'closed')
})

test.serial('a worker that is terminated in the middle of waiting harms nobody', async (t) => {
  const name = uniqueName(t)
  const producer = openProducer(t, name)
  const other = actor(t, withoutUv)
  await started(other)
  for (let round = 0; round < 5; round++) {
    const before = await countThreads(other)
    await other.do(
      async ({ own }, worker, queue) => {
        const { Worker } = process.getBuiltinModule('worker_threads')
        const started = new Worker(new URL(worker), { workerData: { role: 'wait', name: queue } })
        own['worker'] = started
        await new Promise((resolve, reject) => {
          started.once('message', resolve)
          started.once('error', reject)
        })
      },
      new URL('../queue/fixtures/blocking-without-uv.js', import.meta.url).href,
      name,
    )
    t.is(producer.peer, 'attached')
    t.is(await countThreads(other), before + 2, 'the worker, and its watcher')
    // Wake-ups on their way while it ends.
    const ending = other.do(({ own }) =>
      (own['worker'] as { terminate(): Promise<number> }).terminate(),
    )
    producer.tryPush('x')
    await ending
    t.is(producer.peer, 'closed')
  }
  t.deepEqual(await other.leave(), { code: 0, signal: null })
})

test.serial('process.exit() in the middle of waiting is an orderly end', async (t) => {
  const name = uniqueName(t)
  const producer = openProducer(t, name)
  const other = actor(t, withoutUv)
  await other.do(({ SpscQueue, own }, queue) => {
    own.consumer = SpscQueue.consumer(queue, { poll: 0 })
    own.pending = own.consumer.pop()
  }, name)
  other.start(() => process.exit(0))
  t.deepEqual(await other.run.ended(), { code: 0, signal: null })
  t.is(producer.peer, 'closed')
})
