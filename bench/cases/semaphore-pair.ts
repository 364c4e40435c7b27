// post and tryWait of a semaphore that nobody else uses.

import { Semaphore } from 'millrace/sync'

import { perMessage, type Measured } from '../side/measured.js'
import type { Parameters } from '../side/parameters.js'

export function lead({ name, count }: Parameters): Promise<Measured> {
  using semaphore = Semaphore.create(name, 0)
  semaphore.unlink()
  let start = 0
  for (let i = -Math.ceil(count / 10); i < count; i++) {
    if (i === 0) start = performance.now()
    semaphore.post()
    if (!semaphore.tryWait()) throw new Error('a permit is lost')
  }
  return Promise.resolve(perMessage(start, count))
}
