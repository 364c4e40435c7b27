// Locks around a number that nothing else protects, and all the other primitives that many share; each of them is
// held by three processes at once.

import { SharedMemory, type MillraceError } from 'millrace'
import { Barrier, Counter, Mutex, RwLock, Semaphore, SharedEvent } from 'millrace/sync'

import { none, patience, pause, same, some, type Counts, type Load, type Shift } from '../load.js'

const processes = ['left', 'right', 'visitors'] as const

export const sync: Load = {
  parts: Object.fromEntries(processes.map((process) => [process, take])),
  judge(counts) {
    const all = Object.values(counts)
    const sum = (what: string) => all.reduce((total, part) => total + (part[what] ?? NaN), 0)
    const most = (what: string) => Math.max(...all.map((part) => part[what] ?? NaN))
    return [
      ...some('locks taken', sum('locked')),
      ...same('locks taken and counted under the lock', sum('locked'), most('lockedTotal')),
      ...same('additions made and counted', sum('added'), most('addedTotal')),
      ...none('writers seen by readers', sum('disturbed')),
      ...same('permits that came back', sum('missing'), 0),
      ...some('turns of the barrier', most('turns')),
      ...some('signals that let somebody pass', sum('passed')),
    ]
  },
}

async function take({ name, over }: Shift): Promise<Counts> {
  using memory = await openMemory(name('m'))
  using mutex = Mutex.open(name('x'))
  using rwlock = RwLock.open(name('w'))
  using counter = Counter.open(name('n'))
  using semaphore = Semaphore.openOrCreate(name('s'), 2)
  using event = SharedEvent.open(name('e'))
  using barrier = Barrier.open(name('b'), { parties: processes.length })
  const words = memory.view(Float64Array)
  const counts = { locked: 0, added: 0, disturbed: 0, turns: 0, passed: 0, missing: 0 }

  await barrier.wait(patience) // all are here, and nobody's objects are new any more
  await Promise.all([locking(), reading(), counting(), permitting(), passing(), meeting()])
  await finish()
  const lockedTotal = words[0]!
  const addedTotal = counter.toNumber()
  return { ...counts, lockedTotal, addedTotal }

  async function meeting(): Promise<void> {
    while (!over()) {
      await pause(2)
      await barrier.wait({ timeout: 50 }).then(() => counts.turns++, late)
    }
  }
  async function locking(): Promise<void> {
    while (!over()) {
      using guard = await mutex.lock(patience)
      const before = words[0]!
      if (counts.locked % 10 === 0) await pause(1)
      words[0] = before + 1
      counts.locked++
      guard.release()
      await mutex.lock({ timeout: 0.5 }).then((held) => {
        held.release()
      }, late)
    }
  }
  async function reading(): Promise<void> {
    for (let i = 0; !over(); i++) {
      if (i % 5 === 0) {
        using _ = await rwlock.writeLock(patience)
        words[1] = 1
        await Promise.resolve()
        words[1] = 0
      } else {
        using _ = await rwlock.readLock(patience)
        if (words[1] !== 0) counts.disturbed++
      }
      if (i % 4 === 0) await pause(1)
    }
  }
  async function counting(): Promise<void> {
    while (!over()) {
      for (let i = 0; i < 10; i++) counter.add()
      counts.added += 10
      await pause(1)
    }
  }
  async function permitting(): Promise<void> {
    while (!over()) {
      using _ = await semaphore.acquire(patience)
      await pause(1)
    }
  }
  async function passing(): Promise<void> {
    while (!over()) {
      event.set()
      await event.wait({ timeout: 5 }).then(() => counts.passed++, late)
      await pause(1)
    }
  }
  /** The totals are final when all have come to this point. */
  async function finish(): Promise<void> {
    using last = Barrier.open(name('end'), { parties: processes.length })
    await last.wait(patience)
    if ((await last.wait(patience)).serial) {
      counts.missing = 2 - semaphore.value
      semaphore.unlink()
      SharedMemory.unlink(name('m'))
    }
  }
}

/** Whoever comes first makes it. */
async function openMemory(name: string): Promise<SharedMemory> {
  for (;;) {
    for (const open of [() => SharedMemory.open(name), () => SharedMemory.create(name, 4096)]) {
      try {
        return open()
      } catch (error) {
        if (!/NOT_FOUND|EXISTS/.test((error as MillraceError).code)) throw error
      }
    }
    await pause(1)
  }
}

/** A time-out is what some of these waits are for. */
function late(error: unknown): void {
  if ((error as { code?: string }).code !== 'ERR_MILLRACE_TIMEOUT') throw error
}
