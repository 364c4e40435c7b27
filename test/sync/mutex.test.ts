// Mutex as the only one in its process sees it: several handles, one event loop.

import test from 'ava'
import { type MillraceError } from 'millrace'
import { Mutex, RwLock, type LockGuard } from 'millrace/sync'

import { openMutex, openRwLock, wordOffset } from '../support/locks.js'
import { objectsOf, uniqueName } from '../support/names.js'
import { pokeWord } from '../support/segments.js'

const soon = { timeout: 15_000 }
const code = (value: string) => ({ code: `ERR_MILLRACE_${value}` })

test('one handle at a time has it', (t) => {
  const name = uniqueName(t)
  const [a, b] = [openMutex(t, name), openMutex(t, name)]
  t.is(a.name, name)
  t.is(a.holder, 0)
  const guard = a.tryLock()!
  t.false(guard.abandoned)
  t.false(guard.released)
  t.is(b.tryLock(), undefined)
  t.is(b.holder, process.pid)
  guard.release()
  t.true(guard.released)
  const other = b.tryLock()
  t.truthy(other)
  guard.release() // once is enough: it does not take away what another has
  t.is(a.tryLock(), undefined)
  other!.release()
})

test('a using block gives it back, also when it throws', async (t) => {
  const name = uniqueName(t)
  const mutex = openMutex(t, name)
  {
    using guard = await mutex.lock(soon)
    t.false(guard.released)
    t.is(mutex.holder, process.pid)
  }
  t.is(mutex.holder, 0)
  t.throws(() => {
    using _ = mutex.lockSync(soon)
    throw new Error('on purpose')
  })
  t.is(mutex.holder, 0)
})

test('withLock gives it back however the work ends, and passes the result on', async (t) => {
  const mutex = openMutex(t, uniqueName(t))
  t.is(await mutex.withLock(() => mutex.holder), process.pid)
  t.is(await mutex.withLock((guard) => Promise.resolve(guard.abandoned), soon), false)
  await t.throwsAsync(
    mutex.withLock(() => {
      throw new Error('on purpose')
    }),
    { message: 'on purpose' },
  )
  t.is(mutex.holder, 0)
})

test('those who wait get it in the order in which they came', async (t) => {
  const name = uniqueName(t)
  const first = openMutex(t, name)
  const guard = first.tryLock()!
  const order: number[] = []
  const waits = [1, 2, 3, 4, 5].map(async (place) => {
    const mine = await openMutex(t, name).lock(soon)
    order.push(place)
    mine.release()
  })
  t.is(openMutex(t, name).tryLock(), undefined)
  guard.release()
  t.is(first.tryLock(), undefined, 'nobody overtakes those who wait')
  await Promise.all(waits)
  t.deepEqual(order, [1, 2, 3, 4, 5])
})

test('a wait that times out leaves the line', async (t) => {
  const name = uniqueName(t)
  const [a, b, c] = [openMutex(t, name), openMutex(t, name), openMutex(t, name)]
  const guard = a.tryLock()!
  const error = await t.throwsAsync<MillraceError>(b.lock({ timeout: 5 }), code('TIMEOUT'))
  t.regex(error.message, /taking mutex '.*' did not happen within 5 ms/)
  t.throws(() => b.lockSync({ timeout: 5 }), code('TIMEOUT'))
  t.throws(() => b.lockSync({ timeout: 0 }), code('TIMEOUT'))
  const next = c.lock(soon)
  guard.release()
  const other = await next
  t.is(b.tryLock(), undefined)
  other.release()
  b.tryLock()!.release()
})

test('a wait that is aborted leaves the line', async (t) => {
  const name = uniqueName(t)
  const [a, b] = [openMutex(t, name), openMutex(t, name)]
  const guard = a.tryLock()!
  const controller = new AbortController()
  const wait = b.lock({ signal: controller.signal })
  controller.abort(new Error('changed my mind'))
  const again = b.lock(soon) // at once: it is out of the line before anything else happens
  const error = await t.throwsAsync<MillraceError>(wait, { name: 'AbortError', ...code('ABORTED') })
  t.is((error.cause as Error).message, 'changed my mind')
  guard.release()
  ;(await again).release()
  await t.throwsAsync(b.lock({ signal: AbortSignal.abort() }), code('ABORTED'))
  t.is(b.holder, 0)
})

