// Blocking calls, where they belong: in Workers.

import test, { type ExecutionContext } from 'ava'

import { actor } from '../support/actor.js'
import { uniqueName } from '../support/names.js'
import { bytes, onePage, openConsumer, openProducer } from '../support/queues.js'
import { thread, type Thread } from '../support/thread.js'

const soon = { timeout: 15_000 }

function startWorker(t: ExecutionContext, role: string, name: string, count = 0): Thread {
  const workerData = { role, name, count }
  return thread(t, new URL('./fixtures/blocking.js', import.meta.url), { workerData })
}

test.serial('popSync in a worker gets what the main thread pushes', async (t) => {
  const name = uniqueName(t)
  const producer = openProducer(t, name, { capacity: onePage })
  const worker = startWorker(t, 'pop', name)
  for (let i = 0; i < 2000; i++) await producer.push(bytes(i % 100, i), soon)
  await producer.end(soon)
  t.deepEqual(await worker.next(), { count: 2000, damaged: -1 })
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
  t.deepEqual(await to.next(), { count: 20_000, damaged: -1 })
})

test.serial('a blocked worker learns of the death of a process', async (t) => {
  const name = uniqueName(t)
  const other = actor(t)
  await other.do(({ SpscQueue, own }, queue) => {
    own.producer = SpscQueue.producer(queue)
  }, name)
  const worker = startWorker(t, 'fail', name)
  await worker.next() // it is about to block
  const failed = worker.next()
  await other.kill()
  t.is(await failed, 'ERR_MILLRACE_PEER_GONE')
})

test.serial('terminate ends a worker that blocks in popSync, and its role is free', async (t) => {
  const name = uniqueName(t)
  const worker = startWorker(t, 'fail', name)
  await worker.next()
  const start = performance.now()
  await worker.terminate()
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
    await worker.next()
    t.is(producer.peer, 'attached')
    await worker.terminate()
    t.is(producer.peer, 'closed')
  },
)

test.serial('a thread is not its process: roles are told apart between threads', async (t) => {
  const name = uniqueName(t)
  const consumer = openConsumer(t, name)
  const worker = startWorker(t, 'taken', name)
  t.is(await worker.next(), 'ERR_MILLRACE_ROLE_TAKEN')
  t.false(consumer.closed)
})
