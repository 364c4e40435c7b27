// Reads of a cell whose writer, in the other process, writes as often as it gets a turn of its event loop.

import { Cell } from 'millrace'

import type { Measured } from '../side/measured.js'
import { calls } from '../side/measuring.js'
import type { Parameters } from '../side/parameters.js'

export async function lead(parameters: Parameters): Promise<Measured> {
  const { name, bytes } = parameters
  using reader = await Cell.reader(name)
  await reader.changed()
  const target = Buffer.alloc(bytes)
  return calls(parameters, (count) => {
    for (let i = 0; i < count; i++) {
      if (reader.readInto(target) !== bytes) throw new Error('not the value')
    }
  })
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