test('an abort in the instant of the grant does not lose the lock', async (t) => {
  const name = uniqueName(t)
  const [a, b, c] = [openMutex(t, name), openMutex(t, name), openMutex(t, name)]
  const guard = a.tryLock()!
  const controller = new AbortController()
  const wait = b.lock({ signal: controller.signal })
  const next = c.lock(soon)
  guard.release() // it is b's from here on, but b has not looked yet
  controller.abort()
  await t.throwsAsync(wait, code('ABORTED'))
  const other = await next
  t.false(other.abandoned)
  other.release()
  t.is(a.holder, 0)
})

test('time-outs that race with grants neither lose nor double the lock', async (t) => {
  const name = uniqueName(t)
  const handles = [1, 2, 3].map(() => openMutex(t, name))
  let inside = 0
  let [taken, missed] = [0, 0]
  await Promise.all(
    handles.map(async (mutex, at) => {
      for (let turn = 0; turn < 400; turn++) {
        let guard: LockGuard
        try {
          guard = await mutex.lock({ timeout: (turn * 7 + at) % 3 })
        } catch (error) {
          t.is((error as MillraceError).code, 'ERR_MILLRACE_TIMEOUT')
          missed++
          continue
        }
        t.is(++inside, 1)
        taken++
        if (turn % 2 === 0) await new Promise((resolve) => setTimeout(resolve, 1))
        inside--
        guard.release()
      }
    }),
  )
  t.is(taken + missed, 1200)
  t.true(taken > 0 && missed > 0, `${taken} taken, ${missed} missed`)
  t.is(handles[0]!.holder, 0)
})

test('closing unlocks, in good order; a guard that is left over does nothing', async (t) => {
  const name = uniqueName(t)
  const [a, b] = [openMutex(t, name), openMutex(t, name)]
  const guard = a.tryLock()!
  const wait = b.lock(soon)
  a.close()
  a.close()
  t.true(a.closed)
  const other = await wait
  t.false(other.abandoned)
  guard.release()
  t.is(b.holder, process.pid)
  t.throws(() => a.tryLock(), code('CLOSED'))
  t.throws(() => a.lockSync(), code('CLOSED'))
  await t.throwsAsync(a.lock(), code('CLOSED'))
  t.is(a.holder, 0)
})

test('closing ends a wait, also one that was granted and not noticed yet', async (t) => {
  const name = uniqueName(t)
  const [a, b, c] = [openMutex(t, name), openMutex(t, name), openMutex(t, name)]
  const guard = a.tryLock()!
  const [first, second] = [b.lock(), c.lock()]
  b.close()
  await t.throwsAsync(first, code('CLOSED'))
  guard.release()
  c.close()
  await t.throwsAsync(second, code('CLOSED'))
  t.truthy(a.tryLock())
})

test('abandon tells the next owner, until one finishes', (t) => {
  const name = uniqueName(t)
  const [a, b] = [openMutex(t, name), openMutex(t, name)]
  a.tryLock()!.abandon()
  const told = b.tryLock()!
  t.true(told.abandoned)
  told.abandon()
  const again = a.tryLock()!
  t.true(again.abandoned)
  again.release()
  t.false(b.tryLock()!.abandoned)
})

test('news of an abandonment outlive the last handle', (t) => {
  const name = uniqueName(t)
  {
    using mutex = Mutex.open(name)
    mutex.tryLock()!.abandon()
  }
  t.deepEqual(objectsOf(name), [`millrace.x.${name}`])
  {
    using mutex = Mutex.open(name)
    const guard = mutex.tryLock()!
    t.true(guard.abandoned)
    guard.release()
  }
  t.deepEqual(objectsOf(name), [])
})

test('the last handle takes the name away, unlink does so before', (t) => {
  const name = uniqueName(t)
  const [a, b] = [openMutex(t, name), openMutex(t, name)]
  a.close()
  t.deepEqual(objectsOf(name), [`millrace.x.${name}`])
  t.true(Mutex.unlink(name))
  t.false(Mutex.unlink(name))
  t.truthy(b.tryLock())
  t.truthy(openMutex(t, name).tryLock(), 'a new mutex of the same name')
})

test('at most 56 handles are open at a time', (t) => {
  const name = uniqueName(t)
  const handles = Array.from({ length: 56 }, () => openMutex(t, name))
  t.throws(() => Mutex.open(name), { ...code('NO_LANE'), message: /56/ })
  handles[30]!.close()
  t.notThrows(() => openMutex(t, name))
})

