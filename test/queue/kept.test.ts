// A popped message is its own: kept, transferred and cloned, it touches no other.

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import test from 'ava'

import { onePage, openPair } from '../support/queues.js'
import { until } from '../support/until.js'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

for (const length of [0, 4, 64, 65, 1000, 20_000]) {
  test(`a message of ${length} bytes is transferred alone, and cloned for what it is`, (t) => {
    const { producer, consumer } = openPair(t)
    const messages = [1, 2, 3].map((byte) => {
      producer.tryPush(Buffer.alloc(length, byte))
      return consumer.tryPop()!
    })
    const clone = structuredClone(messages[0]!)
    t.is(clone.byteLength, length)
    t.is(clone.buffer.byteLength, length)
    const [, second] = messages
    const moved = structuredClone(second!.buffer, { transfer: [second!.buffer] })
    t.is(moved.byteLength, length)
    t.is(second!.length, 0)
    t.deepEqual([...messages[0]!], [...Buffer.alloc(length, 1)])
    t.deepEqual([...messages[2]!], [...Buffer.alloc(length, 3)])
  })
}

for (const length of [16, 100, 1000]) {
  test.serial(`two megabytes of kept messages of ${length} bytes hold little more`, async (t) => {
    const { producer, consumer } = openPair(t)
    const message = Buffer.alloc(length)
    const kept: Buffer[] = []
    collect()
    const before = process.memoryUsage()
    for (let i = 0; kept.length < 2e6 / length; i++) {
      producer.tryPush(message)
      const popped = consumer.tryPop()!
      if (i % 10 === 0) kept.push(popped)
    }
    // What is collected is swept by a thread of V8's.
    const held = () => process.memoryUsage().arrayBuffers - before.arrayBuffers
    await until(() => {
      collect()
      return held() < 8e6
    })
    t.is(kept.at(-1)!.length, length)
  })
}

test.serial('many consumers that have popped hold nothing but what was kept', async (t) => {
  const consumers = 300
  const pairs = Array.from({ length: consumers }, () => openPair(t, { capacity: onePage }))
  collect()
  const before = process.memoryUsage().arrayBuffers
  const kept = pairs.map(({ producer, consumer }) => {
    for (const length of [10, 100, 1000]) {
      producer.tryPush(Buffer.alloc(length))
      consumer.tryPop()
    }
    producer.tryPush(Buffer.alloc(100))
    return consumer.tryPop()!
  })
  await until(() => {
    collect()
    return process.memoryUsage().arrayBuffers - before < consumers * 1000
  })
  t.is(kept.length, consumers)
})
