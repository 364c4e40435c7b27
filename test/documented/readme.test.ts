// The programs of the README, taken from it and run.

import { readFileSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import test from 'ava'
import { SpscQueue, type QueueConsumer } from 'millrace'

import { programOf, startNode } from '../support/documented.js'
import { objectsOf, uniqueName } from '../support/names.js'
import { until, within } from '../support/until.js'

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

test.serial(
  'jobs: by a loop, by the work() of the guide, and messages without leases',
  async (t) => {
    const thumbnails = uniqueName(t, { mayLeave: true })
    const worker = await startNode(t, programOf(t, readme, 'worker.ts', { thumbnails }))
    await until(() => objectsOf(thumbnails).length > 0, patience)
    const pusher = await startNode(t, programOf(t, readme, 'pusher.ts', { thumbnails }))
    t.deepEqual(await pusher.ended(patience), { code: 0, signal: null }, pusher.stderr)
    await until(() => worker.lines.length === 5, patience)
    const pictures = [1, 2, 3, 4, 5].map((i) => `attempt 1: picture ${i}`)
    t.deepEqual([...worker.lines].sort(), pictures)
    await worker.kill()

    const guide = await startNode(t, programOf(t, 'work-queue.md', 'worker.ts', { thumbnails }))
    const more = await startNode(t, programOf(t, 'work-queue.md', 'pusher.ts', { thumbnails }))
    t.deepEqual(await more.ended(patience), { code: 0, signal: null }, more.stderr)
    await until(() => guide.lines.length === 2, patience)
    t.deepEqual([...guide.lines].sort(), ['attempt 1: cat.jpg', 'attempt 1: dog.jpg'])
    t.deepEqual(await guide.kill('SIGTERM'), { code: 0, signal: null }, guide.stderr)
    t.deepEqual(objectsOf(thumbnails), [])

    const readings = uniqueName(t, { mayLeave: true })
    const collector = await startNode(
      t,
      programOf(t, 'message-queue.md', 'collector.ts', { readings }),
    )
    const sensor = await startNode(t, programOf(t, 'message-queue.md', 'sensor.ts', { readings }))
    t.deepEqual(await sensor.ended(patience), { code: 0, signal: null }, sensor.stderr)
    await until(() => collector.lines.includes('21.5'), patience)
    await collector.kill()
  },
)

test.serial('topics', async (t) => {
  const plant = uniqueName(t, { mayLeave: true })
  const subscriber = await startNode(t, programOf(t, readme, 'subscriber.ts', { plant }))
  await until(() => objectsOf(plant).length > 0, patience)
  const publisher = await startNode(t, programOf(t, readme, 'publisher.ts', { plant }))
  t.deepEqual(await publisher.ended(patience), { code: 0, signal: null }, publisher.stderr)
  t.regex(publisher.lines.join(), /^for [01] subscribers$/)
  await until(() => subscriber.lines.length === 1, patience)
  t.deepEqual(subscriber.lines, ['line1.temp 21.5'])
  await subscriber.kill()
})

test.serial('calls', async (t) => {
  const calc = uniqueName(t, { mayLeave: true })
  const client = await startNode(t, programOf(t, readme, 'client.ts', { calc }))
  const server = await startNode(t, programOf(t, readme, 'server.ts', { calc }))
  t.deepEqual(await client.ended(patience), { code: 0, signal: null }, client.stderr)
  t.deepEqual(client.lines, ['3'])
  await server.kill()
})

test.serial('streams', async (t) => {
  const file = uniqueName(t)
  const packed = join(tmpdir(), `${file}.gz`)
  t.teardown(() => {
    rmSync(packed, { force: true })
  })
  const receiver = await startNode(t, programOf(t, readme, 'receiver.ts', { file }), [packed])
  const sender = await startNode(t, programOf(t, readme, 'sender.ts', { file }), ['package.json'])
  t.deepEqual(await sender.ended(patience), { code: 0, signal: null }, sender.stderr)
  t.deepEqual(await receiver.ended(patience), { code: 0, signal: null }, receiver.stderr)
  t.deepEqual(gunzipSync(readFileSync(packed)), readFileSync('package.json'))
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

for (const [title, file, code, said] of [
  ['whole', process.execPath, 0, /^$/],
  [
    'given up by an error that nobody catches',
    '/proc/missing',
    1,
    /the producer of queue '.*' \(pid \d+\) failed: /,
  ],
] as const) {
  test.serial(`the producer of a byte stream has no using: the stream is ${title}`, async (t) => {
    const upload = uniqueName(t)
    using consumer = SpscQueue.consumer(upload, { fresh: true })
    const producer = await startNode(t, programOf(t, readme, 'upload.ts', { upload }), [file])
    const received = read(consumer)
    t.is((await producer.ended(patience)).code, code, producer.stderr)
    const { bytes, error } = await within(patience, received)
    t.regex(error, said)
    t.is(bytes, code === 0 ? statSync(process.execPath).size : 0)
  })
}

async function read(consumer: QueueConsumer): Promise<{ bytes: number; error: string }> {
  let bytes = 0
  try {
    for await (const message of consumer) bytes += message.length
    return { bytes, error: '' }
  } catch (error) {
    return { bytes, error: (error as Error).message }
  }
}
