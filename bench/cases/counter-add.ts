// Additions to a counter that nobody else uses.

import { Counter } from 'millrace/sync'

import type { Measured } from '../side/measured.js'
import { calls } from '../side/measuring.js'
import type { Parameters } from '../side/parameters.js'

export function lead(parameters: Parameters): Promise<Measured> {
  using counter = Counter.open(parameters.name)
  const measured = calls(parameters, (count) => {
    for (let i = 0; i < count; i++) counter.add()
  })
  return Promise.resolve(measured)
}
