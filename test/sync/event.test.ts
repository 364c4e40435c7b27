// What an event promises.

import test, { type ExecutionContext } from 'ava'
import { SharedEvent, type SharedEventOptions } from 'millrace/sync'

import { actor } from '../support/actor.js'
import { runCxx } from '../support/cxx.js'
import { objectsOf, uniqueName } from '../support/names.js'
import { thread, type Thread } from '../support/thread.js'
import { until } from '../support/until.js'

const soon = { timeout: 15_000 }
const aTurn = () => new Promise((resolve) => setImmediate(resolve))

function open(t: ExecutionContext, name: string, options?: SharedEventOptions): SharedEvent {
  const event = SharedEvent.open(name, options)
  t.teardown(() => {
    event.close()
  })
  return event
}

function startWorker(t: ExecutionContext, name: string, role: string): Thread {
  const workerData = { primitive: 'event', role, name }
  return thread(t, new URL('./fixtures/party-worker.js', import.meta.url), { workerData })
}

test('auto reset: a signal lets one wait pass, signals that nobody waits for are one', async (t) => {
  const name = uniqueName(t)
  const setter = open(t, name)
  const waiter = open(t, name)
  t.is(setter.resetKind, 'auto')
  t.false(waiter.isSet)
  t.false(waiter.tryWait())
  setter.set()
  setter.set()
  t.true(waiter.isSet)
  await waiter.wait()
  t.false(waiter.isSet)
  await t.throwsAsync(waiter.wait({ timeout: 10 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  setter.set()
  waiter.waitSync()
  t.throws(
    () => {
      waiter.waitSync({ timeout: 10 })
    },
    { code: 'ERR_MILLRACE_TIMEOUT' },
  )
  setter.set()
  setter.reset()
  t.false(waiter.tryWait())
})

for (const [how, tuning] of Object.entries({ asleep: { poll: 0 }, polling: {} })) {
  test(`auto reset: each signal lets exactly one of many waits pass, ${how}`, async (t) => {
    const name = uniqueName(t)
    const setter = open(t, name)
    const handles = Array.from({ length: 5 }, () => open(t, name, tuning))
    let passed = 0
    const waits = [...handles, ...handles].map(async (handle) => {
      await handle.wait(soon)
      passed++
    })
    for (let sets = 1; sets <= 4; sets++) {
      setter.set()
      await until(() => passed === sets)
      await aTurn()
      t.is(passed, sets)
    }
    for (let sets = 0; sets < 6; sets++) setter.set()
    await Promise.all(waits)
    t.is(passed, 10)
    t.false(setter.isSet)
  })
}

test('a wait that gives up takes no signal', async (t) => {
  const name = uniqueName(t)
  const setter = open(t, name)
  const waiter = open(t, name)
  const controller = new AbortController()
  const aborted = t.throwsAsync(waiter.wait({ signal: controller.signal }), {
    code: 'ERR_MILLRACE_ABORTED',
  })
  const patient = waiter.wait(soon)
  controller.abort()
  setter.set()
  await aborted
  await patient
  t.false(setter.isSet)
  setter.set()
  await t.throwsAsync(waiter.wait({ signal: AbortSignal.abort() }), {
    code: 'ERR_MILLRACE_ABORTED',
  })
  t.true(setter.isSet)
  setter.reset()
  await t.throwsAsync(waiter.wait({ timeout: -1 }), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
})

test('waits that give up at the moment of a signal: it is taken once, or still there', async (t) => {
  const name = uniqueName(t)
  const setter = open(t, name)
  const waiter = open(t, name, { poll: 0 })
  let passed = 0
  let signals = 0
  for (let round = 0; round < 300; round++) {
    const controller = new AbortController()
    const wait = waiter.wait({ signal: controller.signal }).then(
      () => {
        passed++
      },
      () => undefined,
    )
    if (round % 3 === 0) await aTurn()
    if (!setter.isSet) signals++
    setter.set()
    if (round % 2 === 0) await aTurn()
    controller.abort()
    await wait
  }
  if (setter.tryWait()) passed++
  t.is(passed, signals)
})

test('the own handle may set what it waits for', async (t) => {
  const event = open(t, uniqueName(t), { poll: 0 })
  const waits = [event.wait(soon), event.wait(soon)]
  await aTurn()
  event.set()
  event.set()
  await t.notThrowsAsync(Promise.all(waits))
})

test('manual reset: it lets everybody pass until it is reset, and who waited in any case', async (t) => {
  const name = uniqueName(t)
  const setter = open(t, name, { reset: 'manual' })
  const waiters = Array.from({ length: 3 }, () => open(t, name, { poll: 0 }))
  t.is(waiters[0]!.resetKind, 'manual')
  const waits = waiters.map((waiter) => waiter.wait(soon))
  await aTurn()
  setter.set()
  setter.reset()
  await Promise.all(waits)
  t.false(setter.isSet)
  await t.throwsAsync(waiters[0]!.wait({ timeout: 5 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  setter.set()
  await waiters[0]!.wait()
  waiters[0]!.waitSync()
  t.true(waiters[0]!.tryWait())
  t.true(setter.isSet)
})

test('the kind of reset is part of the name', (t) => {
  const name = uniqueName(t)
  const event = open(t, name, { reset: 'manual' })
  t.throws(() => open(t, name, { reset: 'auto' }), {
    code: 'ERR_MILLRACE_GEOMETRY',
    message: /exists with reset 'manual', not 'auto'/,
  })
  event.close()
  open(t, name, { reset: 'auto' })
})

test('it goes with its last handle, unless it is kept', (t) => {
  const name = uniqueName(t)
  {
    using event = SharedEvent.open(name)
    event.set()
  }
  t.deepEqual(objectsOf(name), [])
  {
    using event = SharedEvent.open(name, { keep: true })
    event.set()
  }
  {
    using event = SharedEvent.open(name)
    t.true(event.tryWait())
  }
  t.true(SharedEvent.unlink(name))
  t.false(SharedEvent.unlink(name))
})

test('a closed handle says so, to waits as well', async (t) => {
  const name = uniqueName(t)
  const event = open(t, name)
  const wait = t.throwsAsync(event.wait(), { code: 'ERR_MILLRACE_CLOSED' })
  event.close()
  await wait
  const closed = { code: 'ERR_MILLRACE_CLOSED' }
  t.throws(() => {
    event.set()
  }, closed)
  t.throws(() => {
    event.reset()
  }, closed)
  t.throws(() => event.isSet, closed)
  t.throws(() => event.tryWait(), closed)
  t.throws(() => {
    event.waitSync()
  }, closed)
  await t.throwsAsync(event.wait(), closed)
})

test('a blocking wait does not overtake', async (t) => {
  const event = open(t, uniqueName(t))
  const wait = event.wait(soon)
  t.throws(
    () => {
      event.waitSync()
    },
    { code: 'ERR_MILLRACE_BUSY' },
  )
  t.false(event.tryWait())
  event.set()
  await wait
})

test('wrong options are named', (t) => {
  const name = uniqueName(t)
  const invalid = (message: RegExp) => ({ code: 'ERR_MILLRACE_INVALID_ARGUMENT', message })
  t.throws(() => SharedEvent.open(name, { reset: 'automatic' as never }), invalid(/reset must be/))
  t.throws(() => SharedEvent.open(name, { keep: 1 as never }), invalid(/keep/))
  t.throws(() => SharedEvent.open(name, { poll: -1 }), invalid(/poll/))
  t.throws(() => SharedEvent.open(7 as never), invalid(/name/))
})

test.serial('a set in one process wakes a wait in another', async (t) => {
  const name = uniqueName(t)
  const there = open(t, name)
  const back = open(t, uniqueName(t))
  const other = actor(t)
  await other.do(
    ({ SharedEvent, own }, there, back) => {
      own['there'] = SharedEvent.open(there, { poll: 0 })
      own['back'] = SharedEvent.open(back)
    },
    name,
    back.name,
  )
  const echo = other.do(async ({ own }) => {
    const there = own['there'] as import('millrace/sync').SharedEvent
    const back = own['back'] as import('millrace/sync').SharedEvent
    for (let i = 0; i < 200; i++) {
      await there.wait({ timeout: 15_000 })
      back.set()
    }
  })
  let answers = 0
  for (; answers < 200; answers++) {
    there.set()
    await back.wait(soon)
  }
  await echo
  t.is(answers, 200)
  t.false(back.isSet, 'one answer for each call, and no more')
  await other.leave()
})

test.serial('a signal goes to whoever lives when the one that waits is killed', async (t) => {
  const name = uniqueName(t)
  const setter = open(t, name)
  for (let round = 0; round < 100; round++) {
    const victim = await runCxx(t, 'test/sync/fixtures/party.cpp', ['event', name])
    await victim.printed('ready')
    const waiter = open(t, name, { poll: 0 })
    const passed = waiter.wait(soon)
    if (round % 2 === 0) await aTurn()
    victim.signal('SIGKILL')
    // Whatever happens to the first: once the victim is dead, one signal is enough.
    setter.set()
    await victim.ended()
    setter.set()
    await t.notThrowsAsync(passed)
    waiter.close()
    setter.reset()
  }
})

test.serial(
  'a setter that is killed between its signal and its wake-ups holds nobody up',
  async (t) => {
    const name = uniqueName(t)
    const waiter = open(t, name, { poll: 0 })
    const victim = await runCxx(t, 'test/sync/fixtures/party.cpp', ['mute', name])
    await victim.printed('ready')
    let done = false
    const passed = waiter.wait(soon).then(() => {
      done = true
    })
    await victim.printed('set')
    t.false(done)
    await victim.kill()
    await passed
    t.false(waiter.isSet)
  },
)

test.serial('waitSync in a worker is let pass; terminate ends one that waits', async (t) => {
  const name = uniqueName(t)
  const event = open(t, name)
  const worker = startWorker(t, name, 'block')
  t.is(await worker.next(), 'ready')
  const passed = worker.next()
  event.set()
  t.is(await passed, 'passed')
  for (const role of ['block', 'await']) {
    const other = startWorker(t, name, role)
    t.is(await other.next(), 'ready')
    await other.terminate()
    // It is no longer among those who wait: these are one signal.
    event.set()
    event.set()
    t.true(event.tryWait())
    t.false(event.tryWait())
  }
})
