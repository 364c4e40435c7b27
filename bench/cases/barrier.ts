// Two processes that meet at a barrier again and again, waiting in the event loop.

import { Barrier } from 'millrace/sync'

import { Stopwatch, type Measured } from '../side/measured.js'
import type { Parameters } from '../side/parameters.js'

export async function lead({ name, count }: Parameters): Promise<Measured> {
  using barrier = Barrier.open(name, { parties: 2 })
  const stopwatch = new Stopwatch()
  await barrier.wait()
  for (let i = 0; i < count; i++) {
    stopwatch.start()
    await barrier.wait()
    stopwatch.stop()
  }
  return stopwatch.result()
}

export async function follow({ name, count }: Parameters): Promise<void> {
  using barrier = Barrier.open(name, { parties: 2 })
  for (let i = 0; i <= count; i++) await barrier.wait()
}
