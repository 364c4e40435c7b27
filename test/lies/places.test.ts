import { readFileSync } from 'node:fs'

import test from 'ava'
import { WorkQueue } from 'millrace/work'

import { uniqueName } from '../support/names.js'
import { workParts } from './fixtures/places.js'
import { workOptions } from './fixtures/work-life.js'

const ready = 3n

test('lies about a work queue are told where its words are', async (t) => {
  const name = uniqueName(t)
  using jobs = WorkQueue.open(name, workOptions)
  t.teardown(() => WorkQueue.unlink(name))
  await jobs.push(Buffer.alloc(300), { id: 'an id', group: 'a group' })
  const memory = readFileSync(`/dev/shm/millrace.j.${name}`)
  const words = ([from, bytes]: readonly [number, number]) =>
    Array.from({ length: bytes / 8 }, (_, i) => memory.readBigUInt64LE(from + 8 * i))
  const filled = (part: readonly [number, number]) => words(part).filter((word) => word !== 0n)

  t.is(memory.readUInt32LE(workParts.roles[0] + 8), process.pid)
  const slots = words(workParts.slots).filter((_, i) => i % 16 === 0)
  t.is(slots.filter((word) => (word & 15n) === ready).length, 1)
  t.is(filled(workParts.cells).length, 1, 'the hint of the job')
  t.is(filled(workParts.owners).length, 2, 'its payload, id and group are in two granules')
  t.true(filled(workParts.keys).length >= 4, 'its id')
  t.true(filled(workParts.groups).length >= 3, 'its group')
  t.is(filled(workParts.links).length, 0)
  t.is(filled(workParts.notes).length, 0)
  const [from, bytes] = workParts.owners
  const dataAt = Math.ceil((from + bytes) / 4096) * 4096
  t.deepEqual(memory.subarray(from + bytes, dataAt), Buffer.alloc(dataAt - from - bytes))
})
