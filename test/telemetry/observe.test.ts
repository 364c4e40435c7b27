// What is seen of channels from outside is what their users know of them, also when they are dead.

import test from 'ava'
import { Cell, FrameReader, FrameWriter, SpscQueue, type MillraceError } from 'millrace'
import { connect, contract, call, serve } from 'millrace/rpc'
import { Barrier, Counter, Mutex, SharedEvent } from 'millrace/sync'
import { observe, waitTimes, type ObservedKind, type ObservedOf } from 'millrace/telemetry'
import { Topics } from 'millrace/topics'

import { uniqueName } from '../support/names.js'
import { start } from '../support/process.js'
import { until } from '../support/until.js'
import { open } from '../work/open.js'
import { two } from '../work/pipelines.js'

/** The only object of that name. */
function seenOf<Kind extends ObservedKind>(kind: Kind, name: string): ObservedOf<Kind> {
  const [seen, ...others] = observe({ name })
  if (seen?.kind !== kind || others.length > 0) throw new Error(`${kind}: ${JSON.stringify(seen)}`)
  return seen as unknown as ObservedOf<Kind>
}

test('a queue: what was sent, what waits, and who is on it', async (t) => {
  const name = uniqueName(t)
  using consumer = SpscQueue.consumer(name, { capacity: 4096 })
  using producer = SpscQueue.producer(name)
  for (const text of ['one', 'two', 'three']) await producer.push(text)
  t.is(String(await consumer.pop()), 'one')
  const { figures, holders, state, parts } = seenOf('queue', name)
  t.like(figures, { sent: 3, received: 1, messages: 2, bytes: 32, capacity: 4096 })
  t.deepEqual(
    holders.map(({ role, pid, alive }) => [role, pid, alive]),
    [
      ['producer', process.pid, true],
      ['consumer', process.pid, true],
    ],
  )
  t.is(state, 'in-use')
  t.deepEqual(parts, [])
  consumer.drain(() => undefined)
})

test('jobs, in a queue and in stages, are counted as their handles count them', async (t) => {
  const name = uniqueName(t, { mayLeave: true })
  const queue = open(t, name, { jobs: 10 })
  await queue.push('a')
  await queue.push('b', { delay: 60_000 })
  const job = await queue.takeOne()
  const seen = seenOf('work', name)
  const { unsettled, ...stats } = queue.stats()
  t.is(unsettled, 0)
  t.like(seen.figures, stats)
  t.deepEqual(
    seen.parts.map(({ kind, pid, figures }) => [kind, pid, figures.inHand, figures.pushed]),
    [['user', process.pid, 1, 2]],
  )
  await job.complete()

  const staged = uniqueName(t, { mayLeave: true })
  const pipeline = two(t, staged)
  await pipeline.push('x')
  t.deepEqual(
    Object.fromEntries(
      seenOf('pipeline', staged).parts.flatMap((part) =>
        part.kind === 'stage' ? [[part.name, part.figures]] : [],
      ),
    ),
    { ...pipeline.stats().stages },
  )
})

test('frames and cells tell of each reader, and how old the newest is', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 64, slots: 8 })
  using fast = await FrameReader.open(name)
  using slow = await FrameReader.open(name, { policy: 'drop-newest', depth: 1 })
  for (let i = 0; i < 3; i++) {
    ;(await writer.loan()).publish({ byteLength: 10 })
    ;(await fast.receive())!.release()
  }
  const { figures, parts } = seenOf('frames', name)
  t.like(figures, { published: 3, received: 3, queued: 1, dropped: 2, newestBytes: 10, slots: 8 })
  t.true(figures!.newestAge! >= 0)
  t.deepEqual(
    parts.map(({ policy, figures: its }) => [policy, its.queued, its.dropped]),
    [
      ['wait', 0, 0],
      ['drop-newest', 1, 2],
    ],
  )
  t.truthy(slow)
  const celled = uniqueName(t)
  using cell = Cell.writer(celled, { maxBytes: 100 })
  t.like(seenOf('cell', celled).figures, { version: 0, maxBytes: 100 })
  cell.write('value')
  t.like(seenOf('cell', celled).figures, { version: 1, newestBytes: 5 })
})

test('a bus tells how far each subscription is behind', async (t) => {
  const name = uniqueName(t)
  using bus = Topics.open(name, { messages: 8 })
  const wide = await bus.subscribe('a.>', { policy: 'overwrite-oldest' })
  const narrow = await bus.subscribe(['a.b', 'c'])
  for (let i = 0; i < 5; i++) await bus.publish('a.b', String(i))
  for (let i = 0; i < 5; i++) await narrow.receive()
  const { figures, parts } = seenOf('topics', name)
  t.like(figures, bus.stats())
  t.deepEqual(
    parts.map(({ name: filters, policy, pid, figures: its }) => [filters, policy, pid, its.lag]),
    [
      ['a.>', 'overwrite-oldest', process.pid, 5],
      ['a.b,c', 'wait', process.pid, 0],
    ],
  )
  wide.close()
  narrow.close()
})

