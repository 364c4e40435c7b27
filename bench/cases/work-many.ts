// Jobs from many processes to as many others, each of which waits where it has nothing to do. Nanoseconds a job, of all together
// and of the slowest worker.

import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'

import { WorkQueue } from 'millrace/work'

import { member } from '../side/crew.js'
import type { Measured } from '../side/measured.js'
import type { Parameters } from '../side/parameters.js'
import { Tallies } from '../side/tallies.js'

/** So many processes take their time until each has had its turns. */
const leastWarmUp = 400
const leastStretch = 500

export async function lead(parameters: Parameters): Promise<Measured> {
  const { name, many = 1, jobs, warmUp, stretch } = parameters
  const queue = WorkQueue.open(name, { jobs })
  const tallies = new Tallies(name, many)
  const indexes = Array.from({ length: many }, (_, index) => index)
  const start = (caseName: string) =>
    Promise.all(indexes.map((index) => member(caseName, { ...parameters, index })))
  const crew = [...(await start('work-many-worker')), ...(await start('work-many-producer'))]
  await sleep(Math.max(warmUp, leastWarmUp))
  const before = tallies.now()
  const from = performance.now()
  await sleep(Math.max(stretch, leastStretch))
  const after = tallies.now()
  const nanoseconds = (performance.now() - from) * 1e6
  // They are in the midst of it; what they leave goes with the name.
  await Promise.all(
    crew.map(async ({ process: one }) => {
      const ended = once(one, 'exit')
      one.kill('SIGKILL')
      await ended
    }),
  )
  queue.close()
  WorkQueue.unlink(name)
  tallies.close()
  const done = after.map((count, index) => count - before[index]!)
  const sum = done.reduce((all, one) => all + one, 0)
  const slowest = { p50: nanoseconds / Math.max(1, Math.min(...done)) }
  return { p50: nanoseconds / sum, mean: nanoseconds / sum, samples: sum, parts: { slowest } }
}
