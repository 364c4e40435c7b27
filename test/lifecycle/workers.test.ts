// Worker threads, each an environment of its own.

import { setTimeout as pause } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { FrameReader, FrameWriter, SpscQueue } from 'millrace'
import { Semaphore, SharedEvent } from 'millrace/sync'
import { objectsOf, uniqueName } from '../support/names.js'
import { run } from '../support/process.js'
import { thread, type Thread } from '../support/thread.js'
import { within } from '../support/until.js'
import type { WorkerTask } from './fixtures/worker.js'

function work(t: ExecutionContext, name: string, task: string): Thread {
  const workerData: WorkerTask = { name, task }
  return thread(t, new URL('./fixtures/worker.js', import.meta.url), { workerData })
}

test('a worker reads what this thread writes', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 8, slots: 4 })
  const worker = work(t, name, 'read')
  await within(10_000, writer.waitForReaders())
  for (let i = 1; i <= 100; i++) {
    const loan = await within(10_000, writer.loan())
    loan.view(Float64Array)[0] = i
    loan.publish()
  }
  writer.close()
  t.is(await worker.next(), 5050)
  t.is(await worker.ended(), 0)
})

test('this thread reads what a worker writes', async (t) => {
  const name = uniqueName(t)
  const worker = work(t, name, 'write')
  using reader = await FrameReader.open(name)
  let sum = 0
  const reading = (async () => {
    for await (using frame of reader) sum += frame.view(Float64Array)[0]!
  })()
  await within(10_000, reading)
  t.is(sum, 5050)
  t.is(await worker.ended(), 0)
})

test('a worker reads what another writes', async (t) => {
  const name = uniqueName(t)
  const [reader, writer] = [work(t, name, 'read'), work(t, name, 'write')]
  t.is(await reader.next(), 5050)
  t.deepEqual(await Promise.all([reader.ended(), writer.ended()]), [0, 0])
})

for (const [task, code] of [
  ['leave', 0],
  ['exit', 3],
] as const) {
  test(`a worker that ends with everything open leaves nothing (${task})`, async (t) => {
    const name = uniqueName(t)
    t.is(await work(t, name, task).ended(), code)
    t.deepEqual(objectsOf(name), [])
  })
}

test('a worker that throws with everything open leaves nothing', async (t) => {
  const name = uniqueName(t)
  const worker = work(t, name, 'throw')
  // What it throws may overtake what it has posted.
  const next = () => worker.next().catch((thrown: unknown) => thrown)
  const first = await next()
  const error = first === 'leaving' ? await next() : first
  t.is((error as Error).message, 'thrown on purpose')
  t.is(await worker.ended(), 1)
  t.deepEqual(objectsOf(name), [])
})

test('a worker can be terminated in every wait; what it had is free at once', async (t) => {
  const name = uniqueName(t)
  const tasks = ['pop', 'popSync', 'receive', 'receiveSync', 'loan', 'loanSync']
  const child = run(t, new URL('./fixtures/terminate.js', import.meta.url), [name, ...tasks])
  const left = await child.next()
  t.deepEqual(await child.ended(), { code: 0, signal: null }, child.stderr)
  t.deepEqual(left, Object.fromEntries(tasks.map((task) => [task, []])))
})

// A call into the addon can find that its environment may no longer do anything, between any two of its steps.
test('a worker may be terminated at any instant of any call', async (t) => {
  const name = uniqueName(t)
  const restless = new URL('./fixtures/restless.js', import.meta.url)
  for (let round = 0; round < 150; round++) {
    const worker = thread(t, restless, { workerData: name })
    await worker.next()
    await pause(Math.random() * 8)
    await worker.terminate()
  }
  SharedEvent.unlink(name)
  SpscQueue.unlink(name)
  t.deepEqual(objectsOf(name), [])
})

for (const what of [
  'producer',
  'consumer',
  'frames',
  'reader',
  'cell',
  'value',
  'memory',
  'counter',
  'limiter',
  'breaker',
  'mutex',
  'semaphore',
  'event',
  'barrier',
]) {
  test(`a worker may be terminated at any instant of opening and closing (${what})`, async (t) => {
    const name = uniqueName(t)
    const opening = new URL('./fixtures/opening.js', import.meta.url)
    for (let round = 0; round < 15; round++) {
      const worker = thread(t, opening, { workerData: { name, what } })
      await worker.next()
      await pause(Math.random() * 8)
      await worker.terminate()
    }
    if (what === 'semaphore') Semaphore.unlink(name)
    t.deepEqual(objectsOf(name), [])
  })
}
