import { readFileSync } from 'node:fs'

import test from 'ava'
import { Pipeline, WorkQueue } from 'millrace/work'

import { uniqueName } from '../support/names.js'
import { pipelineParts, workParts } from './fixtures/places.js'
import { pipelineOptions, pipelineStages, workOptions } from './fixtures/work-life.js'

const ready = 3n
type Part = readonly [from: number, bytes: number]
const wordsOf = (memory: Buffer, [from, bytes]: Part): bigint[] =>
  Array.from({ length: bytes / 8 }, (_, i) => memory.readBigUInt64LE(from + 8 * i))
const filledOf = (memory: Buffer, part: Part): bigint[] =>
  wordsOf(memory, part).filter((word) => word !== 0n)

test('lies about a work queue are told where its words are', async (t) => {
  const name = uniqueName(t)
  using jobs = WorkQueue.open(name, workOptions)
  t.teardown(() => WorkQueue.unlink(name))
  await jobs.push(Buffer.alloc(300), { id: 'an id', group: 'a group' })
  const memory = readFileSync(`/dev/shm/millrace.j.${name}`)
  const filled = (part: Part) => filledOf(memory, part)

  t.is(memory.readUInt32LE(workParts.roles[0] + 8), process.pid)
  const slots = wordsOf(memory, workParts.slots).filter((_, i) => i % 16 === 0)
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

test('lies about a pipeline are told where its words are', async (t) => {
  const name = uniqueName(t)
  const [ordered, last] = pipelineStages
  using pipeline = Pipeline.open(name, pipelineOptions)
    .stage(ordered, { ordered: true })
    .stage(last)
  t.teardown(() => Pipeline.unlink(name))
  await pipeline.push(Buffer.alloc(300))
  const memory = readFileSync(`/dev/shm/millrace.j.${name}`)
  const filled = (part: Part) => filledOf(memory, part)

  const slots = wordsOf(memory, pipelineParts.slots).filter((_, i) => i % 16 === 0)
  t.is(slots.filter((word) => (word & 15n) === ready).length, 1)
  t.is(filled(pipelineParts.owners).length, 2)
  const [names] = pipelineParts.stageNames
  t.is(memory.toString('utf8', names + 1, names + 1 + memory[names]!), ordered)
  t.is(memory.toString('utf8', names + 65, names + 65 + memory[names + 64]!), last)
  t.is(filled(pipelineParts.order).length, 0, 'nobody has left yet')
  t.is(filled(pipelineParts.orderRing).length, 1, 'where the job of the first number is')
})
