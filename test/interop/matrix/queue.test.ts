// Queues from each language to each other one. Either side is killed, again and again.

import test from 'ava'

import { uniqueName } from '../../support/names.js'
import { Random } from '../../support/random.js'
import { Peer, upTo, withPeers } from './peer.js'
import { languages } from './roles.js'

withPeers(test)

const noEnd = 1e9
const pairs = languages.flatMap((from) =>
  languages.filter((to) => to !== from).map((to) => ({ from, to })),
)

for (const [at, { from, to }] of pairs.entries()) {
  test.serial(`a queue from ${from} to ${to}`, async (t) => {
    t.timeout(300_000)
    const name = uniqueName(t, { mayLeave: true })
    const chance = new Random(100 + at)
    let consumer = new Peer(t, to, 'pop', name)
    await consumer.said('ready')

    // Producers die: what they sent is there, whole, in order, each message once; then the next one goes on.
    let next = 0
    for (let round = 1; round <= 2; round++) {
      const producer = new Peer(t, from, 'push', name, next, noEnd)
      const enough = next + chance.below(200)
      await consumer.until(() => (consumer.last ?? -1) >= enough)
      await producer.kill(chance)
      await consumer.said('gone', round)
      const { numbers } = consumer
      t.deepEqual(numbers, upTo(numbers.length))
      t.true(numbers.length > (producer.last ?? -1), 'what was sent has come')
      next = numbers.length
    }

    // Consumers die: the next one goes on behind what was taken.
    const producer = new Peer(t, from, 'push', name, next, noEnd)
    for (let round = 0; round < 2; round++) {
      const enough = next + chance.below(200)
      await consumer.until(() => (consumer.last ?? -1) >= enough)
      await consumer.kill(chance)
      const last = consumer.last!
      consumer = new Peer(t, to, 'pop', name)
      await consumer.until(() => consumer.numbers.length > 0)
      // One may have been taken, and not told of.
      t.true([last + 1, last + 2].includes(consumer.numbers[0]!))
      next = consumer.last!
    }
    await producer.kill(chance)
    await consumer.said('gone')

    // And in good order.
    const successor = new Peer(t, from, 'push', name, consumer.last! + 1, 100)
    await consumer.said('end')
    await successor.said('end')
    await consumer.ended(t)
    await successor.ended(t)
    const { numbers } = consumer
    t.deepEqual(numbers, upTo(numbers.length, numbers[0]))
    t.is(consumer.last, successor.last)
  })
}
