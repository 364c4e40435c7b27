// A thousand owners killed at random moments, with Node for survivors: none hangs, none gets in with
// another, and an abandonment is told exactly when a writer died inside.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { setTimeout as pause } from 'node:timers/promises'
import test, { type ExecutionContext } from 'ava'
import { SharedMemory } from 'millrace'
import { type LockGuard } from 'millrace/sync'

import { compileCxx } from '../support/cxx.js'
import { openMutex, openRwLock } from '../support/locks.js'
import { uniqueName } from '../support/names.js'
import { until, within } from '../support/until.js'

const deaths = 1000

/** Indices of the numbers that victims and survivors share; see fixtures/lock-victim.cpp. */
const [left, right, phase, writes, turns, told] = [0, 1, 2, 3, 4, 5]
const inside = 2

interface Survivor {
  read(): Promise<LockGuard>
  write(): Promise<LockGuard>
}

async function killThemAll(
  t: ExecutionContext,
  kind: 'mutex' | 'rwlock',
  name: string,
  survivors: readonly Survivor[],
): Promise<void> {
  const victim = await compileCxx('test/sync/fixtures/lock-victim.cpp')
  const memory = SharedMemory.create(name, 4096)
  t.teardown(() => {
    memory.close()
  })
  const numbers = memory.view(Int32Array)
  let [stop, torn, survived] = [false, 0, 0]
  const work = survivors.map(async (survivor, at) => {
    for (let turn = at; !stop; turn++) {
      if (kind === 'rwlock' && turn % 3 === 0) {
        using guard = await survivor.read()
        if (!guard.abandoned && numbers[left] !== numbers[right]) torn++
      } else {
        using guard = await survivor.write()
        if (guard.abandoned) {
          Atomics.add(numbers, told, 1)
          numbers[right] = numbers[left]!
        } else if (numbers[left] !== numbers[right]) torn++
        numbers[left]!++
        numbers[right] = numbers[left]!
      }
      survived++
      await pause(turn % 2)
    }
  })
  let [mustTell, mayTell, seed] = [0, 0, 1]
  for (let death = 0; death < deaths; death++) {
    const before = numbers[turns]!
    numbers[phase] = 0
    const child = spawn(victim, [kind, name], { stdio: ['ignore', 'ignore', 'inherit'] })
    const ended = once(child, 'exit')
    try {
      await until(() => Atomics.load(numbers, turns) > before || child.exitCode !== null)
      seed = (seed * 48271) % 0x7fffffff
      const end = performance.now() + (seed % 1000) / 1000
      while (performance.now() < end) continue
    } finally {
      child.kill('SIGKILL')
    }
    const [exitCode] = (await within(15_000, ended)) as [number | null]
    if (exitCode !== null) throw new Error(`the victim ended with ${exitCode}`)
    if (numbers[writes] === 1) {
      if (numbers[phase] === inside) mustTell++
      if (numbers[phase] !== 0) mayTell++
    }
    const reached = survived
    await until(() => survived > reached + 1, 15_000)
  }
  stop = true
  await within(15_000, Promise.all(work))
  const last = await survivors[0]!.write()
  if (last.abandoned) Atomics.add(numbers, told, 1)
  last.release()
  const toldInAll = numbers[told]!
  t.log(`${mustTell} of ${deaths} died inside, ${toldInAll} were told; ${survived} turns`)
  t.is(torn, 0)
  t.true(mustTell > 0 && mayTell < deaths)
  t.true(toldInAll >= mustTell, `${toldInAll} told of ${mustTell} that died inside`)
  t.true(toldInAll <= mayTell, `${toldInAll} told, only ${mayTell} died inside or close to it`)
}

test.serial('mutex: a thousand deaths', async (t) => {
  t.timeout(240_000)
  const name = uniqueName(t)
  const survivors = [1, 2].map(() => {
    const mutex = openMutex(t, name)
    const take = () => mutex.lock({ timeout: 15_000 })
    return { read: take, write: take }
  })
  await killThemAll(t, 'mutex', name, survivors)
})

test.serial('rwlock: a thousand deaths', async (t) => {
  t.timeout(240_000)
  const name = uniqueName(t)
  const survivors = [1, 2].map(() => {
    const lock = openRwLock(t, name)
    return {
      read: () => lock.readLock({ timeout: 15_000 }),
      write: () => lock.writeLock({ timeout: 15_000 }),
    }
  })
  await killThemAll(t, 'rwlock', name, survivors)
})
