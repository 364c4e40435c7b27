// Sleepers whose wake-up a peer that lies has taken away. They look every two seconds whether something has
// changed, and only then as carefully as whoever was woken.

import test from 'ava'

import { consumerParked, overwrite, peek, producerParked } from '../support/queue-words.js'
import { bytes, onePage, openPair } from '../support/queues.js'
import { until } from '../support/until.js'

const asleep = { poll: 0, spin: 0 }
/** Two looks, on a slow machine. */
const soon = { timeout: 15_000 }

test('a waiting pop finds the message that nobody told it of, again and again', async (t) => {
  const { name, producer, consumer } = openPair(t, asleep)
  for (let i = 0; i < 2; i++) {
    const popped = consumer.pop(soon)
    await until(() => peek(name, consumerParked) !== 0n)
    overwrite(name, consumerParked, 0n)
    producer.tryPush(String(i))
    t.is((await popped)?.toString(), String(i))
  }
})

test('a waiting push finds the room that nobody told it of', async (t) => {
  const { name, producer, consumer } = openPair(t, { capacity: onePage, ...asleep })
  producer.tryPush(bytes(4088))
  const pushed = producer.push('more', soon)
  await until(() => peek(name, producerParked) !== 0n)
  overwrite(name, producerParked, 0n)
  t.is(consumer.tryPop()?.length, 4088)
  await t.notThrowsAsync(pushed)
})

test('who was taken off its bed while nothing happened goes to sleep again, and is woken', async (t) => {
  const { name, producer, consumer } = openPair(t, asleep)
  const popped = consumer.pop(soon)
  await until(() => peek(name, consumerParked) !== 0n)
  overwrite(name, consumerParked, 0n)
  await until(() => peek(name, consumerParked) !== 0n)
  producer.tryPush('awake')
  t.is((await popped)?.toString(), 'awake')
})