test('calls: servers, clients, and what they have in hand', async (t) => {
  const name = uniqueName(t)
  const calc = contract('calc', { add: call<number[], number>() })
  let inHand: unknown
  await using _server = await serve(name, calc, {
    add: (numbers) => {
      inHand = seenOf('calls', name).figures?.inHand
      return numbers.reduce((sum, one) => sum + one, 0)
    },
  })
  const client = await connect(name, calc)
  t.is(await client.add([1, 2]), 3)
  t.is(inHand, 1)
  const { figures, parts } = seenOf('calls', name)
  t.like(figures, { made: 1, taken: 1, completed: 1, servers: 1, waiting: 0, inHand: 0 })
  t.deepEqual(parts.map((part) => part.figures.serves).sort(), [0, 1])
  client.close()
})

test('a lock tells who has it; counters, events and barriers what they say', async (t) => {
  const name = uniqueName(t)
  using mutex = Mutex.open(name)
  {
    using _ = await mutex.lock()
    const { figures, parts } = seenOf('mutex', name)
    t.like(figures, { holders: 1, exclusive: 1, waiting: 0, abandoned: 0 })
    t.is(parts[0]!.pid, process.pid)
  }
  t.is(seenOf('mutex', name).figures!.holders, 0)
  const others = uniqueName(t)
  using counter = Counter.open(others, { initial: 5n })
  using event = SharedEvent.open(others)
  using barrier = Barrier.open(others, { parties: 2 })
  event.set()
  const kinds = observe({ name: others }).map(({ kind, figures }) => [kind, figures])
  t.deepEqual(kinds, [
    ['barrier', { parties: 2, arrived: 0, completed: 0, missing: 0 }],
    ['counter', { value: 5 }],
    ['event', { signals: 1, waiting: 0 }],
  ])
  t.truthy(counter)
  t.truthy(barrier)
})

test('waits are counted for each side: how many, how long, and how long the present one lasts', async (t) => {
  const name = uniqueName(t)
  using consumer = SpscQueue.consumer(name, { capacity: 4096 })
  using producer = SpscQueue.producer(name, { capacity: 4096 })
  t.deepEqual(seenOf('queue', name).waits, [])
  const first = consumer.pop()
  await until(() => seenOf('queue', name).waits.length === 1)
  const present = seenOf('queue', name).waits[0]!
  t.is(present.side, 'consumer')
  t.is(present.waits, 0)
  await until(() => seenOf('queue', name).waits[0]!.since! > 20)
  await producer.push('one')
  await first
  const { waits, since, milliseconds, times } = seenOf('queue', name).waits[0]!
  t.deepEqual([waits, since], [1, undefined])
  t.true(milliseconds > 20)
  t.deepEqual(
    times.map((count) => count > 0),
    times.map((_, at) => at === waitTimes.filter((bound) => bound < milliseconds).length),
  )
  // What is there at once is not waited for.
  await producer.push('two')
  await consumer.pop()
  t.is(seenOf('queue', name).waits[0]!.waits, 1)
  // For room, the producer waits.
  while (producer.tryPush(Buffer.alloc(500)));
  const room = producer.push(Buffer.alloc(500))
  await until(() => seenOf('queue', name).waits.length === 2)
  t.deepEqual(
    seenOf('queue', name).waits.map(({ side, since: of }) => [side, of === undefined]),
    [
      ['producer', false],
      ['consumer', true],
    ],
  )
  consumer.tryPop()
  await room
  t.is(seenOf('queue', name).waits[0]!.waits, 1)
  consumer.drain(() => undefined)
})

test('a lock tells how its parties have waited for it', async (t) => {
  const name = uniqueName(t)
  using one = Mutex.open(name)
  using other = Mutex.open(name)
  const guard = await one.lock()
  const second = other.lock()
  await until(() => seenOf('mutex', name).waits.some(({ since }) => since !== undefined))
  guard.release()
  ;(await second).release()
  t.deepEqual(
    seenOf('mutex', name).waits.map(({ side, waits, since }) => [side, waits, since]),
    [['party', 1, undefined]],
  )
})

test('the dead are seen as well, with what they left', async (t) => {
  const name = uniqueName(t, { mayLeave: true })
  const child = start(new URL('./fixtures/holder.js', import.meta.url), [name])
  t.is(await child.next(), 'ready')
  t.like(seenOf('queue', name).holders[0], { role: 'producer', pid: child.pid, alive: true })
  await child.kill()
  const { figures, holders, state } = seenOf('queue', name)
  t.is(state, 'abandoned')
  t.like(holders[0], { role: 'producer', pid: child.pid, alive: false })
  t.like(figures, { sent: 2, messages: 2 })
})

test('by name, by prefix, or all; and what is no name is said to be none', (t) => {
  const name = uniqueName(t)
  using one = SpscQueue.consumer(name)
  using two = SpscQueue.consumer(`${name}-2`)
  const names = (options?: Parameters<typeof observe>[0]) =>
    observe(options).map((seen) => seen.name)
  t.deepEqual(names({ name }), [name])
  t.deepEqual(names({ prefix: name }), [one.name, two.name].sort())
  t.true(names().includes(name))
  t.deepEqual(names({ name: `${name}-3` }), [])
  const wrong: unknown[] = [{ name, prefix: name }, { name: 1 }, { prefix: null }, { nmae: 'x' }, 7]
  for (const options of wrong) {
    const error = t.throws<MillraceError>(() => observe(options as never))
    t.is(error.code, 'ERR_MILLRACE_INVALID_ARGUMENT')
  }
})
