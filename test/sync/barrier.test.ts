// What a barrier promises.

import test, { type ExecutionContext } from 'ava'
import { Barrier } from 'millrace/sync'

import { actor, type Actor } from '../support/actor.js'
import { runCxx } from '../support/cxx.js'
import { objectsOf, uniqueName } from '../support/names.js'
import { pokeWord } from '../support/segments.js'
import { thread } from '../support/thread.js'
import { until } from '../support/until.js'

const soon = { timeout: 15_000 }
const aTurn = () => new Promise((resolve) => setImmediate(resolve))

function open(t: ExecutionContext, name: string, parties: number, poll?: number): Barrier {
  const barrier = Barrier.open(name, { parties, poll })
  t.teardown(() => {
    barrier.close()
  })
  return barrier
}

async function joinIn(other: Actor, name: string, parties: number): Promise<void> {
  await other.do(
    ({ Barrier, own }, name, parties) => {
      own['barrier'] = Barrier.open(name, { parties, poll: 0 })
    },
    name,
    parties,
  )
}

/** Starts a wait there, whose result is asked for later. */
async function waitIn(other: Actor): Promise<void> {
  await other.do(({ own }) => {
    own.pending = (own['barrier'] as import('millrace/sync').Barrier).wait({ timeout: 15_000 })
    own.pending.catch(() => undefined)
  })
}

const result = (other: Actor) => other.do(({ own }) => own.pending)

for (const [how, poll] of Object.entries({ asleep: 0, polling: undefined })) {
  test(`all go on when the last one has come, ${how}; one of them is told apart`, async (t) => {
    const name = uniqueName(t)
    const parties = Array.from({ length: 3 }, () => open(t, name, 3, poll))
    for (let generation = 1; generation <= 50; generation++) {
      const first = parties[0]!.wait(soon)
      const second = parties[1]!.wait(soon)
      t.is(parties[2]!.arrived, 2)
      if (generation % 2 === 0) await aTurn()
      const turns = await Promise.all([first, second, parties[2]!.wait(soon)])
      t.deepEqual(turns, [
        { generation, serial: false },
        { generation, serial: false },
        { generation, serial: true },
      ])
    }
    t.is(parties[0]!.parties, 3)
  })
}

