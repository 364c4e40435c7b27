// Blocking calls, where they belong: in Workers.

import test, { type ExecutionContext } from 'ava'
import { Worker } from 'node:worker_threads'

import { actor } from '../support/actor.js'
import { uniqueName } from '../support/names.js'
import { bytes, onePage, openConsumer, openProducer } from '../support/queues.js'
import { within } from '../support/until.js'

const soon = { timeout: 15_000 }

function startWorker(t: ExecutionContext, role: string, name: string, count = 0): Worker {
  const worker = new Worker(new URL('./fixtures/blocking.js', import.meta.url), {
    workerData: { role, name, count },
  })
  t.teardown(() => worker.terminate())
  return worker
}

function message(worker: Worker): Promise<unknown> {
  return within(
    15_000,
    new Promise((resolve, reject) => {
      worker.once('message', resolve)
      worker.once('error', reject)
    }),
  )
}

test.serial('popSync in a worker gets what the main thread pushes', async (t) => {
  const name = uniqueName(t)
  const producer = openProducer(t, name, { capacity: onePage })
  const worker = startWorker(t, 'pop', name)
  for (let i = 0; i < 2000; i++) await producer.push(bytes(i % 100, i), soon)
  await producer.end(soon)
  t.deepEqual(await message(worker), { count: 2000, damaged: -1 })
})

test.serial('pushSync in a worker waits for room that the main thread makes', async (t) => {
  const name = uniqueName(t)
  const consumer = openConsumer(t, name, { capacity: onePage })
  startWorker(t, 'push', name, 2000)
  await consumer.waitForPeer(soon)
  for (let i = 0; i < 2000; i++) {
    const next = await consumer.pop(soon)
    if (next?.equals(bytes(i % 100, i)) !== true) t.fail(`message ${i} is damaged`)
  }
  t.is(await consumer.pop(soon), undefined)
})

test.serial('two workers that block talk to each other', async (t) => {
  const name = uniqueName(t)
  const to = startWorker(t, 'pop', name)
  startWorker(t, 'push', name, 20_000)
  t.deepEqual(await message(to), { count: 20_000, damaged: -1 })
})

test.serial('a blocked worker learns of the death of a process', async (t) => {
  const name = uniqueName(t)
  const other = actor(t)
  await other.do(({ SpscQueue, own }, queue) => {
    own.producer = SpscQueue.producer(queue)
  }, name)
  const worker = startWorker(t, 'fail', name)
  await message(worker) // it is about to block
  const failed = message(worker)
  await other.kill()
  t.is(await failed, 'ERR_MILLRACE_PEER_GONE')
})

test.serial('terminate ends a worker that blocks in popSync, and its role is free', async (t) => {
  const name = uniqueName(t)
  const worker = startWorker(t, 'fail', name)
  await message(worker)
  const start = performance.now()
  await within(15_000, worker.terminate())
  t.true(performance.now() - start < 5000)
  const consumer = openConsumer(t, name)
  t.is(consumer.peer, 'absent')
})

test.serial(
  'terminate ends a worker that waits in its loop; the other side sees it close',
  async (t) => {
    const name = uniqueName(t)
    const producer = openProducer(t, name)
    const worker = startWorker(t, 'wait', name)
    await message(worker)
    t.is(producer.peer, 'attached')
    await within(15_000, worker.terminate())
    t.is(producer.peer, 'closed')
  },
)

test.serial('a thread is not its process: roles are told apart between threads', async (t) => {
  const name = uniqueName(t)
  const consumer = openConsumer(t, name)
  const worker = startWorker(t, 'taken', name)
  t.is(await message(worker), 'ERR_MILLRACE_ROLE_TAKEN')
  t.false(consumer.closed)
})
