// Writes to a cell that nobody reads.

import { Cell } from 'millrace'

import type { Measured } from '../side/measured.js'
import { calls } from '../side/measuring.js'
import type { Parameters } from '../side/parameters.js'

export function lead(parameters: Parameters): Promise<Measured> {
  const { name, bytes, timestamps } = parameters
  using cell = Cell.writer(name, { maxBytes: bytes, timestamps })
  const value = Buffer.alloc(bytes)
  const measured = calls(parameters, (count) => {
    for (let i = 0; i < count; i++) cell.write(value)
  })
  return Promise.resolve(measured)
}
