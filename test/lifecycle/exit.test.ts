// Each way a process can end, with everything open and waits pending on all of it.

import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import test from 'ava'
import { SpscQueue } from 'millrace'
import { Semaphore } from 'millrace/sync'
import { objectsOf, uniqueName } from '../support/names.js'
import { doorbellsOf, run } from '../support/process.js'
import { until } from '../support/until.js'

const everything = new URL('./fixtures/everything.js', import.meta.url)

for (const { how, code, says } of [
  { how: 'dry', code: 0 },
  { how: 'close', code: 0 },
  { how: 'closeTwice', code: 0 },
  { how: 'closeInCallback', code: 0 },
  { how: 'closeWhileExiting', code: 7 },
  { how: 'exit', code: 7 },
  { how: 'exitInCallback', code: 7 },
  { how: 'throw', code: 1, says: /Error: thrown on purpose/ },
  { how: 'throwInCallback', code: 1, says: /Error: thrown on purpose/ },
  { how: 'reject', code: 1, says: /Error: rejected on purpose/ },
]) {
  test.serial(`${how}: ends as Node would, and leaves nothing`, async (t) => {
    const name = uniqueName(t)
    const child = run(t, everything, [name, how])
    await child.next()
    const doorbells = doorbellsOf(child.pid)
    t.is(doorbells.length, 1)
    child.send('go')
    t.deepEqual(await child.ended(), { code, signal: null }, child.stderr)
    if (says === undefined) t.is(child.stderr, '')
    else t.regex(child.stderr, says)
    t.deepEqual(objectsOf(name), [])
    t.deepEqual(doorbells.filter(existsSync), [])
  })
}

for (const signal of ['SIGTERM', 'SIGINT', 'SIGKILL'] as const) {
  test.serial(`${signal}: the next start takes the same names at once and clears up`, async (t) => {
    const name = uniqueName(t)
    const killed = run(t, everything, [name, 'stay'])
    await killed.next()
    const doorbells = doorbellsOf(killed.pid)
    t.is(doorbells.length, 1)
    t.deepEqual(await killed.kill(signal), { code: null, signal })
    t.true(objectsOf(name).length > 0, 'nothing runs any more that could have removed it')

    const next = run(t, everything, [name, 'exit'])
    next.send('go')
    t.deepEqual(await next.ended(), { code: 7, signal: null }, next.stderr)
    t.is(next.stderr, '')
    t.deepEqual(objectsOf(name), [])
    t.deepEqual(doorbells.filter(existsSync), [], 'nor is its doorbell left')
  })
}

test.serial('a child goes on when its parent dies, and is told', async (t) => {
  const name = uniqueName(t)
  const results = uniqueName(t)
  using consumer = SpscQueue.consumer(results)
  const parent = run(t, new URL('./fixtures/parent.js', import.meta.url), [name, results])
  const { child } = (await parent.next()) as { child: number }
  await parent.kill()
  t.is((await consumer.pop({ timeout: 10_000 }))?.toString(), 'ERR_MILLRACE_PEER_GONE')
  t.is((await consumer.pop({ timeout: 10_000 }))?.toString(), 'taken over')
  await until(() => !existsSync(`/proc/${child}`))
  t.is(await consumer.pop({ timeout: 10_000 }), undefined, 'it ended in good order')
})

const useAtExit = new URL('./fixtures/use-at-exit.js', import.meta.url)

for (const where of ['process', 'Worker'] as const) {
  for (const how of ['exit', 'dry', 'throw']) {
    test.serial(
      `${how} of a ${where}: what has left refuses every call in an exit listener`,
      async (t) => {
        const name = uniqueName(t)
        // Unread messages wait for the next consumer, as they should.
        t.teardown(() => {
          for (const kept of ['read', 'reserved']) SpscQueue.unlink(`${name}.${kept}`)
          Semaphore.unlink(name)
        })
        using consumer = SpscQueue.consumer(`${name}.out`)
        if (where === 'process') {
          const child = run(t, useAtExit, [name, how])
          await child.next()
          t.deepEqual(await child.ended(), { code: 7, signal: null }, child.stderr)
          t.is(child.stderr, '')
        } else {
          const worker = new Worker(useAtExit, { workerData: [name, how] })
          const [code] = (await once(worker, 'exit')) as [number]
          t.is(code, 7)
        }
        using semaphore = Semaphore.open(name)
        t.is(semaphore.value, 2, 'a permit can still be given back')
        t.is(consumer.tryPop()?.toString(), 'before')
        t.is(
          consumer.tryPop()?.toString(),
          'last',
          'a listener before the library still had its side',
        )
        t.is(await consumer.pop({ timeout: 10_000 }), undefined)
        using next = SpscQueue.producer(`${name}.out`)
        t.true(next.tryPush('of the next'))
        t.is(consumer.tryPop()?.toString(), 'of the next')
      },
    )
  }
}
