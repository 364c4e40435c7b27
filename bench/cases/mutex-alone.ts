// tryLock and release of a mutex that nobody else uses.

import { Mutex } from 'millrace/sync'

import type { Measured } from '../side/measured.js'
import { calls } from '../side/measuring.js'
import type { Parameters } from '../side/parameters.js'

export function lead(parameters: Parameters): Promise<Measured> {
  using mutex = Mutex.open(parameters.name)
  const measured = calls(parameters, (count) => {
    for (let i = 0; i < count; i++) {
      const guard = mutex.tryLock()
      if (guard === undefined) throw new Error('somebody else has the lock')
      guard.release()
    }
  })
  return Promise.resolve(measured)
}
