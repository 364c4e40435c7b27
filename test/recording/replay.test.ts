// Replay: when which message is sent, by a clock of the test's; and into which channels.

import { join } from 'node:path'
import test, { type ExecutionContext } from 'ava'
import { Cell, FrameReader, SpscQueue } from 'millrace'
import {
  record,
  replay,
  type Replay,
  type ReplayClock,
  type ReplayOptions,
} from 'millrace/recording'
import { Topics } from 'millrace/topics'
import { WorkQueue } from 'millrace/work'
import { ownDirectory } from '../support/directory.js'
import { uniqueName } from '../support/names.js'
import { until } from '../support/until.js'
import { FakeSource } from './fake-source.js'

const patience = 40_000

/** Time passes when nobody does anything else. */
class FakeClock implements ReplayClock {
  time = 1e9
  /** By how much each sleep is too long: a machine that is busy. */
  late = 0

  now(): number {
    return this.time
  }

  async sleep(milliseconds: number, signal: AbortSignal): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
    if (!signal.aborted) this.time += milliseconds + this.late
  }
}

/** A recording of a source that messages are given to. */
async function recorded(t: ExecutionContext, ...sources: readonly FakeSource[]): Promise<string> {
  const file = join(ownDirectory(t), 'some.mcap')
  await (await record(sources, { file })).stop()
  return file
}

/** Messages of one channel at these times. */
async function at(t: ExecutionContext, times: readonly number[]): Promise<string> {
  const source = new FakeSource('some', 'queue')
  for (const time of times) source.give(String(time), { at: time })
  return await recorded(t, source)
}

/** What came when: milliseconds from the first on. */
async function replayed(
  file: string | readonly string[],
  options: ReplayOptions = {},
  clock = new FakeClock(),
): Promise<(readonly [text: string, time: number])[]> {
  const seen: (readonly [string, number])[] = []
  const began = clock.time
  const running = await replay(file, {
    clock,
    onMessage: ({ bytes }) => void seen.push([bytes.toString(), Math.round(clock.time - began)]),
    ...options,
  })
  await running.finished
  return seen
}

test('each message comes when it did, counted from the first', async (t) => {
  const file = await at(t, [0, 10, 11, 500, 3000])
  t.deepEqual(await replayed(file), [
    ['0', 0],
    ['10', 10],
    ['11', 11],
    ['500', 500],
    ['3000', 3000],
  ])
})

test('one that is late makes no other late', async (t) => {
  const clock = new FakeClock()
  clock.late = 30
  const file = await at(t, [0, 10, 11, 500, 3000])
  t.deepEqual(
    (await replayed(file, {}, clock)).map(([, time]) => time),
    [0, 40, 40, 530, 3030],
  )
})

test('twice as fast, half as fast, as fast as it goes', async (t) => {
  const file = await at(t, [0, 10, 1000])
  const times = async (rate: number) => (await replayed(file, { rate })).map(([, time]) => time)
  t.deepEqual(await times(2), [0, 5, 500])
  t.deepEqual(await times(0.5), [0, 20, 2000])
  t.deepEqual(await times(Infinity), [0, 0, 0])
})

test('a part of it, from its beginning on', async (t) => {
  const file = await at(t, [0, 10, 20, 30, 40])
  t.deepEqual(await replayed(file, { start: 15, end: 40 }), [
    ['20', 5],
    ['30', 15],
  ])
})

test('time is that of publishing: not of the looks of who recorded it', async (t) => {
  const one = new FakeSource('one', 'queue')
  const two = new FakeSource('two', 'queue')
  one.give('a', { at: 0, seen: 100 })
  two.give('b', { at: 7, seen: 100 })
  one.give('c', { at: 13, seen: 100 })
  two.give('d', { at: 90, seen: 200 })
  one.give('e', { at: 95, seen: 100 })
  two.give('no time', { seen: 250, publishedAt: undefined })
  one.give('of another clock', { seen: 300, publishedAt: 5n })
  const clock = new FakeClock()
  const seen = await replayed(await recorded(t, one, two), {}, clock)
  // Who began later gives times from its own beginning; that is microseconds.
  t.deepEqual(
    seen.map(([text]) => text),
    ['a', 'b', 'c', 'd', 'e', 'no time', 'of another clock'],
  )
  t.deepEqual(
    seen.slice(5).map(([, time]) => Math.round(time / 10) * 10),
    [150, 200],
    'counted from when the first was recorded',
  )
})

