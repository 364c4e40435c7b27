// Channels of each kind: recorded from outside, and replayed into others.

import { join } from 'node:path'
import test from 'ava'
import { Cell, FrameReader, FrameWriter, SpscQueue } from 'millrace'
import { openRecording, record, replay, takePart } from 'millrace/recording'
import { observe } from 'millrace/telemetry'
import { Topics } from 'millrace/topics'
import { WorkQueue } from 'millrace/work'
import { ownDirectory } from '../support/directory.js'
import { uniqueName } from '../support/names.js'
import { until } from '../support/until.js'
import { gathered } from './gathered.js'

const patience = 40_000

test('channels of each kind are recorded from outside into one file, and replayed into others', async (t) => {
  const names = {
    queue: uniqueName(t),
    work: uniqueName(t),
    topics: uniqueName(t),
    frames: uniqueName(t),
    cell: uniqueName(t),
  }
  const others = Object.fromEntries(Object.values(names).map((name) => [name, uniqueName(t)]))
  const file = join(ownDirectory(t), 'all.mcap')
  {
    using producer = SpscQueue.producer(names.queue, { capacity: 65_536 })
    using consumer = SpscQueue.consumer(names.queue)
    using jobs = WorkQueue.open(names.work, { jobs: 64 })
    using bus = Topics.open(names.topics)
    using writer = FrameWriter.create(names.frames, { slotBytes: 100_000 })
    using cell = Cell.writer(names.cell, { maxBytes: 100 })
    const recorder = await record(Object.values(names), { file, interval: 1 })
    producer.tryPush('a message')
    t.is(consumer.tryPop()?.toString(), 'a message')
    await jobs.push('a job', { priority: 3, id: 'its id' })
    await bus.publish('some.subject', 'what is published', { headers: { key: 'value' } })
    const frame = await writer.loan()
    frame.bytes.fill(9)
    frame.publish({ byteLength: 100_000, header: Buffer.from([1, 2]) })
    cell.write('a value')
    await until(() => recorder.stats.channels.every(({ recorded }) => recorded > 0), patience)
    const { channels, dropped } = await recorder.stop()
    t.deepEqual(
      channels.map(({ kind, recorded }) => [kind, recorded]),
      Object.keys(names).map((kind) => [kind, 1]),
    )
    t.is(dropped, 0)
    t.is(observe({ name: names.frames })[0]?.parts.length, 0, 'nobody reads')
    const job = await jobs.takeOne()
    job.complete()
  }
  await using recording = await openRecording(file)
  t.is((await gathered(recording.messages())).length, 5)
  const sizes = Object.fromEntries(recording.channels.map(({ kind, facts }) => [kind, facts]))
  t.is(sizes['queue']?.['capacity'], '65536')
  t.is(sizes['work']?.['jobs'], '64')
  t.is(sizes['frames']?.['slotBytes'], '100000')
  t.is(sizes['cell']?.['maxBytes'], '100')

  const other = (kind: keyof typeof names): string => others[names[kind]]!
  using jobs = WorkQueue.open(other('work'))
  using bus = Topics.open(other('topics'))
  using subscription = await bus.subscribe('>')
  const running = await replay(file, { to: others, paused: true })
  using consumer = SpscQueue.consumer(other('queue'))
  using reader = await FrameReader.open(other('frames'))
  using cell = await Cell.reader(other('cell'))
  running.resume()
  const { sent, skipped } = await running.finished
  t.deepEqual([sent, skipped], [5, 0])
  t.is((await consumer.pop())?.toString(), 'a message')
  const job = await jobs.takeOne()
  t.deepEqual([Buffer.from(job.bytes).toString(), job.id], ['a job', 'its id'])
  job.complete()
  using message = await subscription.receive()
  t.deepEqual([message.subject, message.text()], ['some.subject', 'what is published'])
  t.is(message.headers['key'], 'value')
  using frame = (await reader.receive())!
  t.is(frame.byteLength, 100_000)
  t.true(frame.bytes.every((byte) => byte === 9))
  t.deepEqual([...frame.header.subarray(0, 3)], [1, 2, 0])
  t.is(cell.read()?.text(), 'a value')
})

test('a channel that is not there is refused by its name, and makes no file', async (t) => {
  const name = uniqueName(t)
  const file = join(ownDirectory(t), 'none.mcap')
  await t.throwsAsync(record([name], { file }), { code: 'ERR_MILLRACE_NOT_FOUND' })
  await t.throwsAsync(openRecording(file), { code: 'ERR_MILLRACE_NOT_FOUND' })
  await t.throwsAsync(record([name], { file, kind: 'lock' as never }), { message: /kind must be/ })
  await t.throwsAsync(record([name], { file, from: 'now' as never }), { message: /from must be/ })
})

test('who takes part records frames from where they lie, counts what is dropped, and never holds the writer up', async (t) => {
  const name = uniqueName(t)
  const file = join(ownDirectory(t), 'camera.mcap')
  using writer = FrameWriter.create(name, { slotBytes: 200_000, slots: 6 })
  const source = await takePart(name)
  const publish = (count: number) => {
    for (let i = 0; i < count; i++) {
      const frame = writer.tryLoan()!
      frame.bytes.fill(writer.sequence + 1)
      frame.publish()
    }
  }
  // More than it has room for, before it has looked once.
  publish(20)
  t.is(writer.sequence, 20)
  const recorder = await record([source], { file })
  await until(() => recorder.stats.recorded === 3, patience)
  publish(1)
  await until(() => recorder.stats.recorded === 4, patience)
  const { dropped } = await recorder.stop()
  t.is(dropped, 17)
  t.is(writer.readers, 0)
  await using recording = await openRecording(file)
  const frames = await gathered(recording.messages())
  t.deepEqual(
    frames.map(({ sequence }) => Number(sequence)),
    [1, 2, 3, 21],
  )
  t.true(frames.every(({ sequence, bytes }) => bytes.every((byte) => byte === Number(sequence))))
  await t.throwsAsync(takePart(name, { policy: 'wait' as never }), { message: /policy must be/ })
})

test('a frame ends the wait between two looks; who has left does not', async (t) => {
  const name = uniqueName(t)
  const file = join(ownDirectory(t), 'camera.mcap')
  const writer = FrameWriter.create(name, { slotBytes: 4096, slots: 6 })
  const source = await takePart(name)
  const looks = { count: 0 }
  const counted = new Proxy(source, {
    get(its, key) {
      const value: unknown = Reflect.get(its, key, its)
      if (typeof value !== 'function') return value
      if (key === 'read') looks.count++
      return value.bind(its) as unknown
    },
  })
  const interval = 600_000
  await using recorder = await record([counted], { file, interval })
  for (let frames = 1; frames <= 5; frames++) {
    writer.tryLoan()!.publish()
    await until(() => recorder.stats.recorded === frames, patience)
    // It waits again, and nothing but a frame ends that.
    const { count } = looks
    await turnOf(10)
    t.true(looks.count <= count + 1, `${String(looks.count - count)} looks at nothing`)
  }
  writer.close()
  const { count } = looks
  await turnOf(100)
  t.true(looks.count <= count + 1, `${String(looks.count - count)} looks at who has left`)
  t.is((await recorder.stop()).recorded, 5)
})

/** So many turns of the event loop. */
async function turnOf(turns: number): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise(setImmediate)
}
