// The programs of the README, taken from it and run.

import test from 'ava'

import { programOf, startNode } from '../support/documented.js'
import { objectsOf, uniqueName } from '../support/names.js'
import { until } from '../support/until.js'

const patience = 30_000
const readme = './README.md'

test.serial('messages', async (t) => {
  const ticks = uniqueName(t)
  const consumer = await startNode(t, programOf(t, readme, 'consumer.ts', { ticks }))
  const producer = await startNode(t, programOf(t, readme, 'producer.ts', { ticks }))
  t.deepEqual(await producer.ended(patience), { code: 0, signal: null }, producer.stderr)
  t.deepEqual(await consumer.ended(patience), { code: 0, signal: null }, consumer.stderr)
  t.deepEqual(consumer.lines, ['tick 1', 'tick 2', 'tick 3', 'tick 4', 'tick 5'])
})

test.serial('frames', async (t) => {
  const camera = uniqueName(t)
  const reader = await startNode(t, programOf(t, readme, 'analyser.ts', { camera }))
  const writer = await startNode(t, programOf(t, readme, 'camera.ts', { camera }))
  t.deepEqual(await writer.ended(patience), { code: 0, signal: null }, writer.stderr)
  t.deepEqual(await reader.ended(patience), { code: 0, signal: null }, reader.stderr)
  t.deepEqual(
    reader.lines,
    Array.from({ length: 100 }, (_, i) => `${i + 1} ${i + 1}`),
  )
})

test.serial('a consumer that outlives its producers, however these end', async (t) => {
  const ticks = uniqueName(t, { mayLeave: true })
  const consumer = await startNode(t, programOf(t, readme, 'outlives.ts', { ticks }))
  await until(() => objectsOf(ticks).length > 0, patience)
  for (let round = 1; round <= 3; round++) {
    const producer = await startNode(t, programOf(t, readme, 'producer.ts', { ticks }))
    t.deepEqual(await producer.ended(patience), { code: 0, signal: null }, producer.stderr)
    await until(() => consumer.lines.length === 5 * round, patience)
  }
  t.is(consumer.stderr, '')
  await consumer.kill()
})
