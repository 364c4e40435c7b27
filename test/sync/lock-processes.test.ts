// Locks between processes: who starts first, who waits, who dies, and how.

import test from 'ava'

import { actor, type Actor } from '../support/actor.js'
import { openMutex, openRwLock } from '../support/locks.js'
import { objectsOf, uniqueName } from '../support/names.js'
import { until } from '../support/until.js'

const soon = { timeout: 15_000 }

async function lockIn(other: Actor, name: string) {
  await other.do(({ Mutex, own }, mutex) => {
    own.mutex = Mutex.open(mutex)
    own.guard = own.mutex.lockSync()
  }, name)
}

test.serial('the other process has it first; its release lets us in', async (t) => {
  const name = uniqueName(t)
  const other = actor(t)
  await lockIn(other, name)
  const mutex = openMutex(t, name)
  t.is(mutex.holder, other.pid)
  t.is(mutex.tryLock(), undefined)
  const wait = mutex.lock(soon)
  await other.do(({ own }) => {
    own.guard.release()
  })
  const guard = await wait
  t.false(guard.abandoned)
  t.is(mutex.holder, process.pid)
  guard.release()
  await other.leave()
})

test.serial('we have it first; the other waits in its loop, or blocks', async (t) => {
  const name = uniqueName(t)
  const mutex = openMutex(t, name)
  const other = actor(t)
  for (const how of ['lock', 'lockSync'] as const) {
    const guard = mutex.tryLock()!
    const taken = other.do(
      async ({ Mutex, own }, queue, call) => {
        own.mutex = Mutex.open(queue)
        own.guard = await own.mutex[call]({ timeout: 15_000 })
        const { abandoned } = own.guard
        own.guard.release()
        own.mutex.close()
        return abandoned
      },
      name,
      how,
    )
    t.is(await Promise.race([taken, mutexSettles()]), 'still waiting')
    guard.release()
    t.false(await taken)
  }
  await other.leave()
})

/** Long enough for the other to have taken what it must not have. */
async function mutexSettles(): Promise<'still waiting'> {
  await new Promise((resolve) => setTimeout(resolve, 200))
  return 'still waiting'
}

test.serial('two processes that hammer keep a pair of numbers equal', async (t) => {
  const name = uniqueName(t)
  const others = [actor(t), actor(t)]
  const mutex = openMutex(t, name)
  const memory = await others[0]!.do(({ SharedMemory, own }, at) => {
    own.memory = SharedMemory.create(at, 4096)
    return own.memory.size
  }, name)
  t.is(memory, 4096)
  const runs = others.map((other) =>
    other.do(async ({ Mutex, SharedMemory }, at) => {
      const mutex = Mutex.open(at)
      const memory = SharedMemory.open(at)
      const numbers = memory.view(Uint32Array)
      let torn = 0
      for (let turn = 0; turn < 2000; turn++) {
        const guard = await mutex.lock({ timeout: 15_000 })
        const [left, right] = numbers
        if (left !== right) torn++
        numbers[0] = left! + 1
        if (turn % 50 === 0) await new Promise((resolve) => setImmediate(resolve))
        numbers[1] = left! + 1
        guard.release()
      }
      mutex.close()
      memory.close()
      return torn
    }, name),
  )
  t.deepEqual(await Promise.all(runs), [0, 0])
  const sum = await others[0]!.do(({ own }) => {
    const numbers = own.memory.view(Uint32Array)
    const [left, right] = numbers
    own.memory.close()
    return [left, right]
  })
  t.deepEqual(sum, [4000, 4000])
  t.is(mutex.holder, 0)
})

