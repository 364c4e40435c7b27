// Two processes that want a mutex all the time, and block for it; per turn of either.

import { Barrier, Counter, Mutex } from 'millrace/sync'

import { perMessage, type Measured } from '../side/measured.js'
import type { Parameters } from '../side/parameters.js'

/** Takes turns until both together have had `count`, and a tenth of that before for warming up. */
async function takeTurns({ name, count }: Parameters): Promise<Measured> {
  using mutex = Mutex.open(name)
  using turns = Counter.open(`${name}.turns`)
  using start = Barrier.open(`${name}.start`, { parties: 2 })
  await start.wait()
  const warmUp = Math.ceil(count / 10)
  let first = 0
  let startedAt = 0
  for (;;) {
    using _guard = mutex.lockSync()
    const made = Number(turns.add())
    if (made >= warmUp && startedAt === 0) {
      first = made
      startedAt = performance.now()
    }
    if (made >= warmUp + count) return perMessage(startedAt, made - first)
  }
}

export function lead(parameters: Parameters): Promise<Measured> {
  return takeTurns(parameters)
}

export async function follow(parameters: Parameters): Promise<void> {
  await takeTurns(parameters)
}
