// A sleeper that cannot have the heavy fence says so in its wait line, and asks whoever publishes to fence in full. Where
// JavaScript publishes by ordinary stores that is a call of native code, although nobody is seen asleep yet: what the
// sleeper has written may not be visible before that fence.

import test from 'ava'
import { countCalls } from '../support/meeting.js'
import { consumerParked, overwrite, producerParked } from '../support/queue-words.js'
import { openPair, type Pair } from '../support/queues.js'
import { until } from '../support/until.js'

/** Nobody sleeps, but whoever does will need a full fence: the word behind `parked`. */
const needsFullFence = 1n << 32n

/** Elsewhere every publish is a full fence itself. */
const here = process.platform === 'linux' && process.arch === 'x64' ? test : test.skip

/** Until this process publishes by ordinary stores. */
async function whenPlain({ producer, consumer }: Pair): Promise<void> {
  const { store } = Atomics
  let stores = 0
  Atomics.store = ((...all: Parameters<typeof store>) => {
    stores++
    return store(...all)
  }) as typeof store
  try {
    await until(() => {
      stores = 0
      for (let i = 0; i < 100; i++) {
        producer.tryPush('x')
        consumer.tryPop()
      }
      return stores === 0
    })
  } finally {
    Atomics.store = store
  }
}

here('a push and a batch call native code while the consumer needs full fences', async (t) => {
  const pair = openPair(t)
  const { name, producer } = pair
  await whenPlain(pair)
  const calls = countCalls(producer, 'wake')
  producer.tryPush('x')
  producer.tryPushBatch(['x', 'x'])
  t.is(calls(), 0, 'nobody sleeps, and nobody needs it')
  overwrite(name, consumerParked, needsFullFence)
  producer.tryPush('x')
  t.is(calls(), 1)
  producer.tryPushBatch(['x', 'x'])
  t.is(calls(), 2)
  overwrite(name, consumerParked, 0n)
  producer.tryPush('x')
  t.is(calls(), 2)
})

here('so does every way to take a message while the producer needs them', async (t) => {
  const pair = openPair(t)
  const { name, producer, consumer } = pair
  await whenPlain(pair)
  const calls = countCalls(consumer, 'wake')
  const target = Buffer.alloc(8)
  const takeAll = () => {
    producer.tryPushBatch(['x', 'x', 'x', 'x', 'x', 'x'])
    consumer.tryPop() // the first has to ask where the producer is, the second does not
    consumer.tryPop()
    consumer.tryPopInto(target)
    consumer.tryTake()?.release()
    t.is(
      consumer.drain(() => undefined, 2),
      2,
    )
  }
  takeAll()
  t.is(calls(), 0, 'nobody sleeps, and nobody needs it')
  overwrite(name, producerParked, needsFullFence)
  takeAll()
  t.is(calls(), 5)
  overwrite(name, producerParked, 0n)
  takeAll()
  t.is(calls(), 5)
})
