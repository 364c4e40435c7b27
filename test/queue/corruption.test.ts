// A peer that writes nonsense into the shared memory is told from one that does not, and does no harm.
// The nonsense is written through the file that the queue is on Linux.

import test from 'ava'
import { SpscQueue, type QueueConsumer, type QueueProducer } from 'millrace'

import { objectsOf } from '../support/names.js'
import {
  consumerPosition,
  overwrite,
  peek,
  producerPosition,
  ring,
} from '../support/queue-words.js'
import { bytes, onePage, openPair } from '../support/queues.js'

const corrupt = { code: 'ERR_MILLRACE_CORRUPT', message: /impossible values/ }

test('the places this file writes to are the ones the queue uses', (t) => {
  const { name, producer, consumer } = openPair(t, { capacity: onePage })
  producer.tryPushBatch(['12345678', 'x'])
  consumer.tryPop()
  t.is(peek(name, producerPosition), 32n)
  t.is(peek(name, consumerPosition), 16n)
  t.is(peek(name, ring), 8n)
  t.is(peek(name, ring + 16), 1n)
})

const readers: Record<string, (consumer: QueueConsumer) => unknown> = {
  tryPop: (consumer) => consumer.tryPop(),
  tryPopInto: (consumer) => consumer.tryPopInto(Buffer.alloc(8)),
  'tryPopInto with room': (consumer) => consumer.tryPopInto(Buffer.alloc(2 * onePage)),
  tryPopPacked: (consumer) => consumer.tryPopPacked(Buffer.alloc(2 * onePage), new Uint32Array(8)),
  nextLength: (consumer) => consumer.nextLength,
  drain: (consumer) => consumer.drain(() => undefined),
  drainRaw: (consumer) => consumer.drainRaw(() => undefined),
  tryTake: (consumer) => consumer.tryTake(),
  takeSync: (consumer) => consumer.takeSync({ timeout: 1000 }),
  popSync: (consumer) => consumer.popSync({ timeout: 1000 }),
}

for (const [call, read] of Object.entries(readers)) {
  for (const [what, position] of Object.entries({
    'further than the ring is long': BigInt(onePage + 8),
    'in the middle of a record': 12n,
    'before the beginning': 2n ** 64n - 8n,
  })) {
    test(`${call} refuses a write position ${what}`, (t) => {
      const { name, consumer } = openPair(t, { capacity: onePage })
      overwrite(name, producerPosition, position)
      t.throws(() => read(consumer), corrupt)
      t.true(consumer.closed)
    })
  }

  for (const length of [9, onePage - 8, onePage, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 8, 2 ** 32 - 1]) {
    test(`${call} refuses a message of ${length} bytes where 8 are there`, (t) => {
      const { name, producer, consumer } = openPair(t, { capacity: onePage })
      producer.tryPush('12345678')
      overwrite(name, ring, BigInt(length))
      t.throws(() => read(consumer), corrupt)
      t.true(consumer.closed)
    })
  }
}

const writers: Record<string, (producer: QueueProducer) => unknown> = {
  tryPush: (producer) => producer.tryPush('x'),
  tryPushBatch: (producer) => producer.tryPushBatch(['x']),
  tryPushPacked: (producer) => producer.tryPushPacked(Buffer.from('x'), 1),
  reserve: (producer) => producer.reserve(1),
  pushSync: (producer) => {
    producer.pushSync('x', { timeout: 1000 })
  },
}

for (const [call, write] of Object.entries(writers)) {
  for (const [what, position] of Object.entries({
    'ahead of the producer': BigInt(onePage + 8),
    'in the middle of a record': 12n,
    'before what was already read': 2n ** 64n - 8n,
  })) {
    test(`${call} refuses a read position ${what}`, (t) => {
      const { name, producer } = openPair(t, { capacity: onePage })
      producer.tryPush(bytes(4088)) // full: the next call has to ask the consumer
      overwrite(name, consumerPosition, position)
      t.throws(() => write(producer), corrupt)
      t.true(producer.closed)
    })
  }
}

test('of a packed batch, what comes before a wrong length is received, and then it is refused', (t) => {
  for (const wrong of [9, onePage, 2 ** 31, 2 ** 32 - 1]) {
    const { name, producer, consumer } = openPair(t, { capacity: onePage })
    producer.tryPushPacked(Buffer.from('1234567812345678'), 8)
    overwrite(name, ring + 16, BigInt(wrong))
    const target = Buffer.alloc(2 * onePage, '.')
    const lengths = new Uint32Array(8).fill(77)
    t.is(consumer.tryPopPacked(target, lengths), 1)
    t.deepEqual([...lengths.subarray(0, 2)], [8, 77])
    t.is(target.toString('latin1', 0, 10), '12345678..')
    t.throws(() => consumer.tryPopPacked(target, lengths), corrupt)
    t.true(consumer.closed)
  }
})

test('a wait ends when the peer turns out corrupt, and says so to all who wait', async (t) => {
  const { name, producer, consumer } = openPair(t, { capacity: onePage })
  const pops = [consumer.pop({ timeout: 5000 }), consumer.pop({ timeout: 5000 })]
  overwrite(name, producerPosition, 12n)
  for (const pop of pops) await t.throwsAsync(pop, corrupt)
  t.true(consumer.closed)
  producer.close({ discard: true })
})

test('end and waiting pushes learn that the consumer is corrupt', async (t) => {
  for (const wait of [
    (producer: QueueProducer) => producer.end({ timeout: 5000 }),
    (producer: QueueProducer) => producer.push('x', { timeout: 5000 }),
    (producer: QueueProducer) => producer.pushBatch(['x'], { timeout: 5000 }),
    (producer: QueueProducer) => producer.reserveWhenFree(1, { timeout: 5000 }),
  ]) {
    const { name, producer } = openPair(t, { capacity: onePage })
    producer.tryPush(bytes(4088))
    const waiting = wait(producer)
    overwrite(name, consumerPosition, 12n)
    await t.throwsAsync(waiting, corrupt)
  }
})

test('a readable consumer that turns out corrupt says so when it is read', async (t) => {
  const { name, consumer } = openPair(t, { capacity: onePage })
  const readable = consumer.readable({ timeout: 5000 })
  overwrite(name, producerPosition, 12n)
  t.true(await readable)
  t.throws(() => consumer.drain(() => undefined), corrupt)
})

test('a corrupt queue is not kept for anybody: the next ones start anew', (t) => {
  const { name, producer, consumer } = openPair(t, { capacity: onePage })
  producer.tryPush('x')
  overwrite(name, ring, 4000n)
  producer.close()
  t.throws(() => consumer.tryPop(), corrupt)
  t.deepEqual(objectsOf(name), [])
})

test('a corrupt queue loses its name at once, although the other side is still there', (t) => {
  const { name, producer, consumer } = openPair(t, { capacity: onePage })
  producer.tryPush('x')
  overwrite(name, ring, 4000n)
  t.throws(() => consumer.tryPop(), corrupt)
  t.is(producer.peer, 'closed')
  t.deepEqual(objectsOf(name), [])
  using next = SpscQueue.producer(name)
  t.true(next.tryPush('y'))
  next.close({ discard: true })
})
