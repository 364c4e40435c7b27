import { readFileSync } from 'node:fs'

import test from 'ava'
import { call, connect, contract, serve } from 'millrace/rpc'
import { Topics } from 'millrace/topics'
import { Pipeline, WorkQueue } from 'millrace/work'

import { uniqueName } from '../support/names.js'
import { callParts, pipelineParts, topicParts, workParts } from './fixtures/places.js'
import { callOptions } from './fixtures/rpc-life.js'
import { topicsOptions } from './fixtures/topics-life.js'
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

test('lies about topics are told where their words are', async (t) => {
  const name = uniqueName(t)
  using bus = Topics.open(name, topicsOptions)
  using subscription = await bus.subscribe('line1.*')
  await bus.publish('line1.temp', Buffer.alloc(20, 1))
  await bus.publish('line1.state', Buffer.alloc(300, 2))
  const memory = readFileSync(`/dev/shm/millrace.t.${name}`)
  const filled = (part: Part) => filledOf(memory, part)
  const textAt = ([from]: Part, which: number, each: number) => {
    const at = from + which * each
    return memory.toString('utf8', at, memory.indexOf(0, at))
  }

  t.is(memory.readUInt32LE(topicParts.roles[0] + 8), process.pid)
  const full = (cell: bigint) => (cell & 1n) === 1n
  t.is(wordsOf(memory, topicParts.cells).filter(full).length, 2)
  const held = 1n
  const slots = wordsOf(memory, topicParts.slots).filter((_, i) => i % 8 === 0)
  t.is(slots.filter((word) => (word & 3n) === held).length, 2)
  t.is(filled(topicParts.owners).length, 2, 'the second one is in two granules')
  t.is(filled(topicParts.rows).length, 2, 'one is interested in both')
  t.is(textAt(topicParts.texts, 0, 256), 'line1.temp')
  t.is(textAt(topicParts.texts, 1, 256), 'line1.state')
  t.is(textAt(topicParts.filters, 0, 1024), 'line1.*')
  t.deepEqual(filled(topicParts.data), Array(2).fill(0x0101010101010101n).concat(0x01010101n))
  subscription.close()
})

test('lies about calls are told where their words are', async (t) => {
  const name = uniqueName(t)
  const none = contract('none', { never: call<Uint8Array, Uint8Array>() }, { codec: 'bytes' })
  const begun: number[] = []
  const handlers = {
    never: (bytes: Uint8Array) => {
      begun.push(bytes.length)
      return new Promise<never>(() => undefined)
    },
  }
  using server = await serve(name, none, handlers, { ...callOptions, drainOnClose: 0 })
  using client = await connect(name, none, callOptions)
  const calls = [20, 300].map((length) => client.never(Buffer.alloc(length, 1)))
  const outcomes = Promise.allSettled(calls)
  const late = Date.now() + 10_000
  while (begun.length < 2 && Date.now() < late) await new Promise(setImmediate)
  const before = readFileSync(`/dev/shm/millrace.r.${name}`)

  t.is(before.readUInt32LE(callParts.roles[0] + 8), process.pid)
  const leased = 4n
  const slots = wordsOf(before, callParts.slots).filter((_, i) => i % 16 === 0)
  t.is(slots.filter((word) => (word & 15n) === leased).length, 2)
  t.is(filledOf(before, callParts.owners).length, 2, 'the second one is in two granules')
  t.deepEqual(
    filledOf(before, callParts.data),
    Array(2).fill(0x0101010101010101n).concat(0x01010101n),
  )
  t.is(filledOf(before, callParts.answers).length, 0)
  t.is(before.length, Math.ceil((callParts.bits[0] + callParts.bits[1]) / 4096) * 4096)
  server.close()
  client.close()
  await outcomes
})