test('again and again, until it is stopped', async (t) => {
  const file = await at(t, [0, 10])
  const clock = new FakeClock()
  const seen: number[] = []
  const running = await replay(file, {
    loop: true,
    clock,
    onMessage: ({ bytes }) => void seen.push(Number(bytes.toString())),
  })
  await until(() => running.stats.rounds >= 3, patience)
  const { rounds, sent } = await running.stop()
  t.deepEqual(seen.slice(0, 6), [0, 10, 0, 10, 0, 10])
  t.true(sent >= rounds * 2)
  const empty = await at(t, [])
  t.is((await (await replay(empty, { loop: true })).finished).rounds, 0, 'nothing has no end')
})

test('paused it stands still, and goes on where it was; the rate may change meanwhile', async (t) => {
  const file = await at(t, [0, 1000, 2000])
  const clock = new FakeClock()
  const seen: number[] = []
  const running: Replay = await replay(file, {
    clock,
    paused: true,
    onMessage() {
      seen.push(clock.time)
      if (seen.length > 1) return
      running.pause()
      running.pause()
    },
  })
  t.true(running.paused)
  running.resume()
  await until(() => seen.length === 1, patience)
  t.is(running.stats.time, 0)
  clock.time += 60_000
  t.is(running.stats.time, 0)
  running.rate = 2
  t.throws(() => (running.rate = 0), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
  running.resume()
  running.resume()
  await running.finished
  t.deepEqual(
    seen.map((time) => Math.round(time - seen[0]!)),
    [0, 60_500, 61_000],
  )
})

test('paused it may be stopped', async (t) => {
  const running = await replay(await at(t, [0]), { paused: true, onMessage: () => t.fail() })
  t.is((await running.stop()).sent, 0)
})

test('several files are one that was split', async (t) => {
  const source = new FakeSource('some', 'queue')
  for (const time of [0, 600, 1300, 1400]) source.give(String(time), { at: time })
  const file = join(ownDirectory(t), 'some.mcap')
  const { files } = await (await record([source], { file, maxTime: 1000 })).stop()
  t.is(files.length, 2)
  t.deepEqual(await replayed(files), [
    ['0', 0],
    ['600', 600],
    ['1300', 1300],
    ['1400', 1400],
  ])
})

test('options are judged before anything is sent', async (t) => {
  const file = await at(t, [0])
  const wrong: readonly (readonly [unknown, RegExp])[] = [
    [{ rate: 0 }, /rate must be a number above 0/],
    [{ rate: '1' }, /rate/],
    [{ start: -1 }, /start must be/],
    [{ start: 5, end: 5 }, /end must be later/],
    [{ channels: 'some' }, /list of names/],
    [{ channels: ['other'] }, /no channel 'other' in the recording; it has: some/],
    [{ to: { other: 'some' } }, /no channel 'other'/],
    [{ to: { some: 1 } }, /names by names/],
    [{ loop: 1 }, /loop/],
    [{ onMessage: 1 }, /onMessage/],
    [{ colour: 'red' }, /colour/],
  ]
  for (const [options, message] of wrong) {
    await t.throwsAsync(replay(file, options as ReplayOptions), {
      code: 'ERR_MILLRACE_INVALID_ARGUMENT',
      message,
    })
  }
  await t.throwsAsync(replay([]), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
  await t.throwsAsync(replay(`${file}x`), { code: 'ERR_MILLRACE_NOT_FOUND' })
})

test('what a function throws ends it', async (t) => {
  const running = await replay(await at(t, [0, 1]), {
    onMessage: () => Promise.reject(new Error('enough')),
  })
  await t.throwsAsync(running.finished, { message: 'enough' })
  t.is(running.stats.sent, 0)
})

test('a queue gets its messages, and is made as it was', async (t) => {
  const name = uniqueName(t)
  const source = new FakeSource('some', 'queue', { capacity: '65536' })
  for (const text of ['one', 'two', 'three']) source.give(text)
  const running = await replay(await recorded(t, source), { to: { some: name } })
  using consumer = SpscQueue.consumer(name)
  t.is(consumer.capacity, 65_536)
  const texts: string[] = []
  while (texts.length < 3) texts.push((await consumer.pop())!.toString())
  t.deepEqual(texts, ['one', 'two', 'three'])
  t.deepEqual(await running.finished, {
    sent: 3,
    bytes: 11,
    skipped: 0,
    time: running.stats.time,
    rounds: 1,
  })
  t.is(await consumer.pop(), undefined, 'it was closed in the end')
})

test('a work queue gets its jobs with their priorities and ids; dead letters and halves are passed over', async (t) => {
  const name = uniqueName(t)
  const source = new FakeSource(name, 'work', { jobs: '16' })
  const op = 'job'
  source.give('low', { op })
  source.give('high', { op, priority: 9, id: 'an id', attempts: 2, state: 'leased' })
  source.give('dead', { op, state: 'dead' })
  source.give('ha', { op, cut: true, length: 4 })
  const file = await recorded(t, source)
  using queue = WorkQueue.open(name, { jobs: 32 })
  const { sent, skipped } = await (await replay(file)).finished
  t.deepEqual([sent, skipped], [2, 2])
  const high = await queue.takeOne()
  t.is(Buffer.from(high.bytes).toString(), 'high')
  t.is(high.id, 'an id')
  high.complete()
  const low = await queue.takeOne()
  t.is(Buffer.from(low.bytes).toString(), 'low')
  low.complete()
  t.is(queue.size, 0)
})

test('a bus gets its subjects and headers', async (t) => {
  const name = uniqueName(t)
  const source = new FakeSource(name, 'topics')
  source.give('wet', { subject: 'rain.north', headers: { traceparent: '00-1' } })
  source.give('dry', { subject: 'rain.south' })
  const file = await recorded(t, source)
  using bus = Topics.open(name)
  using subscription = await bus.subscribe('rain.>')
  const running = await replay(file)
  const first = await subscription.receive()
  t.deepEqual(
    [first.subject, first.text(), { ...first.headers }],
    ['rain.north', 'wet', { traceparent: '00-1' }],
  )
  first.release()
  const second = await subscription.receive()
  t.deepEqual([second.subject, second.text()], ['rain.south', 'dry'])
  second.release()
  await running.finished
})

test('a frame channel gets its frames, with their headers; and a cell its values', async (t) => {
  const name = uniqueName(t)
  const camera = new FakeSource('camera', 'frames', { slotBytes: '100000', slots: '4' })
  const state = new FakeSource('state', 'cell', { maxBytes: '100' })
  camera.give(Buffer.alloc(100_000, 5), { op: 'frame', header: Buffer.from([1, 2, 3]) })
  camera.give(Buffer.alloc(10, 6), { op: 'frame' })
  state.give('on', { op: 'value' })
  state.give('off', { op: 'value' })
  const file = await recorded(t, camera, state)
  const running = await replay(file, { to: { camera: name, state: name }, paused: true })
  using reader = await FrameReader.open(name)
  using cell = await Cell.reader(name)
  running.resume()
  using first = (await reader.receive())!
  t.is(first.byteLength, 100_000)
  t.true(first.bytes.every((byte) => byte === 5))
  t.deepEqual([...first.header.subarray(0, 4)], [1, 2, 3, 0])
  using second = (await reader.receive())!
  t.is(second.byteLength, 10)
  t.is(await reader.receive(), undefined)
  await running.finished
  t.is(cell.read()?.text(), 'off')
})

test('a channel of another kind is refused before anything is sent', async (t) => {
  const name = uniqueName(t, { mayLeave: true })
  const other = uniqueName(t)
  const queue = new FakeSource(other, 'queue')
  const camera = new FakeSource('camera', 'frames', { slotBytes: '100' })
  queue.give('one')
  camera.give('frame', { op: 'frame' })
  const file = await recorded(t, queue, camera)
  using jobs = WorkQueue.open(name)
  await t.throwsAsync(replay(file, { to: { camera: name } }), {
    code: 'ERR_MILLRACE_EXISTS',
    message: `'${name}' is a work queue, and what was recorded of 'camera' is of a frame channel: replay it into a channel of that kind, or a new one, by another name`,
  })
  using consumer = SpscQueue.consumer(other)
  t.is(consumer.tryPop(), undefined)
  t.is(jobs.size, 0)
})

test('a channel that is taken is refused, and the others are let go of', async (t) => {
  const [name, taken] = [uniqueName(t), uniqueName(t)]
  const [one, two] = [new FakeSource('one', 'queue'), new FakeSource('two', 'queue')]
  one.give('1')
  two.give('2')
  const file = await recorded(t, one, two)
  using producer = SpscQueue.producer(taken)
  const to = { one: name, two: taken }
  await t.throwsAsync(replay(file, { to }), { code: 'ERR_MILLRACE_ROLE_TAKEN' })
  producer.close()
  const running = await replay(file, { to })
  await running.finished
  for (const each of [name, taken]) SpscQueue.unlink(each)
})

test('stop ends a wait for room', async (t) => {
  const name = uniqueName(t)
  const source = new FakeSource('some', 'queue', { capacity: '4096' })
  for (let count = 0; count < 100; count++) source.give(Buffer.alloc(1000))
  const file = await recorded(t, source)
  const running = await replay(file, { to: { some: name } })
  await until(() => running.stats.waitsFor === name, patience)
  const { sent, waitsFor } = await running.stop()
  t.true(sent > 0 && sent < 100)
  t.is(waitsFor, undefined)
  SpscQueue.unlink(name)
  t.true(await running.finished.then(() => true))
  await t.notThrowsAsync(running.stop())
  t.notThrows(() => {
    running.pause()
  })
})
