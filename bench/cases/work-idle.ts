// Workers that wait for jobs nobody pushes: what waiting costs. Nanoseconds of processor time in a second.

import { setTimeout as sleep } from 'node:timers/promises'

import { WorkQueue } from 'millrace/work'

import type { Measured } from '../side/measured.js'
import type { Parameters } from '../side/parameters.js'

const settling = 1500
const watching = 2000

export async function lead({ name, many = 1 }: Parameters): Promise<Measured> {
  const queues = Array.from({ length: many }, () => WorkQueue.open(name))
  const waits = queues.map((queue) => queue.takeOne().catch(() => undefined))
  await sleep(settling)
  const before = process.cpuUsage()
  const start = performance.now()
  await sleep(watching)
  const { user, system } = process.cpuUsage(before)
  const seconds = (performance.now() - start) / 1e3
  for (const queue of queues) queue.close()
  await Promise.all(waits)
  return { p50: ((user + system) * 1e3) / seconds, samples: 1 }
}
