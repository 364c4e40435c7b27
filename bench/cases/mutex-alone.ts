// tryLock and release of a mutex that nobody else uses.

import { Mutex } from 'millrace/sync'

import { perMessage, type Measured } from '../side/measured.js'
import type { Parameters } from '../side/parameters.js'

export function lead({ name, count }: Parameters): Promise<Measured> {
  using mutex = Mutex.open(name)
  let start = 0
  for (let i = -Math.ceil(count / 10); i < count; i++) {
    if (i === 0) start = performance.now()
    const guard = mutex.tryLock()
    if (guard === undefined) throw new Error('somebody else has the lock')
    guard.release()
  }
  return Promise.resolve(perMessage(start, count))
}
