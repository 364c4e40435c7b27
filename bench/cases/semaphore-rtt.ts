// Round trips over two semaphores: a post there, a post back.

import { Semaphore } from 'millrace/sync'

import { Stopwatch, type Measured } from '../side/measured.js'
import type { Parameters } from '../side/parameters.js'

function connect({ name, poll }: Parameters): { there: Semaphore; back: Semaphore } {
  const tuning = poll === undefined ? {} : { poll }
  return {
    there: Semaphore.openOrCreate(`${name}.there`, 0, tuning),
    back: Semaphore.openOrCreate(`${name}.back`, 0, tuning),
  }
}

const warmUp = (count: number) => Math.ceil(count / 10)

export async function lead(parameters: Parameters): Promise<Measured> {
  const { count, wait } = parameters
  const { there, back } = connect(parameters)
  const stopwatch = new Stopwatch()
  for (let i = -warmUp(count); i < count; i++) {
    if (i >= 0) stopwatch.start()
    there.post()
    if (wait === 'block') back.waitSync({ spin: 0 })
    else await back.wait()
    if (i >= 0) stopwatch.stop()
  }
  for (const semaphore of [there, back]) {
    semaphore.unlink()
    semaphore.close()
  }
  return stopwatch.result()
}

export async function follow(parameters: Parameters): Promise<void> {
  const { count, wait } = parameters
  const { there, back } = connect(parameters)
  for (let i = -warmUp(count); i < count; i++) {
    if (wait === 'block') there.waitSync({ spin: 0 })
    else await there.wait()
    back.post()
  }
  for (const semaphore of [there, back]) semaphore.close()
}
