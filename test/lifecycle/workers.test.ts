// Worker threads, each an environment of its own.

import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import { Worker } from 'node:worker_threads'
import test from 'ava'
import { FrameReader, FrameWriter, SpscQueue } from 'millrace'
import { Semaphore, SharedEvent } from 'millrace/sync'
import { objectsOf, uniqueName } from '../support/names.js'
import { run } from '../support/process.js'
import { within } from '../support/until.js'
import type { WorkerTask } from './fixtures/worker.js'

function work(name: string, task: string): Worker {
  const workerData: WorkerTask = { name, task }
  return new Worker(new URL('./fixtures/worker.js', import.meta.url), { workerData })
}

test('a worker reads what this thread writes', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 8, slots: 4 })
  const worker = work(name, 'read')
  await within(10_000, writer.waitForReaders())
  const answer = once(worker, 'message')
  const exited = once(worker, 'exit') // it answers before it has closed
  for (let i = 1; i <= 100; i++) {
    const loan = await within(10_000, writer.loan())
    loan.view(Float64Array)[0] = i
    loan.publish()
  }
  writer.close()
  t.deepEqual(await within(10_000, answer), [5050])
  t.deepEqual(await within(10_000, exited), [0])
})

test('this thread reads what a worker writes', async (t) => {
  const name = uniqueName(t)
  const worker = work(name, 'write')
  const exited = once(worker, 'exit')
  using reader = await FrameReader.open(name)
  let sum = 0
  const reading = (async () => {
    for await (using frame of reader) sum += frame.view(Float64Array)[0]!
  })()
  await within(10_000, reading)
  t.is(sum, 5050)
  t.deepEqual(await exited, [0])
})

test('a worker reads what another writes', async (t) => {
  const name = uniqueName(t)
  const reader = work(name, 'read')
  const answer = once(reader, 'message')
  const exits = [once(reader, 'exit'), once(work(name, 'write'), 'exit')]
  t.deepEqual(await within(10_000, answer), [5050])
  t.deepEqual(await within(10_000, Promise.all(exits)), [[0], [0]])
})

for (const [task, code] of [
  ['leave', 0],
  ['exit', 3],
] as const) {
  test(`a worker that ends with everything open leaves nothing (${task})`, async (t) => {
    const name = uniqueName(t)
    const worker = work(name, task)
    t.deepEqual(await within(10_000, once(worker, 'exit')), [code])
    t.deepEqual(objectsOf(name), [])
  })
}

test('a worker that throws with everything open leaves nothing', async (t) => {
  const name = uniqueName(t)
  const worker = work(name, 'throw')
  const exited = new Promise((resolve) => worker.once('exit', resolve))
  const [error] = (await within(10_000, once(worker, 'error'))) as [Error]
  t.is(error.message, 'thrown on purpose')
  t.is(await within(10_000, exited), 1)
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
    const worker = new Worker(restless, { workerData: name })
    await within(10_000, once(worker, 'message'))
    await pause(Math.random() * 8)
    await within(10_000, worker.terminate())
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
  'mutex',
  'semaphore',
  'event',
  'barrier',
]) {
  test(`a worker may be terminated at any instant of opening and closing (${what})`, async (t) => {
    const name = uniqueName(t)
    const opening = new URL('./fixtures/opening.js', import.meta.url)
    for (let round = 0; round < 15; round++) {
      const worker = new Worker(opening, { workerData: { name, what } })
      await within(10_000, once(worker, 'message'))
      await pause(Math.random() * 8)
      await within(10_000, worker.terminate())
    }
    if (what === 'semaphore') Semaphore.unlink(name)
    t.deepEqual(objectsOf(name), [])
  })
}
