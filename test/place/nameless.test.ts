// Nameless segments: used by one process, inherited by a child, handed to a stranger.

import test from 'ava'
import { closeSync, openSync, readdirSync } from 'node:fs'
import { Cell, FrameReader, FrameWriter, NamelessSegment, SharedMemory, SpscQueue } from 'millrace'
import { Counter, Mutex, SharedEvent } from 'millrace/sync'

import { actor } from '../support/actor.js'

const openFds = () => readdirSync('/proc/self/fd').length

test.serial('every kind of channel lives without a name', async (t) => {
  {
    using segment = NamelessSegment.create()
    using consumer = SpscQueue.consumer(segment)
    using producer = SpscQueue.producer(segment)
    t.is(producer.name, segment.name)
    t.regex(segment.name, /^nameless:\d+$/)
    await producer.push('hello')
    t.is((await consumer.pop())?.toString(), 'hello')
  }
  {
    using segment = NamelessSegment.create()
    using writer = FrameWriter.create(segment, { slotBytes: 100 })
    using reader = await FrameReader.open(segment)
    const loan = await writer.loan()
    loan.bytes[99] = 7
    loan.publish()
    using frame = await reader.receive()
    t.is(frame?.bytes[99], 7)
  }
  {
    using segment = NamelessSegment.create()
    using memory = SharedMemory.create(segment, 5000)
    using same = SharedMemory.open(segment, { readOnly: true })
    memory.view(Uint8Array)[0] = 1
    t.is(same.view(Uint8Array)[0], 1)
    t.is(same.size, 5000)
    t.false(memory.unlink())
  }
  {
    using segment = NamelessSegment.create()
    using counter = Counter.open(segment, { initial: 3 })
    using same = Counter.open(segment)
    counter.add(4)
    t.is(same.get(), 7n)
  }
  {
    using segment = NamelessSegment.create()
    using writer = Cell.writer(segment, { maxBytes: 10 })
    using reader = await Cell.reader(segment)
    writer.write(Buffer.from('x'))
    t.is(reader.version, 1)
  }
  {
    using segment = NamelessSegment.create()
    using one = Mutex.open(segment)
    using other = Mutex.open(segment)
    using guard = one.tryLock()
    t.truthy(guard)
    t.is(other.tryLock(), undefined)
  }
  {
    using segment = NamelessSegment.create()
    using event = SharedEvent.open(segment)
    using same = SharedEvent.open(segment)
    event.set()
    t.true(same.isSet)
  }
})

test.serial('opening and closing leaves no descriptor', async (t) => {
  const round = async () => {
    using segment = NamelessSegment.create()
    using again = NamelessSegment.fromFd(segment.fd)
    using producer = SpscQueue.producer(segment)
    using consumer = SpscQueue.consumer(again)
    await producer.push('x')
    await consumer.pop()
  }
  await round() // the doorbell of this environment stays
  const before = openFds()
  for (let i = 0; i < 20; i++) await round()
  t.is(openFds(), before)
})

test.serial('a segment that is closed cannot be used, channels on it can', async (t) => {
  const segment = NamelessSegment.create()
  using producer = SpscQueue.producer(segment)
  using consumer = SpscQueue.consumer(segment)
  segment.close()
  segment.close()
  t.true(segment.closed)
  const closed = { code: 'ERR_MILLRACE_CLOSED' } as const
  t.throws(() => segment.fd, closed)
  t.throws(() => SpscQueue.producer(segment), closed)
  await producer.push('still')
  t.is((await consumer.pop())?.toString(), 'still')
})

