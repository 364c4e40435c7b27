// Batches whose messages lie one after the other in memory of the caller's.

import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
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

test('what came since the last look belongs to the batch', (t) => {
  const { producer, consumer } = openPair(t)
  producer.tryPushBatch(['a', 'b'])
  t.is(String(consumer.tryPop()), 'a')
  producer.tryPushBatch(['c', ''])
  t.is(consumer.tryPopPacked(new Uint8Array(8), new Uint32Array(8)), 3)
})

const messages = Buffer.from('aaaaaaaabbbbbbbb')
type Resizable = new (
  length: number,
  options: { maxByteLength: number },
) => ArrayBuffer & { resize(length: number): void; grow(length: number): void }
const ResizableBuffer = ArrayBuffer as unknown as Resizable
const GrowableBuffer = SharedArrayBuffer as unknown as Resizable

const memories: Record<string, (bytes: number) => ArrayBuffer> = {
  ordinary: (bytes) => new ArrayBuffer(bytes),
  shared: (bytes) => new SharedArrayBuffer(bytes) as unknown as ArrayBuffer,
  resizable: (bytes) => {
    const buffer = new ResizableBuffer(bytes / 2, { maxByteLength: 1024 })
    buffer.resize(bytes)
    return buffer
  },
  'shared and growable': (bytes) => {
    const buffer = new GrowableBuffer(bytes / 2, { maxByteLength: 1024 })
    buffer.grow(bytes)
    return buffer
  },
}
const views: Record<string, (buffer: ArrayBuffer) => ArrayBufferView> = {
  'a Uint8Array that follows the length': (buffer) => new Uint8Array(buffer),
  'a Buffer in the middle': (buffer) => Buffer.from(buffer, 3, 21),
  'words in the middle': (buffer) => new Uint32Array(buffer, 4, 5),
  'big words': (buffer) => new BigInt64Array(buffer, 8),
  'a DataView': (buffer) => new DataView(buffer, 3),
}
for (const [memory, make] of Object.entries(memories)) {
  for (const [what, view] of Object.entries(views)) {
    test(`${what}, of ${memory} memory, is sent from and copied to`, (t) => {
      const { producer, consumer } = openPair(t)
      const source = view(make(32))
      new Uint8Array(source.buffer, source.byteOffset, source.byteLength).set(messages)
      const given = new Uint32Array(make(16), 4)
      given.set([8, 0, 8])
      t.is(producer.tryPushPacked(source, given), 3)
      const buffer = make(32)
      const target = view(buffer)
      const lengths = new Uint32Array(make(32), 4)
      t.is(consumer.tryPopPacked(target, lengths), 3)
      t.deepEqual([...lengths.subarray(0, 4)], [8, 0, 8, 0])
      const expected = Buffer.alloc(32)
      expected.set(messages, target.byteOffset)
      t.deepEqual(Buffer.from(buffer), expected)
      t.is(consumer.tryPop(), undefined)
    })
  }
}

const moved = (buffer: ArrayBuffer) => {
  structuredClone(buffer, { transfer: [buffer] })
}
const shrunk = (buffer: ArrayBuffer) => {
  ;(buffer as InstanceType<Resizable>).resize(4)
}
const deaths: [string, (bytes: number) => ArrayBuffer, (buffer: ArrayBuffer) => void][] = [
  ['was transferred', memories['ordinary']!, moved],
  ['was shrunk', memories['resizable']!, shrunk],
]
for (const [how, make, kill] of deaths) {
  test(`memory that ${how} is refused, and costs no message`, (t) => {
    const { producer, consumer } = openPair(t)
    const gone = { ...invalid, message: /is a view of memory that is gone/ }
    const dead = <View>(Make: new (buffer: ArrayBuffer, at: number, length: number) => View) => {
      const buffer = make(32)
      const view = new Make(buffer, 8, 4)
      kill(buffer)
      return view
    }
    const lengths = new Uint32Array([8, 8])
    const space = new Uint8Array(16)
    producer.tryPush('stays')
    for (const memory of [dead(Uint8Array), dead(Uint16Array), dead(DataView)]) {
      t.throws(() => producer.tryPushPacked(memory, 1), gone)
      t.throws(() => producer.tryPushPacked(memory, lengths), gone)
      t.throws(() => consumer.tryPopPacked(memory, lengths), gone)
    }
    t.throws(() => producer.tryPushPacked(space, dead(Uint32Array)), gone)
    t.throws(() => consumer.tryPopPacked(space, dead(Uint32Array)), gone)
    t.is(String(consumer.tryPop()), 'stays')
    t.is(consumer.tryPop(), undefined)
  })
}

test('target and lengths may be the same memory: bytes are copied first, lengths are judged where they came from', (t) => {
  const { producer, consumer } = openPair(t)
  producer.tryPushPacked(messages, 8)
  const both = new Uint32Array(4)
  t.is(consumer.tryPopPacked(both, both), 2)
  t.deepEqual([...both.subarray(0, 2)], [8, 8])
})

test('lengths that another thread changes meanwhile are refused, or make a shorter batch of whole messages', async (t) => {
  const { producer, consumer } = openPair(t)
  const lengths = new Uint32Array(new SharedArrayBuffer(4 * 16)).fill(64)
  const worker = new Worker(
    `const { workerData } = require('node:worker_threads')
     for (const end = Date.now() + 1000; Date.now() < end;)
       for (let i = 0; i < 10000; i++) {
         workerData[i % 16] = [0, 0xffffffff, 0x80000000, 5000, 1000, 64][i % 6]
         workerData[i % 16] = 64
       }`,
    { eval: true, workerData: lengths },
  )
  const thread = { running: true }
  const end = once(worker, 'exit').then(() => (thread.running = false))
  const bytes = Buffer.alloc(64 * 16, 7)
  const target = Buffer.alloc(64 * 16)
  const found = new Uint32Array(16)
  let received = 0
  while (thread.running) {
    for (let i = 0; i < 1000; i++) {
      target.fill(0)
      try {
        producer.tryPushPacked(bytes, lengths)
      } catch (error) {
        t.is((error as { code?: string }).code, invalid.code)
      }
      const count = consumer.tryPopPacked(target, found)
      received += count
      const sum = found.subarray(0, count).reduce((a, b) => a + b, 0)
      if (!target.subarray(0, sum).equals(bytes.subarray(0, sum))) t.fail('not what was sent')
      if (target.subarray(sum).some((byte) => byte !== 0)) t.fail('more than was sent')
    }
    await new Promise((resolve) => setImmediate(resolve))
  }
  await end
  t.is(consumer.tryPop(), undefined)
  t.true(received > 0)
})

test('a producer that lies is found out', (t) => {
  const { name, producer, consumer } = openPair(t)
  producer.tryPush('x')
  overwrite(name, producerPosition, 1n << 40n)
  t.throws(() => consumer.tryPopPacked(new Uint8Array(64), new Uint32Array(4)), {
    code: 'ERR_MILLRACE_CORRUPT',
  })
})
