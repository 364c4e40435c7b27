// Mapped files: content that outlives processes, and files that are not what they should be.

import test from 'ava'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { FrameReader, FrameWriter, MappedFile, SharedMemory, SpscQueue } from 'millrace'
import { Counter } from 'millrace/sync'
import type { ExecutionContext } from 'ava'

import { actor } from '../support/actor.js'
import { ownDirectory } from '../support/directory.js'

const file = (t: ExecutionContext) => new MappedFile(join(ownDirectory(t), 'file'))

test.serial('shared memory in a file is the file', (t) => {
  const place = file(t)
  {
    using memory = SharedMemory.create(place, 5000)
    t.is(memory.name, place.path)
    t.true(memory.owner)
    memory.write(Buffer.from('hello'), 10)
    memory.flushSync()
    using same = SharedMemory.open(place)
    t.is(same.read(Buffer.alloc(5), 10).toString(), 'hello')
    t.throws(() => SharedMemory.create(place, 5000), {
      code: 'ERR_MILLRACE_EXISTS',
      message: /open it instead, or unlink it/,
    })
  }
  t.is(statSync(place.path).mode & 0o7777, 0o600)
  t.is(statSync(place.path).size, 5000)
  t.true(statSync(place.path).blocks * 512 >= 5000, 'its blocks are reserved')
  t.is(readFileSync(place.path).toString('latin1', 10, 15), 'hello')
  using again = SharedMemory.open(place, { readOnly: true })
  t.is(again.view(Uint8Array)[10], 104)
  again.view(Uint8Array)[10] = 0
  t.is(readFileSync(place.path)[10], 104, 'a stray write does not reach the file')
  t.true(again.unlink())
  t.false(place.unlink())
  t.deepEqual(readdirSync(join(place.path, '..')), [])
})

test.serial('flush resolves, also when the memory is closed meanwhile', async (t) => {
  const place = file(t)
  const memory = SharedMemory.create(place, 1 << 20)
  memory.view(Uint8Array).fill(3)
  await memory.flush()
  memory.view(Uint8Array).fill(4)
  const flushing = memory.flush()
  memory.close()
  await flushing
  t.true(readFileSync(place.path).every((byte) => byte === 4))
  await t.throwsAsync(memory.flush(), { code: 'ERR_MILLRACE_CLOSED' })
  t.throws(
    () => {
      memory.flushSync()
    },
    { code: 'ERR_MILLRACE_CLOSED' },
  )
})

test.serial('a queue in a file keeps its messages when its processes are killed', async (t) => {
  const place = file(t)
  const other = actor(t)
  await other.do(async ({ MappedFile, SpscQueue, own }, path) => {
    own.producer = SpscQueue.producer(new MappedFile(path), { capacity: 8192 })
    await own.producer.push('first')
    await own.producer.push('second')
  }, place.path)
  await other.kill()
  {
    using consumer = SpscQueue.consumer(place)
    t.is(consumer.capacity, 8192)
    t.is((await consumer.pop())?.toString(), 'first')
  }
  t.true(existsSync(place.path))
  {
    using consumer = SpscQueue.consumer(place)
    t.is((await consumer.pop())?.toString(), 'second')
    using producer = SpscQueue.producer(place)
    await producer.push('third')
    producer.close({ discard: true })
  }
  using producer = SpscQueue.producer(place)
  await producer.push('fourth')
  using consumer = SpscQueue.consumer(place)
  t.is((await consumer.pop())?.toString(), 'third', 'somebody was there: nothing was discarded')
  t.throws(() => SpscQueue.producer(place), { code: 'ERR_MILLRACE_ROLE_TAKEN' })
})

