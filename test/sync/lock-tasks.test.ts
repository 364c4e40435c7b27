// Mutex and RwLock among the tasks of one process that share a handle.

import test from 'ava'
import type { LockGuard } from 'millrace/sync'

import { openMutex, openRwLock } from '../support/locks.js'
import { uniqueName } from '../support/names.js'

const soon = { timeout: 15_000 }
const code = (value: string) => ({ code: `ERR_MILLRACE_${value}` })
const turn = () => new Promise((resolve) => setImmediate(resolve))

test('any number of tasks share a handle, one at a time, in the order in which they came', async (t) => {
  const mutex = openMutex(t, uniqueName(t))
  const order: number[] = []
  let inside = 0
  const tasks = Array.from({ length: 300 }, (_, i) =>
    mutex.withLock(async () => {
      t.is(++inside, 1)
      order.push(i)
      if (i % 10 === 0) await turn()
      inside--
    }, soon),
  )
  t.is(mutex.holder, process.pid)
  t.is(mutex.tryLock(), undefined, 'nobody overtakes')
  await Promise.all(tasks)
  t.deepEqual(
    order,
    order.map((_, i) => i),
  )
  t.is(mutex.holder, 0)
})

test('a handle with many tasks lets other handles have their turn', async (t) => {
  const name = uniqueName(t)
  const [a, b] = [openMutex(t, name), openMutex(t, name)]
  const order: string[] = []
  const first = await a.lock(soon)
  const many = [1, 2, 3].map((i) => a.withLock(() => order.push(`a${i}`), soon))
  const other = b.withLock(() => order.push('b'), soon)
  first.release()
  await Promise.all([...many, other])
  t.true(order.indexOf('b') <= 1, `b waited for ${order.join(' ')}`)
})

test('a task that gives up leaves the others in line', async (t) => {
  const name = uniqueName(t)
  const [a, b] = [openMutex(t, name), openMutex(t, name)]
  const guard = await b.lock(soon)
  const controller = new AbortController()
  const waits = [
    a.lock({ signal: controller.signal }),
    a.lock({ timeout: 5 }),
    a.lock(soon),
    a.lock(soon),
  ]
  controller.abort()
  await t.throwsAsync(waits[0]!, code('ABORTED'))
  await t.throwsAsync(waits[1]!, code('TIMEOUT'))
  guard.release()
  ;(await waits[2]!).release()
  ;(await waits[3]!).release()
  t.is(b.holder, 0)
})

test('an aborted signal and wrong options are found before the lock is taken', async (t) => {
  const name = uniqueName(t)
  const [a, b] = [openMutex(t, name), openMutex(t, name)]
  await t.throwsAsync(a.lock({ signal: AbortSignal.abort() }), code('ABORTED'))
  await t.throwsAsync(a.lock({ timeout: -1 }), code('INVALID_ARGUMENT'))
  await t.throwsAsync(a.lock({ timeuot: 1 } as object), code('INVALID_ARGUMENT'))
  await t.throwsAsync(a.lock(50 as never), code('INVALID_ARGUMENT'))
  await t.throwsAsync(a.withLock(undefined as never), code('INVALID_ARGUMENT'))
  t.throws(() => a.lockSync({ spin: Infinity }), code('INVALID_ARGUMENT'))
  t.throws(() => a.lockSync({ signal: 1 } as object), code('INVALID_ARGUMENT'))
  b.tryLock()!.release()
})

test('work that asks for the lock again is told so instead of waiting for itself', async (t) => {
  const mutex = openMutex(t, uniqueName(t))
  await mutex.withLock(async () => {
    await turn()
    await t.throwsAsync(mutex.lock(), code('BUSY'))
    await t.throwsAsync(
      mutex.withLock(() => undefined),
      code('BUSY'),
    )
    t.throws(() => mutex.lockSync(), code('BUSY'))
  })
  let later: Promise<void> | undefined
  await mutex.withLock(() => {
    later = (async () => {
      await turn() // outside by now
      ;(await mutex.lock(soon)).release()
    })()
  })
  await later
  const guard = mutex.tryLock()!
  t.throws(() => mutex.lockSync(), { ...code('BUSY'), message: /task of this thread/ })
  guard.release()
})

