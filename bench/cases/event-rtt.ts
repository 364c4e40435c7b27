// Round trips over two events, waiting in the event loop.

import { SharedEvent } from 'millrace/sync'

import { Stopwatch, type Measured } from '../side/measured.js'
import type { Parameters } from '../side/parameters.js'

const warmUp = (count: number) => Math.ceil(count / 5)

export async function lead({ name, count }: Parameters): Promise<Measured> {
  using there = SharedEvent.open(`${name}.there`)
  using back = SharedEvent.open(`${name}.back`)
  const stopwatch = new Stopwatch()
  await back.wait() // the other one is ready
  for (let i = -warmUp(count); i < count; i++) {
    if (i >= 0) stopwatch.start()
    there.set()
    await back.wait()
    if (i >= 0) stopwatch.stop()
  }
  return stopwatch.result()
}

export async function follow({ name, count }: Parameters): Promise<void> {
  using there = SharedEvent.open(`${name}.there`)
  using back = SharedEvent.open(`${name}.back`)
  back.set()
  for (let i = -warmUp(count); i < count; i++) {
    await there.wait()
    back.set()
  }
}
