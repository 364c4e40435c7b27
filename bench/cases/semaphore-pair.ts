// post and tryWait of a semaphore that nobody else uses.

import { Semaphore } from 'millrace/sync'

import type { Measured } from '../side/measured.js'
import { calls } from '../side/measuring.js'
import type { Parameters } from '../side/parameters.js'

export function lead(parameters: Parameters): Promise<Measured> {
  using semaphore = Semaphore.create(parameters.name, 0)
  semaphore.unlink()
  const measured = calls(parameters, (count) => {
    for (let i = 0; i < count; i++) {
      semaphore.post()
      if (!semaphore.tryWait()) throw new Error('a permit is lost')
    }
  })
  return Promise.resolve(measured)
}
