// Locks between threads: a worker is an owner like any other, and may be terminated at any point.

import test, { type ExecutionContext } from 'ava'

import { openMutex } from '../support/locks.js'
import { uniqueName } from '../support/names.js'
import { thread, type Thread } from '../support/thread.js'

const soon = { timeout: 15_000 }

function startWorker(t: ExecutionContext, role: string, name: string, more: object = {}): Thread {
  const workerData = { role, name, count: 0, ...more }
  return thread(t, new URL('./fixtures/locking.js', import.meta.url), { workerData })
}

test.serial('workers that block exclude one another', async (t) => {
  const name = uniqueName(t)
  const memory = new SharedArrayBuffer(8)
  const workers = [1, 2, 3].map(() => startWorker(t, 'hammer', name, { count: 20_000, memory }))
  await Promise.all(workers.map((worker) => worker.next()))
  t.is(new Uint32Array(memory)[0], 60_000)
})

test.serial('a worker that blocks gets what the main thread releases', async (t) => {
  const name = uniqueName(t)
  const mutex = openMutex(t, name)
  const guard = mutex.tryLock()!
  const worker = startWorker(t, 'block', name)
  t.is(await worker.next(), 'waiting')
  guard.release()
  t.is(await worker.next(), 'taken')
})

test.serial('a worker that blocks does so no longer than it said', async (t) => {
  const name = uniqueName(t)
  const mutex = openMutex(t, name)
  mutex.tryLock()
  t.is(await startWorker(t, 'timeout', name).next(), 'ERR_MILLRACE_TIMEOUT')
})

for (const role of ['block', 'wait']) {
  test.serial(`terminate ends a worker in the middle of its wait (${role})`, async (t) => {
    const name = uniqueName(t)
    const mutex = openMutex(t, name)
    const guard = mutex.tryLock()!
    const worker = startWorker(t, role, name)
    t.is(await worker.next(), 'waiting')
    await worker.terminate()
    guard.release()
    const again = mutex.tryLock()!
    t.false(again.abandoned, 'it had not come to it')
  })
}

test.serial('terminate ends a worker that holds: its work was cut short', async (t) => {
  const name = uniqueName(t)
  const mutex = openMutex(t, name)
  const worker = startWorker(t, 'hold', name)
  t.is(await worker.next(), 'holding')
  t.is(mutex.tryLock(), undefined)
  const wait = mutex.lock(soon)
  await worker.terminate()
  const guard = await wait
  t.true(guard.abandoned)
})
