// Semaphores between processes and threads: whoever ends, however it ends, takes no permit along that it
// had not got.

import { statSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { Semaphore } from 'millrace/sync'

import { actor, type Actor } from '../support/actor.js'
import { uniqueName } from '../support/names.js'
import { createSemaphore, semaphorePath } from '../support/semaphores.js'
import { thread, type Thread } from '../support/thread.js'
import type { SemaphoreTask } from './fixtures/worker.js'

async function openIn(other: Actor, name: string) {
  await other.do(({ Semaphore, own }, name) => {
    own.semaphore = Semaphore.open(name, { poll: 0 })
  }, name)
}

function work(t: ExecutionContext, name: string, task: SemaphoreTask['task']): Thread {
  const workerData: SemaphoreTask = { name, task }
  return thread(t, new URL('./fixtures/worker.js', import.meta.url), { workerData })
}

test.serial('a post in one process ends a wait in another', async (t) => {
  const semaphore = createSemaphore(t, 0)
  const other = actor(t)
  await openIn(other, semaphore.name)
  for (let i = 0; i < 20; i++) {
    const waited = other.do(async ({ own }) => {
      await own.semaphore.wait({ timeout: 10_000 })
    })
    semaphore.post()
    await waited
    await other.do(({ own }) => {
      own.semaphore.post()
    })
    await semaphore.wait({ timeout: 10_000 })
  }
  t.is(semaphore.value, 0)
  await other.leave()
})

test.serial('the mode is 0600, whatever the umask', async (t) => {
  for (const umask of [0o000, 0o077, 0o777]) {
    const name = uniqueName(t)
    const other = actor(t)
    await other.do(
      ({ Semaphore, own }, umask, name) => {
        process.umask(umask)
        own.semaphore = Semaphore.create(name, 1)
      },
      umask,
      name,
    )
    t.is(statSync(semaphorePath(name)).mode & 0o7777, 0o600)
    await other.leave()
    t.true(Semaphore.unlink(name), 'it stays when its maker ends')
  }
})

test.serial('of processes that open or create at once, one creates', async (t) => {
  const name = uniqueName(t)
  const others = Array.from({ length: 4 }, () => actor(t))
  const created = await Promise.all(
    others.map((other) =>
      other.do(({ Semaphore, own }, name) => {
        own.semaphore = Semaphore.openOrCreate(name, 1)
        own.semaphore.post()
        return own.semaphore.created
      }, name),
    ),
  )
  t.is(created.filter(Boolean).length, 1)
  using semaphore = Semaphore.open(name)
  t.is(semaphore.value, 5)
  semaphore.unlink()
  await Promise.all(others.map((other) => other.leave()))
})

test.serial('a killed waiter takes nothing; a killed holder takes its permit along', async (t) => {
  const semaphore = createSemaphore(t, 0)
  const other = actor(t)
  await openIn(other, semaphore.name)
  await other.do(({ own }) => {
    own.pending = Promise.all([own.semaphore.wait(), own.semaphore.wait()])
  })
  await other.kill()
  semaphore.post()
  t.true(semaphore.tryWait())

  const holder = actor(t)
  await openIn(holder, semaphore.name)
  semaphore.post()
  await holder.do(({ own }) => own.semaphore.wait({ timeout: 10_000 }))
  await holder.kill()
  await t.throwsAsync(semaphore.wait({ timeout: 30 }), { code: 'ERR_MILLRACE_TIMEOUT' })
})

for (const ending of ['process.exit()', 'the loop running dry', 'an uncaught error'] as const) {
  test.serial(
    `a process that ends with waits pending takes no permit along: ${ending}`,
    async (t) => {
      const semaphore = createSemaphore(t, 0)
      for (let round = 0; round < 6; round++) {
        const other = actor(t)
        await other.do(
          ({ Semaphore }, name, ending) => {
            let got = 0
            for (let i = 0; i < 10; i++) {
              const semaphore = Semaphore.open(name, { poll: 0 }).unref()
              void semaphore.wait().then(() => got++)
            }
            process.on('exit', () => {
              process.exitCode = 100 + got
            })
            process.once('disconnect', () => {
              if (ending === 'process.exit()') process.exit()
              if (ending === 'an uncaught error') throw new Error('on purpose')
            })
          },
          semaphore.name,
          ending,
        )
        const ended = other.leave()
        for (let i = 0; i < 5; i++) {
          semaphore.post()
          await pause(round)
        }
        const { code, signal } = await ended
        t.is(signal, null)
        t.true(code !== null && code >= 100, `${code}\n${other.run.stderr}`)
        const left = semaphore.value
        t.is(left + (code! - 100), 5, other.run.stderr)
        for (let i = 0; i < left; i++) t.true(semaphore.tryWait())
      }
    },
  )
}

test.serial("a permit can be released by a listener for 'exit'", async (t) => {
  const semaphore = createSemaphore(t, 1)
  const other = actor(t)
  await openIn(other, semaphore.name)
  await other.do(async ({ own }) => {
    const permit = await own.semaphore.acquire()
    process.on('exit', () => {
      permit.release()
    })
    process.once('disconnect', () => process.exit(4))
  })
  t.is(semaphore.value, 0)
  t.is((await other.leave()).code, 4)
  t.is(semaphore.value, 1)
})

test.serial('pending waits keep a process alive, unless it said otherwise', async (t) => {
  const semaphore = createSemaphore(t, 0)
  const other = actor(t)
  await openIn(other, semaphore.name)
  await other.do(({ own }) => {
    own.pending = own.semaphore.wait().then(() => {
      process.exitCode = 5
    })
  })
  const ended = other.leave()
  t.is(await Promise.race([ended, pause(300, 'still there')]), 'still there')
  semaphore.post()
  t.is((await ended).code, 5)

  const free = actor(t)
  await openIn(free, semaphore.name)
  await free.do(({ own }) => {
    own.pending = own.semaphore.wait()
    own.semaphore.unref().ref().unref()
  })
  t.is((await free.leave()).code, 0)
})

test.serial('a wait that was given up keeps its process alive until it rejects', async (t) => {
  const semaphore = createSemaphore(t, 0)
  const other = actor(t)
  await openIn(other, semaphore.name)
  await other.do(({ own }) => {
    const controller = new AbortController()
    own.pending = own.semaphore.wait({ signal: controller.signal }).catch(() => {
      process.exitCode = 6
    })
    process.once('disconnect', () => controller.abort())
  })
  t.is((await other.leave()).code, 6)
})

test('a worker blocks for a permit and gives it back', async (t) => {
  const semaphore = createSemaphore(t, 0)
  const worker = work(t, semaphore.name, 'acquire')
  semaphore.post()
  t.is(await worker.next(), 'done')
  t.is(await worker.ended(), 0)
  t.is(semaphore.value, 1)
})

async function terminateIn(t: ExecutionContext, task: 'wait' | 'waitSync') {
  const semaphore = createSemaphore(t, 0)
  for (let round = 0; round < 5; round++) {
    const worker = work(t, semaphore.name, task)
    await worker.next()
    await pause(round * 5)
    const start = performance.now()
    await worker.terminate()
    t.true(performance.now() - start < 2000)
    semaphore.post()
    t.true(semaphore.tryWait(), 'nobody takes it any more')
  }
}

test('a worker can be terminated while it waits', async (t) => {
  await terminateIn(t, 'wait')
})

test('a worker can be terminated while it blocks', async (t) => {
  await terminateIn(t, 'waitSync')
})

test('a worker that ends with a wait pending takes nothing along', async (t) => {
  const semaphore = createSemaphore(t, 0)
  const worker = work(t, semaphore.name, 'leave')
  t.is(await worker.ended(), 0)
  semaphore.post()
  t.true(semaphore.tryWait())
})

test.serial('waiting works where the event loop is not that of libuv', async (t) => {
  const semaphore = createSemaphore(t, 0)
  const withoutUv = new URL('../support/without-uv.js', import.meta.url).href
  const other = actor(t, { execArgv: ['--import', withoutUv] })
  await openIn(other, semaphore.name)
  for (let i = 0; i < 20; i++) {
    const waited = other.do(({ own }) => own.semaphore.wait({ timeout: 10_000 }))
    semaphore.post()
    await waited
  }
  const gaveUp = await other.do(({ own }) =>
    own.semaphore.wait({ timeout: 5 }).catch((error: unknown) => (error as { code: string }).code),
  )
  t.is(gaveUp, 'ERR_MILLRACE_TIMEOUT')
  semaphore.post()
  t.true(semaphore.tryWait())
  await other.leave()
})

test.serial(
  'opening, waiting and closing many times leaves neither threads nor descriptors',
  async (t) => {
    const semaphore = createSemaphore(t, 0)
    const other = actor(t)
    const grown = await other.do(async ({ Semaphore }, name) => {
      const { readdirSync } = process.getBuiltinModule('node:fs')
      const count = (what: string) => readdirSync(`/proc/self/${what}`).length
      const cycle = async () => {
        const semaphore = Semaphore.open(name, { poll: 0 })
        const waited = semaphore.wait()
        semaphore.post()
        await waited
        await semaphore.wait({ timeout: 1 }).catch(() => undefined)
        semaphore.close()
      }
      for (let i = 0; i < 20; i++) await cycle()
      const before = count('fd')
      for (let i = 0; i < 50; i++) await cycle()
      // Their threads may be on their way out, each with a descriptor.
      const end = performance.now() + 10_000
      while ((count('task') > 20 || count('fd') > before) && performance.now() < end) {
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
      return { descriptors: count('fd') - before, threads: count('task') }
    }, semaphore.name)
    t.true(grown.descriptors <= 0, String(grown.descriptors))
    t.true(grown.threads <= 20, String(grown.threads))
    t.is(semaphore.value, 0)
    await other.leave()
  },
)