test('readers of one handle read together, and count as one', async (t) => {
  const name = uniqueName(t)
  const [lock, other] = [openRwLock(t, name), openRwLock(t, name)]
  const reading: Promise<void>[] = []
  let inside = 0
  let most = 0
  for (let i = 0; i < 20; i++) {
    reading.push(
      lock.withReadLock(async () => {
        most = Math.max(most, ++inside)
        await turn()
        inside--
      }, soon),
    )
  }
  t.is(other.readers, 1)
  t.is(other.tryWriteLock(), undefined)
  await Promise.all(reading)
  t.is(most, 20)
  other.tryWriteLock()!.release()
})

for (const where of ['the same handle', 'another handle'] as const) {
  test(`a new reader does not overtake a writer that waits with ${where}`, async (t) => {
    const name = uniqueName(t)
    const lock = openRwLock(t, name)
    const writing = where === 'the same handle' ? lock : openRwLock(t, name)
    const first = await lock.readLock(soon)
    const order: string[] = []
    const writer = writing.withWriteLock(() => order.push('writer'), soon)
    t.is(lock.tryReadLock(), undefined)
    const readers = [1, 2].map(() => lock.withReadLock(() => order.push('reader'), soon))
    await turn()
    t.deepEqual(order, [])
    first.release()
    await Promise.all([writer, ...readers])
    t.deepEqual(order, ['writer', 'reader', 'reader'])
  })
}

test('readers that stood in line together go in together', async (t) => {
  const name = uniqueName(t)
  const [lock, other] = [openRwLock(t, name), openRwLock(t, name)]
  const writing = await other.writeLock(soon)
  const reads = [lock.readLock(soon), lock.readLock(soon), lock.readLock(soon)]
  const next = other.writeLock(soon)
  writing.release()
  const guards = await Promise.all(reads)
  t.is(guards.length, 3)
  for (const guard of guards) guard.release()
  ;(await next).release()
})

test('a reader that reads on inside its own reading does not wait for a writer behind it', async (t) => {
  const name = uniqueName(t)
  const [lock, other] = [openRwLock(t, name), openRwLock(t, name)]
  let writing: Promise<LockGuard> | undefined
  await lock.withReadLock(async () => {
    writing = other.writeLock(soon)
    await turn()
    await lock.withReadLock(() => t.is(other.readers, 1), soon)
    await t.throwsAsync(lock.writeLock(), code('BUSY'), 'reading is not raised to writing')
    t.is(other.readers, 1, 'the outer one still reads')
  })
  ;(await writing!).release()
})

test('closing the handle ends its waits, and its guards say so', async (t) => {
  const name = uniqueName(t)
  const [a, b] = [openMutex(t, name), openMutex(t, name)]
  const guard = await a.lock(soon)
  const waits = [a.lock(soon), a.lock(soon)]
  a.close()
  for (const wait of waits) await t.throwsAsync(wait, code('CLOSED'))
  t.true(guard.released)
  t.notThrows(() => {
    guard.release()
  })
  b.tryLock()!.release()
})

test('a lock that is closed before its promise is delivered is not held', async (t) => {
  const name = uniqueName(t)
  const [a, b] = [openMutex(t, name), openMutex(t, name)]
  const taken = a.lock()
  a.close()
  await t.throwsAsync(taken, code('CLOSED'))
  b.tryLock()!.release()
})

test('readers of one handle are told of a writer that did not finish', (t) => {
  const name = uniqueName(t)
  const [lock, other] = [openRwLock(t, name), openRwLock(t, name)]
  other.tryWriteLock()!.abandon()
  const guards = [lock.tryReadLock()!, lock.tryReadLock()!]
  t.deepEqual(
    guards.map((guard) => guard.abandoned),
    [true, true],
  )
  for (const guard of guards) guard.release()
  other.tryWriteLock()!.release()
  const after = lock.tryReadLock()!
  t.false(after.abandoned)
  after.release()
})
