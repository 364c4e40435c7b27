// Writes to a cell that nobody reads.

import { Cell } from 'millrace'

import { perMessage, type Measured } from '../side/measured.js'
import type { Parameters } from '../side/parameters.js'

export function lead({ name, bytes, count }: Parameters): Promise<Measured> {
  using cell = Cell.writer(name, { maxBytes: bytes })
  const value = Buffer.alloc(bytes)
  let start = 0
  for (let i = -Math.ceil(count / 10); i < count; i++) {
    if (i === 0) start = performance.now()
    cell.write(value)
  }
  return Promise.resolve(perMessage(start, count))
}
