// The messages of channels seen from outside: what is told is what was sent, nobody notices, and deaths end nothing.

import { readFileSync } from 'node:fs'

import test from 'ava'
import { Cell, FrameReader, FrameWriter, SpscQueue } from 'millrace'
import { connect, contract, call, serve } from 'millrace/rpc'
import { observe, watch, type ChannelWatch, type WatchedMessage } from 'millrace/telemetry'
import { Topics } from 'millrace/topics'

import { uniqueName } from '../support/names.js'
import { open } from '../work/open.js'
import { two } from '../work/pipelines.js'

function texts(watched: ChannelWatch): string[] {
  return watched.read().map(({ bytes }) => String(bytes))
}

test('a queue: what waits, what was read, and what comes', async (t) => {
  const name = uniqueName(t)
  using consumer = SpscQueue.consumer(name, { capacity: 65_536 })
  using producer = SpscQueue.producer(name)
  await producer.push('one')
  using fresh = watch(name)
  using old = watch(name, { from: 'oldest' })
  t.is(fresh.kind, 'queue')
  t.deepEqual(texts(fresh), [])
  t.deepEqual(texts(old), ['one'])
  t.is(String(await consumer.pop()), 'one')
  await producer.push('two')
  t.is(String(await consumer.pop()), 'two')
  const before = BigInt(Date.now()) * 1_000_000n
  const [two, ...more] = fresh.read()
  t.deepEqual(more, [])
  t.like(two, { channel: name, kind: 'queue', op: 'message', sequence: 2n, length: 3, cut: false })
  t.is(String(two?.bytes), 'two')
  t.true(two !== undefined && two.seenAt >= before)
  t.false('publishedAt' in (two ?? {}))
  t.is(fresh.missed, 0n)
  consumer.drain(() => undefined)
})

test('when a message was seen the clock of the system says, whatever stands in its place', async (t) => {
  const name = uniqueName(t)
  using consumer = SpscQueue.consumer(name, { capacity: 4096 })
  using producer = SpscQueue.producer(name)
  using fresh = watch(name)
  t.deepEqual(texts(fresh), [])
  await producer.push('one')
  t.is(consumer.tryPop()?.length, 3)
  const { now } = Date
  const before = BigInt(now()) * 1_000_000n
  // As fake timers do it; nothing else runs meanwhile.
  Date.now = () => 0
  let seen: ReturnType<typeof fresh.read>
  try {
    seen = fresh.read()
  } finally {
    Date.now = now
  }
  t.is(seen.length, 1)
  t.true(seen[0]!.seenAt >= before && seen[0]!.seenAt < BigInt(now() + 1) * 1_000_000n)
})

test('a queue of whose size nobody has said anything is watched from its first message on', async (t) => {
  const name = uniqueName(t)
  using producer = SpscQueue.producer(name)
  using consumer = SpscQueue.consumer(name)
  using fresh = watch(name)
  t.deepEqual(texts(fresh), [])
  await producer.push('one')
  t.is(String(await consumer.pop()), 'one')
  t.deepEqual(texts(fresh), ['one'])
  t.is(fresh.missed, 0n)
})

test('long messages are cut to what is wanted, and memory is found for those that are not', async (t) => {
  const name = uniqueName(t)
  using consumer = SpscQueue.consumer(name, { capacity: 1 << 20 })
  using producer = SpscQueue.producer(name)
  const long = Buffer.alloc(700_000, 'abcdefg')
  await producer.push(long)
  using cutting = watch(name, { from: 'oldest', most: 10 })
  const [cut] = cutting.read()
  t.like(cut, { length: 700_000, cut: true })
  t.is(String(cut?.bytes), 'abcdefgabc')
  using whole = watch(name, { from: 'oldest' })
  t.true(whole.read()[0]?.bytes.equals(long))
  consumer.drain(() => undefined)
})