test.serial('a child inherits it by stdio, and takes part', async (t) => {
  using segment = NamelessSegment.create()
  const child = actor(t, { stdio: ['ignore', 'pipe', 'pipe', 'ipc', segment.fd] })
  using consumer = SpscQueue.consumer(segment)
  const name = await child.do(async ({ NamelessSegment, SpscQueue, own }) => {
    const inherited = NamelessSegment.fromFd(4)
    own.producer = SpscQueue.producer(inherited)
    await own.producer.push('from the child')
    return inherited.name
  })
  t.is(name, segment.name)
  t.is((await consumer.pop())?.toString(), 'from the child')
  t.is(consumer.peer, 'attached')
  // Its locks are its own: they go with it, although we hold the same memory.
  const pending = consumer.pop({ timeout: 15_000 })
  await child.kill()
  await t.throwsAsync(pending, { code: 'ERR_MILLRACE_PEER_GONE' })
  using next = SpscQueue.producer(segment)
  await next.push('from its successor')
  t.is((await consumer.pop())?.toString(), 'from its successor')
})

test.serial('when all that used it were killed, it begins anew', async (t) => {
  using segment = NamelessSegment.create()
  const child = actor(t, { stdio: ['ignore', 'pipe', 'pipe', 'ipc', segment.fd] })
  await child.do(async ({ NamelessSegment, SpscQueue, own }) => {
    own.producer = SpscQueue.producer(NamelessSegment.fromFd(4), { capacity: 8192 })
    await own.producer.push('lost')
  })
  await child.kill()
  using consumer = SpscQueue.consumer(segment)
  t.is(consumer.capacity, 8192)
  t.is(consumer.tryPop(), undefined)
})

test.serial('its size is final', (t) => {
  using segment = NamelessSegment.create()
  SpscQueue.producer(segment, { capacity: 4096 }).close()
  t.throws(() => SpscQueue.producer(segment, { capacity: 65536 }), {
    code: 'ERR_MILLRACE_GEOMETRY',
    message: /use a new NamelessSegment/,
  })
  SharedMemory.create(segment, 3 * 4096).close()
  t.throws(() => SharedMemory.create(segment, 100), { code: 'ERR_MILLRACE_GEOMETRY' })
})

test.serial('shared memory is created once, and again when nobody is left', (t) => {
  using segment = NamelessSegment.create()
  t.throws(() => SharedMemory.open(segment), { code: 'ERR_MILLRACE_NOT_FOUND' })
  {
    using memory = SharedMemory.create(segment, 100)
    memory.view(Uint8Array)[0] = 1
    t.throws(() => SharedMemory.create(segment, 100), { code: 'ERR_MILLRACE_EXISTS' })
  }
  {
    using kept = SharedMemory.open(segment)
    t.is(kept.view(Uint8Array)[0], 1)
    t.throws(() => SharedMemory.create(segment, 100), { code: 'ERR_MILLRACE_EXISTS' })
  }
  using memory = SharedMemory.create(segment, 100)
  t.is(memory.view(Uint8Array)[0], 0)
})

test.serial('what is no segment is refused', (t) => {
  const fd = openSync('/dev/null', 'r')
  try {
    t.throws(() => NamelessSegment.fromFd(fd), {
      code: 'ERR_MILLRACE_NOT_OURS',
      message: /is no nameless segment/,
    })
  } finally {
    closeSync(fd)
  }
  for (const wrong of [-1, 1.5, '3', undefined] as never[]) {
    t.throws(() => NamelessSegment.fromFd(wrong), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
  }
  t.throws(() => NamelessSegment.create({ mode: 0o666 }), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
  for (const wrong of [{}, 7, null, undefined] as never[]) {
    t.throws(() => SpscQueue.producer(wrong), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
  }
})

test.serial('a schema needs a name', (t) => {
  using segment = NamelessSegment.create()
  t.throws(() => SharedMemory.create(segment, 8, { schema: { fingerprint: 7n } }), {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
  })
  using producer = SpscQueue.producer(segment, { schema: { fingerprint: 7n } })
  t.throws(() => SpscQueue.consumer(segment, { schema: { fingerprint: 8n } }), {
    code: 'ERR_MILLRACE_SCHEMA',
  })
  t.is(producer.peer, 'absent')
})