for (const kind of ['a wait in the loop', 'a blocking call', 'tryLock'] as const) {
  test.serial(`an owner that is killed: ${kind} gets the lock, and is told`, async (t) => {
    const name = uniqueName(t)
    const mutex = openMutex(t, name)
    const other = actor(t)
    await lockIn(other, name)
    const wait = kind === 'a wait in the loop' ? mutex.lock(soon) : undefined
    await other.kill()
    const start = performance.now()
    const guard = await (wait ?? (kind === 'tryLock' ? mutex.tryLock() : mutex.lockSync(soon)))
    t.true(performance.now() - start < 5000)
    t.true(guard!.abandoned)
    guard!.release()
    t.false(mutex.tryLock()!.abandoned)
  })
}

test.serial('the next in line dies, too: the one after it is not forgotten', async (t) => {
  const name = uniqueName(t)
  const [first, second] = [actor(t), actor(t)]
  await lockIn(first, name)
  await second.do(({ Mutex, own }, at) => {
    own.mutex = Mutex.open(at, { poll: 0 })
    own.pending = own.mutex.lock()
  }, name)
  const mutex = openMutex(t, name)
  const wait = mutex.lock(soon)
  await first.do(({ own }) => {
    own.guard.release()
  })
  // Nobody told us that the owner is another one now.
  await until(() => mutex.holder === second.pid)
  await second.do(async ({ own }) => {
    await own.pending
  })
  await second.kill()
  t.true((await wait).abandoned)
  await first.leave()
})

test.serial('a process that is killed while it waits is passed over', async (t) => {
  const name = uniqueName(t)
  const mutex = openMutex(t, name)
  const guard = mutex.tryLock()!
  const other = actor(t)
  await other.do(({ Mutex, own }, at) => {
    own.mutex = Mutex.open(at)
    own.pending = own.mutex.lock()
  }, name)
  const behind = openMutex(t, name).lock(soon)
  await other.kill()
  guard.release()
  const next = await behind
  t.false(next.abandoned)
  next.release()
})

test.serial('a reader that is killed lets a writer in without ado', async (t) => {
  const name = uniqueName(t)
  const other = actor(t)
  await other.do(({ RwLock, own }, at) => {
    own.lock = RwLock.open(at)
    own.guard = own.lock.readLockSync()
  }, name)
  const lock = openRwLock(t, name)
  t.is(lock.readers, 1)
  const wait = lock.writeLock(soon)
  await other.kill()
  const guard = await wait
  t.false(guard.abandoned)
})

for (const [how, code] of [
  ['exit', 7],
  ['throw', 1],
  ['dry', 0],
] as const) {
  test.serial(
    `an owner whose process ends (${how}) has not finished: the next is told`,
    async (t) => {
      const name = uniqueName(t)
      const mutex = openMutex(t, name)
      const other = actor(t)
      await lockIn(other, name)
      const wait = mutex.lock(soon)
      if (how === 'dry') {
        other.start(({ own }) => void own.mutex.unref())
        await other.leave()
      } else {
        other.start((_, way) => {
          if (way === 'exit') process.exit(7)
          setImmediate(() => {
            throw new Error('on purpose')
          })
        }, how)
        t.deepEqual(await other.run.ended(), { code, signal: null })
      }
      const guard = await wait
      t.true(guard.abandoned)
    },
  )
}

test.serial('after the death of all, the next to come is told', async (t) => {
  const name = uniqueName(t)
  const other = actor(t)
  await lockIn(other, name)
  await other.kill()
  t.deepEqual(objectsOf(name), [`millrace.x.${name}`])
  const mutex = openMutex(t, name)
  const guard = await mutex.lock(soon)
  t.true(guard.abandoned)
  guard.release()
})

test.serial('an unref’d wait does not keep its process alive', async (t) => {
  const name = uniqueName(t)
  const mutex = openMutex(t, name)
  const guard = mutex.tryLock()!
  const other = actor(t)
  await other.do(({ Mutex, own }, at) => {
    own.mutex = Mutex.open(at).unref()
    own.pending = own.mutex.lock()
  }, name)
  t.deepEqual(await other.leave(), { code: 0, signal: null })
  guard.release()
  t.truthy(mutex.tryLock())
})