test('so many at most, and the others later', async (t) => {
  const name = uniqueName(t)
  using consumer = SpscQueue.consumer(name, { capacity: 65_536 })
  using producer = SpscQueue.producer(name)
  for (let i = 0; i < 700; i++) await producer.push(String(i))
  using watched = watch(name, { from: 'oldest' })
  t.is(watched.read(1).length, 1)
  t.is(watched.read(300).length, 300)
  t.deepEqual(texts(watched).length, 399)
  t.throws(() => watched.read(0), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
  consumer.drain(() => undefined)
})

test('frames and a cell: the newest, and each that follows', async (t) => {
  const frames = uniqueName(t)
  using writer = FrameWriter.create(frames, { slotBytes: 64, slots: 8 })
  const send = async (text: string) => {
    const loan = await writer.loan()
    loan.bytes.set(Buffer.from(text))
    loan.publish({ byteLength: text.length })
  }
  await send('first')
  await send('second')
  using watchedFrames = watch(frames)
  const [newest] = watchedFrames.read()
  t.like(newest, { kind: 'frames', op: 'frame', sequence: 2n })
  t.is(String(newest?.bytes), 'second')
  const now = BigInt(Date.now()) * 1_000_000n
  t.true(newest?.publishedAt !== undefined && newest.publishedAt <= now + 1_000_000_000n)
  await send('third')
  t.deepEqual(texts(watchedFrames), ['third'])

  const values = uniqueName(t)
  using cell = Cell.writer(values, { maxBytes: 64 })
  cell.write(Buffer.from('a'))
  using watchedCell = watch(values)
  t.like(watchedCell.read()[0], { kind: 'cell', op: 'value', sequence: 1n })
  cell.write(Buffer.from('b'))
  t.deepEqual(texts(watchedCell), ['b'])
})

test('a bus: subjects and headers', async (t) => {
  const name = uniqueName(t)
  using bus = Topics.open(name)
  using watched = watch(name)
  t.deepEqual(watched.read(), [])
  await bus.publish('line.temp', Buffer.from('21'), { headers: { unit: 'C' } })
  const [message] = watched.read()
  t.like(message, { kind: 'topics', subject: 'line.temp', headers: { unit: 'C' } })
  t.is(String(message?.bytes), '21')
  t.not(message?.publishedAt, undefined)
})

test('jobs: waiting, in hand, dead, and of a pipeline', async (t) => {
  const name = uniqueName(t, { mayLeave: true })
  const queue = open(t, name, { jobs: 10 })
  using watched = watch(name, { from: 'oldest' })
  await queue.push('a', { id: 'id-a', group: 'g', priority: 5 })
  const [first] = watched.read()
  t.like(first, {
    kind: 'work',
    op: 'job',
    state: 'waiting',
    id: 'id-a',
    group: 'g',
    priority: 5,
    attempts: 0,
  })
  const job = await queue.takeOne()
  t.deepEqual(watched.read(), [])
  job.reject('no')
  const [dead] = watched.read()
  t.like(dead, { state: 'dead', id: 'id-a', reason: 'rejected' })
  using second = watch(name, { from: 'oldest', kind: 'work' })
  t.like(second.read()[0], { state: 'dead' })

  const staged = uniqueName(t, { mayLeave: true })
  const pipeline = two(t, staged)
  await pipeline.push('x')
  using watchedPipeline = watch(staged, { from: 'oldest' })
  t.is(watchedPipeline.kind, 'pipeline')
  const [only] = watchedPipeline.read()
  t.is(typeof only?.stage, 'string')
})

test('calls: a request and its answer', async (t) => {
  const name = uniqueName(t)
  const service = contract('twice', { double: call<number, number>() })
  await using _server = await serve(name, service, { double: (n) => n * 2 })
  const client = await connect(name, service)
  t.teardown(() => {
    client.close()
  })
  using watched = watch(name)
  t.deepEqual(watched.read(), [])
  t.is(await client.double(21), 42)
  const seen = watched.read()
  t.deepEqual(
    seen.map(({ op, bytes }) => [op, String(bytes)]),
    [
      ['request', '21'],
      ['answer', '42'],
    ],
  )
  t.is(seen[0]?.id, seen[1]?.id)
  t.is(seen[0]?.method, seen[1]?.method)
})

test('an iteration goes on until the watch is closed, and ends by its signal', async (t) => {
  const name = uniqueName(t)
  using consumer = SpscQueue.consumer(name, { capacity: 65_536 })
  using producer = SpscQueue.producer(name)
  const watched = watch(name, { interval: 1 })
  t.deepEqual(watched.read(), [])
  const seen: string[] = []
  const all = (async () => {
    for await (const { bytes } of watched) {
      seen.push(String(bytes))
      if (seen.length === 3) watched.close()
    }
  })()
  for (const text of ['a', 'b', 'c']) await producer.push(text)
  await all
  t.deepEqual(seen, ['a', 'b', 'c'])
  t.throws(() => watched.read(), { code: 'ERR_MILLRACE_CLOSED' })

  const ending = new AbortController()
  using other = watch(name, { signal: ending.signal })
  const iteration = other[Symbol.asyncIterator]()
  const next = iteration.next()
  ending.abort()
  await t.throwsAsync(next, { code: 'ERR_MILLRACE_ABORTED' })
  // Many at once, of which closing ends all.
  using third = watch(name)
  const pending = [third[Symbol.asyncIterator]().next(), third[Symbol.asyncIterator]().next()]
  third.close()
  for (const result of await Promise.all(pending)) t.true(result.done)
  consumer.drain(() => undefined)
})

test('a channel that is removed and made again is gone on with', async (t) => {
  const name = uniqueName(t)
  using watched = ((): ChannelWatch => {
    using bus = Topics.open(name)
    t.false(bus.closed)
    return watch(name)
  })()
  t.deepEqual(watched.read(), [])
  using bus = Topics.open(name)
  await bus.publish('again', Buffer.from('new'))
  t.deepEqual(texts(watched), ['new'])
})

test('what cannot be watched is refused by name', (t) => {
  const name = uniqueName(t)
  t.throws(() => watch(name), { code: 'ERR_MILLRACE_NOT_FOUND' })
  t.throws(() => watch(name, { kind: 'counter' }), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
  t.throws(() => watch(name, { from: 'last' as 'newest' }), {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
  })
  using cell = Cell.writer(name, { maxBytes: 8 })
  using consumer = SpscQueue.consumer(name)
  t.throws(() => watch(name), {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
    message: /kind, one of queue, cell/,
  })
  using watched = watch(name, { kind: 'cell' })
  t.is(watched.kind, 'cell')
  t.false(cell.closed || consumer.closed)
})

test('nobody notices: not a byte changes that the users of the channels did not write', async (t) => {
  const queue = uniqueName(t)
  const frames = uniqueName(t)
  const values = uniqueName(t)
  const topics = uniqueName(t)
  const jobs = uniqueName(t, { mayLeave: true })
  const calls = uniqueName(t)
  using consumer = SpscQueue.consumer(queue, { capacity: 65_536 })
  using producer = SpscQueue.producer(queue)
  using writer = FrameWriter.create(frames, { slotBytes: 64, slots: 8 })
  using reader = await FrameReader.open(frames)
  using cell = Cell.writer(values, { maxBytes: 64 })
  using bus = Topics.open(topics)
  const work = open(t, jobs, { jobs: 10 })
  const service = contract('twice', { double: call<number, number>() })
  await using _server = await serve(calls, service, { double: (n) => n * 2 })
  const client = await connect(calls, service)
  t.teardown(() => {
    client.close()
  })
  const names = [queue, frames, values, topics, jobs, calls]
  const watches = names.map((name) => watch(name, { from: 'oldest' }))
  // Full speed: looks between all that is done.
  const seen: WatchedMessage[] = []
  const look = () => {
    for (const watched of watches) seen.push(...watched.read())
  }
  for (let round = 0; round < 50; round++) {
    await producer.push(String(round))
    look()
    await consumer.pop()
    const loan = await writer.loan()
    look()
    loan.publish({ byteLength: 8 })
    ;(await reader.receive())!.release()
    cell.write(Buffer.from(String(round)))
    await bus.publish('a', Buffer.from(String(round)))
    await work.push(String(round))
    look()
    ;(await work.takeOne()).complete()
    await client.double(round)
    look()
  }
  t.true(seen.length > 300)
  // While nobody does anything, nothing changes, and nobody is on it who was not.
  const bytes = () =>
    names.flatMap((name) => observe({ name }).map(({ path }) => readFileSync(path)))
  const holders = () => names.flatMap((name) => observe({ name }).map((one) => one.holders))
  const before = bytes()
  const heldBefore = holders()
  for (let i = 0; i < 20; i++) {
    look()
    for (const name of names) {
      using one = watch(name, { from: 'oldest' })
      t.true(one.read().length > 0 || name === calls || name === jobs || name === queue)
    }
  }
  t.true(bytes().every((one, at) => one.equals(before[at]!)))
  t.deepEqual(holders(), heldBefore)
  for (const watched of watches) watched.close()
})
