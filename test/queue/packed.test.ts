// Batches whose messages lie one after the other in memory of the caller's.

import test from 'ava'
import { openPair } from '../support/queues.js'
import { Random } from '../support/random.js'
import { producerPosition, overwrite } from '../support/queue-words.js'

const invalid = { code: 'ERR_MILLRACE_INVALID_ARGUMENT' }

test('messages of one length', (t) => {
  const { producer, consumer } = openPair(t)
  const bytes = Buffer.from('aaabbbccc')
  t.is(producer.tryPushPacked(bytes, 3), 3)
  t.deepEqual([consumer.tryPop(), consumer.tryPop()].map(String), ['aaa', 'bbb'])
  const target = new Uint8Array(10)
  const lengths = new Uint32Array(4)
  t.is(consumer.tryPopPacked(target, lengths), 1)
  t.is(lengths[0], 3)
  t.is(Buffer.from(target.subarray(0, 3)).toString(), 'ccc')
  t.is(consumer.tryPopPacked(target, lengths), 0)
  t.is(producer.tryPushPacked(bytes, 3, 1), 1)
  t.is(String(consumer.tryPop()), 'aaa')
  t.is(producer.tryPushPacked(bytes, 100), 0)
})

test('messages of any lengths, empty ones too, as many as fit on both sides', (t) => {
  const { producer, consumer } = openPair(t, { capacity: 4096 })
  const random = new Random(7)
  const expected: string[] = []
  const received: string[] = []
  let next = 0
  for (let round = 0; round < 2000; round++) {
    const lengths = new Uint32Array(1 + random.below(40)).map(() =>
      random.below(4) === 0 ? 64 : random.below(100),
    )
    const bytes = Buffer.alloc(lengths.reduce((a, b) => a + b, 0) + random.below(3))
    const texts: string[] = []
    let at = 0
    for (const length of lengths) {
      bytes.fill(String(next++), at, at + length)
      texts.push(bytes.toString('latin1', at, at + length))
      at += length
    }
    expected.push(...texts.slice(0, producer.tryPushPacked(bytes, lengths)))
    const target = Buffer.alloc(100 + random.below(3000))
    const found = new Uint32Array(1 + random.below(50))
    const count = consumer.tryPopPacked(target, found)
    at = 0
    for (const length of found.subarray(0, count)) {
      received.push(target.toString('latin1', at, (at += length)))
    }
    if (random.below(5) === 0) {
      const single = consumer.tryPop()
      if (single !== undefined) received.push(single.toString('latin1'))
    }
  }
  for (let rest; (rest = consumer.tryPop()) !== undefined;) received.push(rest.toString('latin1'))
  t.true(expected.length > 2000)
  t.deepEqual(received, expected)
})

test('one that does not fit at the other side stays, and says so', (t) => {
  const { producer, consumer } = openPair(t)
  producer.tryPushPacked(Buffer.from('abcde'), new Uint32Array([2, 3]))
  const lengths = new Uint32Array(8)
  t.is(consumer.tryPopPacked(new Uint8Array(4), lengths), 1)
  t.throws(() => consumer.tryPopPacked(new Uint8Array(2), lengths), {
    code: 'ERR_MILLRACE_TOO_LARGE',
    message: /has 3 bytes, the target 2/,
  })
  t.is(consumer.tryPopPacked(new Uint8Array(3), new Uint32Array(0)), 0)
  t.is(String(consumer.tryPop()), 'cde')
})

test('what cannot be meant is refused before anything is sent', (t) => {
  const { producer, consumer } = openPair(t, { capacity: 4096 })
  const push = (bytes: unknown, lengths: unknown, count?: unknown) => () =>
    producer.tryPushPacked(bytes as Uint8Array, lengths as number, count as number)
  const bytes = new Uint8Array(10)
  for (const wrong of [
    push('abc', 1),
    push(bytes, 0),
    push(bytes, -1),
    push(bytes, 1.5),
    push(bytes, '3'),
    push(bytes, [1, 2]),
    push(bytes, 4, 3),
    push(bytes, 4, -1),
    push(bytes, 4, '1'),
    push(bytes, new Uint32Array([4, 7])),
    push(bytes, new Uint32Array([4]), 2),
    push(bytes, new Uint32Array([0xffffffff, 0xffffffff])),
  ]) {
    t.throws(wrong, invalid)
  }
  t.throws(push(new Uint8Array(8192), new Uint32Array([10, 5000])), {
    code: 'ERR_MILLRACE_TOO_LARGE',
  })
  const lengths = new Uint32Array(4)
  t.throws(() => consumer.tryPopPacked('x' as unknown as Uint8Array, lengths), invalid)
  t.throws(() => consumer.tryPopPacked(bytes, [] as unknown as Uint32Array), invalid)
  t.is(consumer.tryPop(), undefined)
})

test('they keep the rules of the other calls', async (t) => {
  const { producer, consumer } = openPair(t, { capacity: 4096 })
  const busy = { code: 'ERR_MILLRACE_BUSY' }
  const bytes = new Uint8Array(64)
  const lengths = new Uint32Array(4)
  const reservation = producer.reserve(8)!
  t.throws(() => producer.tryPushPacked(bytes, 8), busy)
  reservation.commit()
  consumer.drain(() => {
    t.throws(() => consumer.tryPopPacked(bytes, lengths), busy)
  })
  while (producer.tryPush(bytes));
  const waiting = producer.push(bytes)
  t.is(producer.tryPushPacked(bytes, 1), 0)
  while (consumer.tryPopPacked(Buffer.alloc(4096), new Uint32Array(100)) > 0);
  await waiting
  using held = consumer.tryTake()!
  t.throws(() => consumer.tryPopPacked(bytes, lengths), busy)
  held.release()
  const popped = consumer.pop()
  t.is(producer.tryPushPacked(Buffer.from('woken'), 5), 1)
  t.is(String(await popped), 'woken')
  producer.close()
  consumer.close()
  const closed = { code: 'ERR_MILLRACE_CLOSED' }
  t.throws(() => producer.tryPushPacked(bytes, 8), closed)
  t.throws(() => consumer.tryPopPacked(bytes, lengths), closed)
})

test('a producer that lies is found out', (t) => {
  const { name, producer, consumer } = openPair(t)
  producer.tryPush('x')
  overwrite(name, producerPosition, 1n << 40n)
  t.throws(() => consumer.tryPopPacked(new Uint8Array(64), new Uint32Array(4)), {
    code: 'ERR_MILLRACE_CORRUPT',
  })
})
