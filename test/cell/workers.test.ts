// Cells and Workers: blocking reads, and terminate in the middle of a wait.

import test, { type ExecutionContext } from 'ava'

import { openReader, openWriter } from '../support/cells.js'
import { uniqueName } from '../support/names.js'
import { thread, type Thread } from '../support/thread.js'

const soon = { timeout: 15_000 }

function startWorker(t: ExecutionContext, role: string, name: string): Thread {
  const workerData = { role, name }
  return thread(t, new URL('./fixtures/worker.js', import.meta.url), { workerData })
}

test.serial('changedSync in a worker sees what the main thread writes', async (t) => {
  const name = uniqueName(t)
  const writer = openWriter(t, name)
  const worker = startWorker(t, 'follow', name)
  t.is(await worker.next(), 'ready')
  const done = worker.next()
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
    await worker.next()
    t.true(writer.hasReaders)
    await worker.terminate()
    t.false(writer.hasReaders)
    t.is(writer.write('x'), 1)
  })
}

test.serial('terminate ends a worker that writes; its reader sees it close', async (t) => {
  const name = uniqueName(t)
  const worker = startWorker(t, 'write', name)
  await worker.next()
  const reader = await openReader(t, name, { poll: 0 })
  t.true(await reader.changed(soon))
  await worker.terminate()
  while (await reader.changed(soon)) reader.read()
  t.is(reader.peer, 'closed')
  t.is(reader.read()!.bytes.length, 100)
})
