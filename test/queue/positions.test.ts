// Positions and counters are 64-bit numbers, of which JavaScript handles the low halves: what happens where those
// change their sign, and where they begin again.

import test, { type ExecutionContext } from 'ava'
import type { QueueConsumer, QueueProducer } from 'millrace'

import { uniqueName } from '../support/names.js'
import {
  consumerPosition,
  overwrite,
  peek,
  producerPosition,
  received,
  sent,
} from '../support/queue-words.js'
import { onePage, openConsumer, openProducer, recordBytes } from '../support/queues.js'

/** A queue whose next message lies at `position` and has the number `count`. */
function openAt(
  t: ExecutionContext,
  position: bigint,
  count: bigint,
): { name: string; producer: QueueProducer; consumer: QueueConsumer } {
  const name = uniqueName(t)
  const first = openProducer(t, name, { capacity: onePage })
  first.tryPush('') // so that the queue outlives its first producer
  first.close()
  overwrite(name, producerPosition, position)
  overwrite(name, consumerPosition, position)
  overwrite(name, sent, count)
  overwrite(name, received, count)
  return { name, producer: openProducer(t, name), consumer: openConsumer(t, name) }
}

const message = (i: number) => Buffer.from(`message ${String(i)} ${'-'.repeat(i % 90)}`)

const ways: Record<
  string,
  (producer: QueueProducer, consumer: QueueConsumer, i: number) => Buffer[]
> = {
  'one by one': (producer, consumer, i) => {
    producer.tryPush(message(i))
    const target = Buffer.alloc(200)
    return [target.subarray(0, consumer.tryPopInto(target))]
  },
  'as Buffers': (producer, consumer, i) => {
    producer.tryPush(message(i))
    return [consumer.tryPop()!]
  },
  'in batches': (producer, consumer, i) => {
    producer.tryPushBatch([message(i), message(i + 1), message(i + 2)])
    const taken: Buffer[] = []
    consumer.drain((bytes) => taken.push(Buffer.from(bytes)))
    return taken
  },
  'without views': (producer, consumer, i) => {
    producer.tryPushBatch([message(i), message(i + 1)])
    const taken: Buffer[] = []
    consumer.drainRaw((ring, offset, length) =>
      taken.push(Buffer.from(ring.subarray(offset, offset + length))),
    )
    return taken
  },
  'held in place': (producer, consumer, i) => {
    producer.tryPushBatch([message(i), message(i + 1), message(i + 2), message(i + 3)])
    const held = [consumer.tryTake()!, consumer.tryTake()!]
    const popped = consumer.tryPop()!
    held.push(consumer.tryTake()!)
    const taken = held.map(({ bytes }) => Buffer.from(bytes))
    for (const one of [held[1]!, held[0]!, held[2]!]) one.release()
    return [taken[0]!, taken[1]!, popped, taken[2]!]
  },
  'held one by one': (producer, consumer, i) => {
    producer.tryPush(message(i))
    using held = consumer.tryTake()!
    return [Buffer.from(held.bytes)]
  },
  'written in place': (producer, consumer, i) => {
    const reservation = producer.reserve(200)!
    reservation.bytes.set(message(i))
    reservation.commit(message(i).length)
    return [consumer.tryPop()!]
  },
}

for (const [how, exchange] of Object.entries(ways)) {
  for (const [what, start, count] of [
    ['positions begin again', 2n ** 32n - 2048n, 0n],
    ['positions change their sign', 2n ** 31n - 2048n, 0n],
    ['a high half is no longer 0', 7n * 2n ** 32n - 1024n, 2n ** 33n],
    ['counters begin again', 0n, 2n ** 32n - 3n],
    ['all of it at once', 2n ** 32n - 64n, 2n ** 32n - 2n],
  ] as const) {
    test(`messages ${how}, where ${what}`, (t) => {
      const { name, producer, consumer } = openAt(t, start, count)
      let expected = 0
      let position = start
      while (position < start + 3n * BigInt(onePage)) {
        for (const taken of exchange(producer, consumer, expected)) {
          t.deepEqual(taken, message(expected))
          position += BigInt(recordBytes(message(expected++).length))
        }
        t.is(peek(name, producerPosition), position)
        t.is(peek(name, consumerPosition), position)
      }
      t.is(peek(name, sent), count + BigInt(expected))
      t.is(peek(name, received), count + BigInt(expected))
      t.is(producer.freeBytes, onePage)
    })
  }
}

test('a full ring is full and an empty one empty, where positions begin again', (t) => {
  const { producer, consumer } = openAt(t, 2n ** 32n - 1024n, 0n)
  for (let round = 0; round < 3; round++) {
    let pushed = 0
    while (producer.tryPush(message(pushed))) pushed++
    t.true(pushed > 20)
    t.is(producer.tryPushBatch([message(89)]), 0)
    for (let i = 0; i < pushed; i++) t.deepEqual(consumer.tryPop(), message(i))
    t.is(consumer.tryPop(), undefined)
    t.is(consumer.nextLength, -1)
  }
})

test('a peer that changes only the high half of its position is found out at the next wrap', (t) => {
  const { name, producer, consumer } = openAt(t, 2n ** 32n - 1024n, 0n)
  producer.tryPush(message(1))
  t.deepEqual(consumer.tryPop(), message(1))
  overwrite(name, producerPosition, peek(name, producerPosition) + 2n ** 40n)
  t.is(consumer.tryPop(), undefined) // nothing there in the low half: no harm
  const refused = t.throws(() => {
    for (let i = 0; i < 1000; i++) {
      overwrite(name, producerPosition, peek(name, producerPosition) + 16n)
      consumer.tryPop()
    }
  })
  t.is((refused as NodeJS.ErrnoException).code, 'ERR_MILLRACE_CORRUPT')
})
