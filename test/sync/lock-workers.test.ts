// Locks between threads: a worker is an owner like any other, and may be terminated at any point.

import test, { type ExecutionContext } from 'ava'
import { Worker } from 'node:worker_threads'

import { openMutex } from '../support/locks.js'
import { uniqueName } from '../support/names.js'
import { within } from '../support/until.js'

const soon = { timeout: 15_000 }

function startWorker(t: ExecutionContext, role: string, name: string, more: object = {}): Worker {
  const worker = new Worker(new URL('./fixtures/locking.js', import.meta.url), {
    workerData: { role, name, count: 0, ...more },
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

test.serial('workers that block exclude one another', async (t) => {
  const name = uniqueName(t)
  const memory = new SharedArrayBuffer(8)
  const workers = [1, 2, 3].map(() => startWorker(t, 'hammer', name, { count: 20_000, memory }))
  await Promise.all(workers.map(message))
  t.is(new Uint32Array(memory)[0], 60_000)
})

test.serial('a worker that blocks gets what the main thread releases', async (t) => {
  const name = uniqueName(t)
  const mutex = openMutex(t, name)
  const guard = mutex.tryLock()!
  const worker = startWorker(t, 'block', name)
  t.is(await message(worker), 'waiting')
  guard.release()
  t.is(await message(worker), 'taken')
})

test.serial('a worker that blocks does so no longer than it said', async (t) => {
  const name = uniqueName(t)
  const mutex = openMutex(t, name)
  mutex.tryLock()
  t.is(await message(startWorker(t, 'timeout', name)), 'ERR_MILLRACE_TIMEOUT')
})

for (const role of ['block', 'wait']) {
  test.serial(`terminate ends a worker in the middle of its wait (${role})`, async (t) => {
    const name = uniqueName(t)
    const mutex = openMutex(t, name)
    const guard = mutex.tryLock()!
    const worker = startWorker(t, role, name)
    t.is(await message(worker), 'waiting')
    await within(15_000, worker.terminate())
    guard.release()
    const again = mutex.tryLock()!
    t.false(again.abandoned, 'it had not come to it')
  })
}

test.serial('terminate ends a worker that holds: its work was cut short', async (t) => {
  const name = uniqueName(t)
  const mutex = openMutex(t, name)
  const worker = startWorker(t, 'hold', name)
  t.is(await message(worker), 'holding')
  t.is(mutex.tryLock(), undefined)
  const wait = mutex.lock(soon)
  await within(15_000, worker.terminate())
  const guard = await wait
  t.true(guard.abandoned)
})
