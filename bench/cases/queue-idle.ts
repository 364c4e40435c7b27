// A process with many queues, each with a wait that nobody will end: what waiting costs. Nanoseconds of processor
// time in a second.

import { setTimeout as sleep } from 'node:timers/promises'

import { SpscQueue } from 'millrace'

import { checked, type Measured } from '../side/measured.js'
import type { Parameters } from '../side/parameters.js'

const settling = 1500
const watching = 2000

export async function lead({ name, check, many = 1 }: Parameters): Promise<Measured> {
  const queues = Array.from({ length: many }, (_, i) =>
    SpscQueue.consumer(`${name}.${String(i)}`, { capacity: 4096 }),
  )
  const waits = queues.map((queue) => queue.pop().catch(() => undefined))
  let measured = checked
  if (!check) {
    await sleep(settling)
    const before = process.cpuUsage()
    const start = performance.now()
    await sleep(watching)
    const { user, system } = process.cpuUsage(before)
    const seconds = (performance.now() - start) / 1e3
    measured = { p50: ((user + system) * 1e3) / seconds, samples: 1 }
  }
  for (const queue of queues) queue.close()
  await Promise.all(waits)
  return measured
}