test.serial('frames and counters live in files', async (t) => {
  const place = file(t)
  {
    using writer = FrameWriter.create(place, { slotBytes: 100, slots: 4, history: 2 })
    const loan = await writer.loan()
    loan.bytes[0] = 5
    loan.publish()
  }
  await t.throwsAsync(FrameReader.open(place, { timeout: 0 }), { code: 'ERR_MILLRACE_NOT_FOUND' })
  using writer = FrameWriter.create(place, { slotBytes: 100, slots: 4, history: 2 })
  t.is(writer.sequence, 1)
  using reader = await FrameReader.open(place, { history: 1 })
  using frame = await reader.receive()
  t.is(frame?.bytes[0], 5)

  const ticks = file(t)
  {
    using counter = Counter.open(ticks)
    counter.add(3)
  }
  using counter = Counter.open(ticks)
  t.is(counter.get(), 3n)
})

test.serial('what cannot be a place is refused, and left alone', (t) => {
  const place = file(t)
  const refused = (code: string) => {
    t.throws(() => SpscQueue.producer(place), { code: `ERR_MILLRACE_${code}` })
  }
  writeFileSync(place.path, 'my diary', { mode: 0o600 })
  refused('CORRUPT')
  writeFileSync(place.path, Buffer.alloc(100_000))
  refused('CORRUPT')
  t.is(statSync(place.path).size, 100_000)
  truncateSync(place.path, 0)
  refused('CORRUPT')
  t.throws(() => SharedMemory.open(place), { code: 'ERR_MILLRACE_CORRUPT', message: /is empty/ })
  chmodSync(place.path, 0o644)
  refused('NOT_OURS')
  t.throws(() => SharedMemory.open(place), { code: 'ERR_MILLRACE_NOT_OURS' })
  place.unlink()
  symlinkSync('/dev/null', place.path)
  refused('NOT_OURS')
  t.throws(() => SharedMemory.open(place), { code: 'ERR_MILLRACE_NOT_OURS' })
  t.throws(() => place.unlink(), { code: 'ERR_MILLRACE_NOT_OURS' })

  const directory = new MappedFile(join(ownDirectory(t), 'd'))
  mkdirSync(directory.path)
  t.throws(() => SpscQueue.producer(directory), { code: 'ERR_MILLRACE_NOT_OURS' })
  t.throws(() => SharedMemory.open(new MappedFile(join(directory.path, 'x/y'))), {
    code: 'ERR_MILLRACE_NOT_FOUND',
  })
  for (const wrong of ['', 'a\0b', 7 as never]) {
    t.throws(() => new MappedFile(wrong), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
  }
})

test.serial('an absurd size is an error, and leaves no file', (t) => {
  const place = file(t)
  t.throws(() => SharedMemory.create(place, 2 ** 45), {
    message: /35184372088832 bytes asked for/,
  })
  t.deepEqual(readdirSync(join(place.path, '..')), [])
})

test.serial('a truncated file is an error when it is opened', (t) => {
  const place = file(t)
  SpscQueue.producer(place, { capacity: 8192 }).close()
  for (const size of [10_000, 5000, 100]) {
    truncateSync(place.path, size)
    t.throws(() => SpscQueue.consumer(place), { code: 'ERR_MILLRACE_CORRUPT' })
  }
})

test.serial('a file truncated while it is open is an error, not a crash', async (t) => {
  const place = file(t)
  using memory = SharedMemory.create(place, 3 * 4096)
  truncateSync(place.path, 4096)
  const truncated = {
    code: 'ERR_MILLRACE_CORRUPT',
    message: /was truncated to 4096 of its 12288 bytes/,
  } as const
  t.throws(() => memory.read(Buffer.alloc(1), 9000), truncated)
  t.throws(() => {
    memory.write(Buffer.alloc(1), 9000)
  }, truncated)
  t.throws(() => {
    memory.flushSync()
  }, truncated)
  await t.throwsAsync(memory.flush(), truncated)
  truncateSync(place.path, 3 * 4096)
  memory.write(Buffer.from('x'), 9000)
  t.is(memory.read(Buffer.alloc(1), 9000).toString(), 'x')
})
