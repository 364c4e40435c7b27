// Reads of a cell whose writer, in the other process, writes as often as it gets a turn of its event loop.

import { Cell } from 'millrace'

import { perMessage, type Measured } from '../side/measured.js'
import type { Parameters } from '../side/parameters.js'

export async function lead({ name, bytes, count }: Parameters): Promise<Measured> {
  using reader = await Cell.reader(name)
  await reader.changed()
  const target = Buffer.alloc(bytes)
  let start = 0
  for (let i = -Math.ceil(count / 10); i < count; i++) {
    if (i === 0) start = performance.now()
    if (reader.readInto(target) !== bytes) throw new Error('not the value')
  }
  return perMessage(start, count)
}

export async function follow({ name, bytes }: Parameters): Promise<void> {
  using cell = Cell.writer(name, { maxBytes: bytes })
  const value = Buffer.alloc(bytes)
  cell.write(value)
  const aTurn = () => new Promise((resolve) => setImmediate(resolve))
  const beingRead = () => cell.hasReaders
  while (!beingRead()) await aTurn()
  while (beingRead()) {
    cell.write(value)
    await aTurn()
  }
}
