// What a semaphore does in one process, without waiting in the event loop.

import { rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs'
import test from 'ava'
import { MillraceError } from 'millrace'
import { Permit, Semaphore } from 'millrace/sync'

import { objectsOf, uniqueName } from '../support/names.js'
import { createSemaphore, openSemaphore, semaphorePath } from '../support/semaphores.js'

const invalid = 'ERR_MILLRACE_INVALID_ARGUMENT'

test('permits are counted, whichever object takes and posts them', (t) => {
  const mine = createSemaphore(t, 2)
  const other = openSemaphore(t, mine.name)
  t.is(mine.value, 2)
  t.true(mine.tryWait())
  t.true(other.tryWait())
  t.false(mine.tryWait())
  t.false(other.tryWait())
  other.post()
  mine.post(2)
  mine.post(0)
  t.is(other.value, 3)
})

test('create makes a new one, open finds one, openOrCreate does either', (t) => {
  const name = uniqueName(t)
  t.throws(() => Semaphore.open(name), { code: 'ERR_MILLRACE_NOT_FOUND' })
  using first = Semaphore.openOrCreate(name, 3)
  t.true(first.created)
  t.is(first.name, name)
  using second = Semaphore.openOrCreate(name, 7)
  t.false(second.created)
  t.is(second.value, 3)
  t.throws(() => Semaphore.create(name, 1), { code: 'ERR_MILLRACE_EXISTS' })
  using third = Semaphore.open(name)
  t.false(third.created)
  t.true(first.unlink())
  t.false(first.unlink())
  t.false(Semaphore.unlink(name))
  t.deepEqual(objectsOf(name), [])
})

test('closing leaves the semaphore and its value alone', (t) => {
  const name = uniqueName(t)
  const semaphore = Semaphore.create(name, 5)
  t.true(semaphore.tryWait())
  t.false(semaphore.closed)
  semaphore.close()
  t.true(semaphore.closed)
  t.notThrows(() => semaphore.close())
  t.is(openSemaphore(t, name).value, 4)
  t.true(semaphore.unlink(), 'the name is all it takes')
})

test('without its name a semaphore goes on for those who have it', (t) => {
  const mine = createSemaphore(t, 0)
  const other = openSemaphore(t, mine.name)
  Semaphore.unlink(mine.name)
  using fresh = Semaphore.create(mine.name, 9)
  mine.post()
  t.true(other.tryWait())
  t.is(fresh.value, 9)
})

test('a closed semaphore refuses every call', async (t) => {
  const semaphore = createSemaphore(t, 1)
  semaphore.close()
  const closed = { code: 'ERR_MILLRACE_CLOSED', instanceOf: MillraceError }
  t.throws(() => semaphore.tryWait(), closed)
  t.throws(() => semaphore.tryAcquire(), closed)
  t.throws(() => semaphore.waitSync(), closed)
  t.throws(() => semaphore.acquireSync(), closed)
  t.throws(() => semaphore.post(), closed)
  t.throws(() => semaphore.value, closed)
  await t.throwsAsync(semaphore.wait(), closed)
  await t.throwsAsync(semaphore.acquire(), closed)
})

test('what does not fit is not posted at all, and the error tells the limit', (t) => {
  const semaphore = createSemaphore(t, Semaphore.maxValue)
  const full = {
    code: 'ERR_MILLRACE_TOO_LARGE',
    message: new RegExp(`at most ${Semaphore.maxValue} permits`),
  }
  t.throws(() => semaphore.post(), full)
  t.true(semaphore.tryWait())
  t.throws(() => semaphore.post(2), full)
  t.throws(() => semaphore.post(Semaphore.maxValue), full)
  t.is(semaphore.value, Semaphore.maxValue - 1)
  semaphore.post()
  t.is(semaphore.value, Semaphore.maxValue)
})

test('wrong arguments are named', (t) => {
  const name = uniqueName(t)
  for (const initial of [-1, 1.5, NaN, Infinity, Semaphore.maxValue + 1, '1', undefined]) {
    t.throws(() => Semaphore.create(name, initial as never), { code: invalid }, String(initial))
  }
  for (const mode of [0o640, 0o666, 0o400, 0o4600, 0]) {
    t.throws(() => Semaphore.create(name, 1, { mode }), { code: invalid }, mode.toString(8))
    t.throws(() => Semaphore.open(name, { mode }), { code: invalid }, mode.toString(8))
  }
  t.throws(() => Semaphore.create(name, 1, null as never), { code: invalid })
  t.throws(() => Semaphore.create(7 as never, 1), { code: invalid })
  t.throws(() => Semaphore.create(name, 1, { poll: -1 }), { code: invalid })
  t.throws(() => Semaphore.open(name, { owner: -1 }), { code: invalid })
  for (const bad of ['', '/x', 'a b', '.x', 'millrace.q.x']) {
    t.throws(() => Semaphore.create(bad, 1), { code: 'ERR_MILLRACE_INVALID_NAME' }, bad)
    t.throws(() => Semaphore.unlink(bad), { code: 'ERR_MILLRACE_INVALID_NAME' }, bad)
  }
  t.throws(() => Semaphore.open('x'.repeat(241)), { code: 'ERR_MILLRACE_NAME_TOO_LONG' })
  t.deepEqual(objectsOf(name), [])

  const semaphore = createSemaphore(t, 1)
  for (const count of [-1, 1.5, NaN, Semaphore.maxValue + 1, '1']) {
    t.throws(() => semaphore.post(count as never), { code: invalid }, String(count))
  }
  t.throws(() => semaphore.waitSync({ timeout: -1 }), { code: invalid })
  t.throws(() => semaphore.waitSync({ spin: '1' as never }), { code: invalid })
  t.throws(() => semaphore.waitSync(null as never), { code: invalid })
  t.is(semaphore.value, 1)
})

test('the mode is exact and judged on opening', (t) => {
  const name = uniqueName(t)
  using wide = Semaphore.create(name, 1, { mode: 0o660 })
  t.is(statSync(semaphorePath(name)).mode & 0o7777, 0o660)
  t.throws(() => Semaphore.open(name), { code: 'ERR_MILLRACE_NOT_OURS', message: /mode 0660/ })
  using again = Semaphore.open(name, { mode: 0o660 })
  t.is(again.value, 1)
  t.throws(() => Semaphore.open(name, { mode: 0o660, owner: 4711 }), {
    code: 'ERR_MILLRACE_NOT_OURS',
    message: /not to 4711/,
  })
  wide.unlink()
})

test('a file that is no semaphore is an error and no crash', (t) => {
  const name = uniqueName(t, { mayLeave: true })
  const file = semaphorePath(name)
  const layout = { code: 'ERR_MILLRACE_LAYOUT', message: /holds no semaphore/ }
  const { size } = (() => {
    using model = createSemaphore(t, 0)
    return statSync(semaphorePath(model.name))
  })()
  writeFileSync(file, '', { mode: 0o600 })
  for (const bytes of [0, 1, size - 1, size + 1, 4096]) {
    truncateSync(file, bytes)
    t.throws(() => Semaphore.open(name), layout, String(bytes))
    t.throws(() => Semaphore.openOrCreate(name, 1), layout, String(bytes))
  }
  t.throws(() => Semaphore.create(name, 1), { code: 'ERR_MILLRACE_EXISTS' })
  if (file.includes('/sem.')) {
    writeFileSync(file, Buffer.alloc(size, 0xff))
    t.throws(() => Semaphore.open(name), layout)
  }
  rmSync(file)
  symlinkSync('/etc/hostname', file)
  const link = { code: 'ERR_MILLRACE_NOT_OURS', message: /symbolic link/ }
  t.throws(() => Semaphore.open(name), link)
  t.throws(() => Semaphore.openOrCreate(name, 1), link)
})

test('a permit is given back once', (t) => {
  const semaphore = createSemaphore(t, 1)
  const permit = semaphore.tryAcquire()!
  t.true(permit instanceof Permit)
  t.is(semaphore.tryAcquire(), undefined)
  t.false(permit.released)
  permit.release()
  t.true(permit.released)
  permit.release()
  permit[Symbol.dispose]()
  t.is(semaphore.value, 1)
})

test('`using` gives a permit back, also when the block throws', async (t) => {
  const semaphore = createSemaphore(t, 1)
  {
    using _permit = semaphore.acquireSync()
    t.is(semaphore.value, 0)
  }
  t.is(semaphore.value, 1)
  const failing = async () => {
    using _permit = await semaphore.acquire()
    t.is(semaphore.value, 0)
    throw new Error('on purpose')
  }
  await t.throwsAsync(failing, { message: 'on purpose' })
  t.is(semaphore.value, 1)
})

test('a permit can be given back after the close', (t) => {
  const semaphore = createSemaphore(t, 2)
  const permits = [semaphore.tryAcquire()!, semaphore.tryAcquire()!]
  semaphore.close()
  const other = openSemaphore(t, semaphore.name)
  t.is(other.value, 0)
  for (const [index, permit] of permits.entries()) {
    permit.release()
    permit.release()
    t.is(other.value, index + 1)
  }
})

test('a permit whose handle is closed before its promise is delivered is not lost', async (t) => {
  const name = uniqueName(t)
  using probe = Semaphore.create(name, 3)
  const semaphore = Semaphore.open(name)
  const pending = semaphore.acquire() // there is one: it is taken at once
  semaphore.close()
  const permit = await pending
  t.is(probe.value, 2)
  permit.release()
  t.is(probe.value, 3)
  probe.unlink()
})

test('a permit for which there is no room any more says so, and is gone', (t) => {
  const semaphore = createSemaphore(t, Semaphore.maxValue)
  const permit = semaphore.tryAcquire()!
  semaphore.post()
  t.throws(() => permit.release(), { code: 'ERR_MILLRACE_TOO_LARGE' })
  t.true(permit.released)
  t.notThrows(() => permit.release())
  t.is(semaphore.value, Semaphore.maxValue)
})

test('a blocking wait takes what is there, and gives up in time', (t) => {
  const semaphore = createSemaphore(t, 1)
  semaphore.waitSync()
  for (const options of [{ timeout: 0 }, { timeout: 30 }, { timeout: 30, spin: 100 }]) {
    const start = performance.now()
    t.throws(() => semaphore.waitSync(options), {
      code: 'ERR_MILLRACE_TIMEOUT',
      message: new RegExp(`within ${options.timeout} ms`),
    })
    t.true(performance.now() - start >= options.timeout)
  }
  semaphore.post()
  t.true(semaphore.tryWait(), 'a wait that gave up holds nothing')
})
