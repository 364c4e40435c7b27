// Cells and Workers: blocking reads, and terminate in the middle of a wait.

import { Worker } from 'node:worker_threads'
import test, { type ExecutionContext } from 'ava'

import { openReader, openWriter } from '../support/cells.js'
import { uniqueName } from '../support/names.js'
import { within } from '../support/until.js'

const soon = { timeout: 15_000 }

function startWorker(t: ExecutionContext, role: string, name: string): Worker {
  const worker = new Worker(new URL('./fixtures/worker.js', import.meta.url), {
    workerData: { role, name },
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

test.serial('changedSync in a worker sees what the main thread writes', async (t) => {
  const name = uniqueName(t)
  const writer = openWriter(t, name)
  const worker = startWorker(t, 'follow', name)
  t.is(await message(worker), 'ready')
  const done = message(worker)
  for (let i = 1; i <= 200; i++) {
    writer.write(String(i))
    if (i % 10 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  writer.close()
  t.deepEqual(await done, { last: '200', ended: true })
})

for (const role of ['block', 'await']) {
  test.serial(`terminate ends a worker that waits (${role}); nothing is left of it`, async (t) => {
    const name = uniqueName(t)
    const writer = openWriter(t, name)
    const worker = startWorker(t, role, name)
    await message(worker)
    t.true(writer.hasReaders)
    await within(15_000, worker.terminate())
    t.false(writer.hasReaders)
    t.is(writer.write('x'), 1)
  })
}

test.serial('terminate ends a worker that writes; its reader sees it close', async (t) => {
  const name = uniqueName(t)
  const worker = startWorker(t, 'write', name)
  await message(worker)
  const reader = await openReader(t, name, { poll: 0 })
  t.true(await reader.changed(soon))
  await within(15_000, worker.terminate())
  while (await reader.changed(soon)) reader.read()
  t.is(reader.peer, 'closed')
  t.is(reader.read()!.bytes.length, 100)
})