test('options are judged before anything is opened', async (t) => {
  const name = uniqueName(t)
  for (const options of [{ mode: 0o777 }, { mode: 'x' }, { owner: -1 }, { poll: -1 }, 7, null]) {
    t.throws(() => Mutex.open(name, options as never), code('INVALID_ARGUMENT'))
  }
  t.throws(() => Mutex.open(''), code('INVALID_NAME'))
  t.throws(() => Mutex.open('a/b'), code('INVALID_NAME'))
  t.throws(() => Mutex.open(7 as never), code('INVALID_ARGUMENT'))
  t.deepEqual(objectsOf(name), [])
  const [a, b] = [openMutex(t, name), openMutex(t, name)]
  a.tryLock()
  await t.throwsAsync(b.lock({ timeout: -1 }), code('INVALID_ARGUMENT'))
  await t.throwsAsync(b.lock({ signal: 7 as never }), code('INVALID_ARGUMENT'))
  t.throws(() => b.lockSync({ timeout: 'x' as never }), code('INVALID_ARGUMENT'))
})

test('impossible words end in an error, and close the handle', async (t) => {
  const name = uniqueName(t)
  const [a, b] = [openMutex(t, name), openMutex(t, name)]
  const guard = a.tryLock()!
  const wait = b.lock(soon)
  pokeWord('x', name, wordOffset, 1n << 57n)
  await t.throwsAsync(wait, code('CORRUPT'))
  t.true(b.closed)
  t.throws(() => {
    guard.release()
  }, code('CORRUPT'))
  t.true(a.closed)
})

test('rwlock: many read, or one writes', async (t) => {
  const name = uniqueName(t)
  const [a, b, c] = [openRwLock(t, name), openRwLock(t, name), openRwLock(t, name)]
  const reads = [a.tryReadLock()!, await b.readLock(soon)]
  t.is(c.readers, 2)
  t.is(c.writer, 0)
  t.is(c.tryWriteLock(), undefined)
  t.is(a.tryWriteLock(), undefined, 'reading is not raised to writing')
  for (const guard of reads) guard.release()
  const writes = c.writeLockSync(soon)
  t.is(a.writer, process.pid)
  t.is(a.readers, 0)
  t.is(a.tryReadLock(), undefined)
  t.throws(() => a.readLockSync({ timeout: 1 }), code('TIMEOUT'))
  await t.throwsAsync(a.writeLock({ timeout: 1 }), code('TIMEOUT'))
  writes.release()
  t.is(await a.withReadLock(() => a.readers), 1)
  t.is(await a.withWriteLock((guard) => [guard.abandoned, a.writer].join()), `false,${process.pid}`)
  a.readLockSync(soon).release()
})

test('rwlock: a new reader stays behind a waiting writer, and goes in with the others', async (t) => {
  const name = uniqueName(t)
  const open = () => openRwLock(t, name)
  const order: string[] = []
  const first = open().tryReadLock()!
  const enter = async (who: string, wait: Promise<LockGuard>) => {
    const guard = await wait
    order.push(who)
    return guard
  }
  const writer = enter('writer', open().writeLock(soon))
  t.is(open().tryReadLock(), undefined)
  const readers = ['second', 'third'].map((who) => enter(who, open().readLock(soon)))
  first.release()
  const writing = await writer
  t.deepEqual(order, ['writer'])
  writing.release()
  const reading = await Promise.all(readers)
  t.deepEqual(order, ['writer', 'second', 'third'])
  for (const guard of reading) guard.release()
})

test('rwlock: when a waiting writer gives up, readers behind it join those inside', async (t) => {
  const name = uniqueName(t)
  const [inside, writer, reader] = [openRwLock(t, name), openRwLock(t, name), openRwLock(t, name)]
  const first = inside.tryReadLock()!
  const controller = new AbortController()
  const write = writer.writeLock({ signal: controller.signal })
  const read = reader.readLock(soon)
  controller.abort()
  await t.throwsAsync(write, code('ABORTED'))
  const second = await read
  t.is(inside.readers, 2)
  first.release()
  second.release()
})

test('rwlock: readers are told of an abandonment, too, and mend nothing', (t) => {
  const name = uniqueName(t)
  const [a, b] = [openRwLock(t, name), openRwLock(t, name)]
  a.tryReadLock()!.abandon()
  const clean = b.tryWriteLock()!
  t.false(clean.abandoned, 'a reader leaves nothing half done')
  clean.abandon()
  const told = a.tryReadLock()!
  t.true(told.abandoned)
  told.release()
  const mending = b.tryWriteLock()!
  t.true(mending.abandoned)
  mending.release()
  t.false(a.tryReadLock()!.abandoned)
})

test('rwlock: unlink, using, and a name that is not a mutex', (t) => {
  const name = uniqueName(t)
  using lock = RwLock.open(name)
  using mutex = Mutex.open(name)
  t.truthy(lock.tryWriteLock())
  t.truthy(mutex.tryLock())
  t.true(RwLock.unlink(name))
  t.false(RwLock.unlink(name))
})