test('who gives up takes its arrival back', async (t) => {
  const name = uniqueName(t)
  const a = open(t, name, 2)
  const b = open(t, name, 2)
  const controller = new AbortController()
  const aborted = t.throwsAsync(a.wait({ signal: controller.signal }), {
    code: 'ERR_MILLRACE_ABORTED',
  })
  t.is(b.arrived, 1)
  controller.abort()
  t.is(b.arrived, 0)
  await aborted
  await t.throwsAsync(a.wait({ signal: controller.signal }), { code: 'ERR_MILLRACE_ABORTED' })
  await t.throwsAsync(a.wait({ timeout: 10 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  t.throws(() => a.waitSync({ timeout: 10 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  await t.throwsAsync(a.wait({ timeout: NaN }), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
  await t.throwsAsync(a.wait({ signal: 1 as never }), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
  t.is(b.arrived, 0)
  const both = [a.wait(soon), b.wait(soon)]
  t.deepEqual(
    (await Promise.all(both)).map(({ generation }) => generation),
    [1, 1],
  )
})

test('who gives up when all have arrived has succeeded', async (t) => {
  const name = uniqueName(t)
  const a = open(t, name, 2, 0)
  const b = open(t, name, 2, 0)
  for (let generation = 1; generation <= 50; generation++) {
    const controller = new AbortController()
    const early = a.wait({ signal: controller.signal })
    if (generation % 2 === 0) await aTurn()
    const late = b.wait(soon)
    controller.abort()
    t.deepEqual(await early, { generation, serial: false })
    t.deepEqual(await late, { generation, serial: true })
  }
})

test('a handle is one party', async (t) => {
  const name = uniqueName(t)
  const a = open(t, name, 2)
  const waiting = a.wait(soon)
  await t.throwsAsync(a.wait(), { code: 'ERR_MILLRACE_BUSY' })
  t.throws(() => a.waitSync(), { code: 'ERR_MILLRACE_BUSY' })
  await open(t, name, 2).wait(soon)
  await waiting
})

test('as many can open it as it is made for', (t) => {
  const name = uniqueName(t)
  const a = open(t, name, 2)
  open(t, name, 2)
  t.throws(() => open(t, name, 2), { code: 'ERR_MILLRACE_NO_LANE', message: /all 2 seats/ })
  t.throws(() => open(t, name, 3), {
    code: 'ERR_MILLRACE_GEOMETRY',
    message: /exists for 2 parties, not 3/,
  })
  a.close()
  open(t, name, 2)
  const invalid = { code: 'ERR_MILLRACE_INVALID_ARGUMENT', message: /parties/ }
  for (const parties of [0, 57, 1.5, '2', undefined]) {
    t.throws(() => Barrier.open(name, { parties: parties as number }), invalid)
  }
  t.throws(() => Barrier.open(name, undefined as never), invalid)
})

test('one that closes is missed by who waits and who comes, until it is replaced', async (t) => {
  const name = uniqueName(t)
  const [a, b, c] = [open(t, name, 3, 0), open(t, name, 3), open(t, name, 3)]
  const left = {
    code: 'ERR_MILLRACE_CLOSED',
    message: new RegExp(`a party of barrier '${name}' \\(pid ${process.pid}\\) has closed`),
  }
  const waiting = t.throwsAsync(a.wait(soon), left)
  await aTurn()
  b.close()
  await waiting
  await t.throwsAsync(c.wait(soon), left)
  t.throws(() => c.waitSync(soon), left)
  const d = open(t, name, 3)
  await Promise.all([a.wait(soon), c.wait(soon), d.wait(soon)])
  d.close()
  await t.throwsAsync(c.wait(soon), left)
  c.reset()
  const again = [a.wait(soon), c.wait(soon)]
  await aTurn()
  await Promise.all([...again, open(t, name, 3).wait(soon)])
})

test('closing in the middle of a wait ends it; using; unlink', async (t) => {
  const name = uniqueName(t)
  {
    using a = Barrier.open(name, { parties: 2 })
    const waiting = t.throwsAsync(a.wait(), { code: 'ERR_MILLRACE_CLOSED' })
    a.close()
    await waiting
    t.true(a.closed)
    await t.throwsAsync(a.wait(), { code: 'ERR_MILLRACE_CLOSED' })
    t.throws(
      () => {
        a.reset()
      },
      { code: 'ERR_MILLRACE_CLOSED' },
    )
  }
  t.deepEqual(objectsOf(name), [])
  const old = open(t, name, 2)
  t.true(Barrier.unlink(name))
  t.false(Barrier.unlink(name))
  open(t, name, 5)
  t.is(old.arrived, 0)
})

test('a word that cannot be is told, and the handle closes', async (t) => {
  const name = uniqueName(t)
  const barrier = open(t, name, 2, 0)
  // native/include/millrace/layout/parties.hpp: kSharedOffset
  const word = 4096 + 128 + 56 * 128
  const waiting = barrier.wait(soon)
  pokeWord('b', name, word, 9n << 56n)
  barrier.unref().ref()
  await t.throwsAsync(Promise.race([waiting, nudge()]), { code: 'ERR_MILLRACE_CORRUPT' })
  t.true(barrier.closed)

  // Whoever comes wakes the one that sleeps, so that it looks.
  async function nudge(): Promise<never> {
    await aTurn()
    open(t, name, 2)
    return await new Promise<never>(() => undefined)
  }
})

test.serial('processes go through it in step', async (t) => {
  const name = uniqueName(t)
  const others = [actor(t), actor(t)]
  await Promise.all(others.map((other) => joinIn(other, name, 3)))
  const here = open(t, name, 3, 0)
  const serials = Promise.all(
    others.map((other) =>
      other.do(async ({ own }) => {
        const barrier = own['barrier'] as import('millrace/sync').Barrier
        let serial = 0
        for (let i = 1; i <= 100; i++) {
          const turn = await barrier.wait({ timeout: 15_000 })
          if (turn.generation !== i) throw new Error(`generation ${turn.generation}, not ${i}`)
          if (turn.serial) serial++
        }
        return serial
      }),
    ),
  )
  let mine = 0
  for (let i = 1; i <= 100; i++) {
    const turn = await here.wait(soon)
    t.is(turn.generation, i)
    if (turn.serial) mine++
  }
  t.is(
    (await serials).reduce((sum, one) => sum + one, mine),
    100,
  )
  await Promise.all(others.map((other) => other.leave()))
})

test.serial(
  'everybody who waits learns of a death within 100 ms, and so does who comes to wait',
  async (t) => {
    const name = uniqueName(t)
    const here = open(t, name, 3, 0)
    const latencies: number[] = []
    const other = actor(t)
    await joinIn(other, name, 3)
    for (let round = 0; round < 5; round++) {
      const victim = actor(t)
      await joinIn(victim, name, 3)
      if (round % 2 === 0) await waitIn(victim) // it has arrived, or not
      await waitIn(other)
      const gone = {
        code: 'ERR_MILLRACE_PEER_GONE',
        message: new RegExp(`\\(pid ${victim.pid}\\) died`),
      }
      if (round % 2 === 0) {
        // All but us are there.
        await until(() => here.arrived === 2)
        victim.run.signal('SIGKILL')
        await t.throwsAsync(result(other), gone)
        await t.throwsAsync(here.wait(soon), gone)
      } else {
        const waiting = t.throwsAsync(here.wait(soon), gone)
        await until(() => here.arrived === 2)
        await aTurn()
        const start = performance.now()
        victim.run.signal('SIGKILL')
        await waiting
        latencies.push(performance.now() - start)
        await t.throwsAsync(result(other), gone)
      }
      t.throws(() => here.waitSync(soon), gone)
      t.is(here.arrived, 0)
      await victim.run.ended()
    }
    t.log(`${latencies.map((latency) => latency.toFixed(1)).join(', ')} ms`)
    t.true(Math.min(...latencies) < 1000)
    await other.leave()
  },
)

test.serial('C++ parties killed a hundred times: the wait here ends each time', async (t) => {
  const name = uniqueName(t)
  const here = open(t, name, 2, 0)
  let told = 0
  let done = 0
  for (let round = 0; round < 100; round++) {
    const victim = await runCxx(t, 'test/sync/fixtures/party.cpp', ['barrier', name])
    await victim.printed('ready')
    await here.wait(soon)
    done++
    const moment = performance.now() + Math.random()
    let killed = false
    for (;;) {
      if (!killed && performance.now() >= moment) {
        victim.signal('SIGKILL')
        killed = true
      }
      try {
        await here.wait(soon)
        done++
      } catch (error) {
        t.is((error as { code?: string }).code, 'ERR_MILLRACE_PEER_GONE')
        told++
        break
      }
    }
    await victim.ended()
  }
  t.is(told, 100)
  t.log(`${done} turns`)
})

test.serial('a worker that is terminated in mid-wait has left', async (t) => {
  const name = uniqueName(t)
  const here = open(t, name, 2, 0)
  for (const role of ['block', 'await']) {
    const workerData = { primitive: 'barrier', role, name }
    const worker = thread(t, new URL('./fixtures/party-worker.js', import.meta.url), { workerData })
    await until(() => here.arrived === 1, 15_000)
    await here.wait(soon)
    await until(() => here.arrived === 1, 15_000)
    await worker.terminate()
    t.is(here.arrived, 0)
    await t.throwsAsync(here.wait(soon), { code: 'ERR_MILLRACE_CLOSED' })
  }
})

test.serial('process.exit() is leaving in good order', async (t) => {
  const name = uniqueName(t)
  const here = open(t, name, 2, 0)
  const other = actor(t)
  await joinIn(other, name, 2)
  const waiting = t.throwsAsync(here.wait(soon), { code: 'ERR_MILLRACE_CLOSED' })
  other.start(() => process.exit(0))
  await waiting
  await other.run.ended()
})
