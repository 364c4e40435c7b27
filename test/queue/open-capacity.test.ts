// A queue whose creator said no capacity takes the one that the other side says, as long as nothing was sent.

import test from 'ava'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { MappedFile, NamelessSegment, SpscQueue, type Place } from 'millrace'
import type { ExecutionContext } from 'ava'

import { actor } from '../support/actor.js'
import { ownDirectory } from '../support/directory.js'
import { uniqueName } from '../support/names.js'
import { bytes, openConsumer, openProducer } from '../support/queues.js'
import { overwrite } from '../support/queue-words.js'

const soon = { timeout: 15_000 }
const byDefault = 256 * 1024
const pathOf = (name: string) => `/dev/shm/millrace.q.${name}`
const places: [string, (t: ExecutionContext) => Place][] = [
  ['a name', uniqueName],
  ['a mapped file', (t) => new MappedFile(join(ownDirectory(t), 'file'))],
]

for (const capacity of [4096, byDefault, 1 << 20]) {
  for (const [what, placeOf] of places) {
    test(`under ${what}, a waiting consumer gets a ring of ${capacity} bytes from its producer`, async (t) => {
      const place = placeOf(t)
      using consumer = SpscQueue.consumer(place)
      t.is(consumer.tryPop(), undefined)
      t.is(consumer.nextLength, -1)
      t.is(
        consumer.drain(() => undefined),
        0,
      )
      t.is(
        consumer.drainRaw(() => undefined),
        0,
      )
      t.false(inspect(consumer).includes('capacity'))
      const popped = consumer.pop(soon)
      using producer = SpscQueue.producer(place, { capacity })
      t.is(producer.capacity, capacity)
      const longest = bytes(producer.maxMessage)
      producer.tryPush(longest)
      t.deepEqual(await popped, longest)
      t.is(consumer.capacity, capacity)
      t.is(
        statSync(typeof place === 'string' ? pathOf(place) : (place as MappedFile).path).size,
        8192 + capacity,
      )
      for (let i = 0; i < 1000; i++) {
        await producer.push(bytes(i), soon)
        t.deepEqual(consumer.tryPop(), bytes(i))
      }
    })

    test(`under ${what}, a waiting producer gets a ring of ${capacity} bytes from its consumer`, async (t) => {
      const place = placeOf(t)
      using producer = SpscQueue.producer(place)
      t.true(producer.freeBytes > 0)
      t.false(inspect(producer).includes('capacity'))
      using consumer = SpscQueue.consumer(place, { capacity })
      t.is(consumer.capacity, capacity)
      t.is(producer.capacity, capacity)
      const longest = bytes(producer.maxMessage)
      t.is(producer.tryPushBatch([longest]), 1)
      t.deepEqual(await consumer.pop(soon), longest)
    })
  }
}

for (const [what, decide] of [
  ['its first message', (t: ExecutionContext, name: string) => openProducer(t, name).tryPush('x')],
  ['a reservation', (t: ExecutionContext, name: string) => openProducer(t, name).reserve(5)],
  [
    'who asks for its capacity',
    (t: ExecutionContext, name: string) => openProducer(t, name).capacity,
  ],
] as const) {
  test(`${what} decides for the default, and who says another capacity later is told`, (t) => {
    const name = uniqueName(t)
    decide(t, name)
    t.throws(() => SpscQueue.consumer(name, { capacity: 4096 }), {
      code: 'ERR_MILLRACE_GEOMETRY',
      message: /exists with capacity 262144, not 4096; that is the default, .* the one that sends/,
    })
    t.is(openConsumer(t, name, { capacity: byDefault }).capacity, byDefault)
  })
}

test('a waiting consumer that asks for the longest message is not given a longer one', (t) => {
  const name = uniqueName(t)
  const consumer = openConsumer(t, name)
  t.is(consumer.maxMessage, byDefault - 8)
  t.throws(() => SpscQueue.producer(name, { capacity: 1 << 20 }), { code: 'ERR_MILLRACE_GEOMETRY' })
  t.is(openProducer(t, name).capacity, byDefault)
})

test('who is refused leaves the capacity open', (t) => {
  const name = uniqueName(t)
  const consumer = openConsumer(t, name)
  t.throws(() => SpscQueue.consumer(name, { capacity: 1 << 20 }), {
    code: 'ERR_MILLRACE_ROLE_TAKEN',
  })
  t.is(statSync(pathOf(name)).size, 8192 + byDefault)
  t.is(openProducer(t, name, { capacity: 8192 }).capacity, 8192)
  t.is(consumer.capacity, 8192)
})

test('it stays open when a side leaves that has sent nothing', (t) => {
  const name = uniqueName(t)
  const consumer = openConsumer(t, name)
  openProducer(t, name).close()
  const producer = openProducer(t, name, { capacity: 16_384 })
  producer.tryPush('x')
  t.is(consumer.tryPop()?.toString(), 'x')
  t.is(consumer.capacity, 16_384)
})

test('a side that was closed before it was decided has no capacity', (t) => {
  const consumer = openConsumer(t, uniqueName(t))
  consumer.close()
  t.is(consumer.capacity, 0)
  t.is(consumer.maxMessage, 0)
  t.throws(() => consumer.drain(() => undefined), { code: 'ERR_MILLRACE_CLOSED' })
})

test('the size of nameless memory is what its creator made it', (t) => {
  using segment = NamelessSegment.create()
  using consumer = SpscQueue.consumer(segment)
  t.is(consumer.capacity, byDefault)
  t.throws(() => SpscQueue.producer(segment, { capacity: 4096 }), { code: 'ERR_MILLRACE_GEOMETRY' })
})

test('lies: a capacity that cannot be is refused by who waited for it', (t) => {
  for (const lie of [1n, 3n << 20n, 1n << 31n, 1n << 63n, 1n << 29n]) {
    const name = uniqueName(t, { mayLeave: true })
    const consumer = openConsumer(t, name)
    overwrite(name, 4096 + 128 + 16, lie)
    const corrupt = { code: 'ERR_MILLRACE_CORRUPT' }
    t.throws(() => SpscQueue.producer(name), corrupt)
    t.throws(() => consumer.tryPop(), corrupt)
    // As whatever is corrupt, it is closed and has lost its name.
    t.true(consumer.closed)
    t.true(openProducer(t, name).tryPush('on a new one'))
  }
})

for (const explicit of ['producer', 'consumer'] as const) {
  test.serial(
    `two processes come at once, the ${explicit} says a capacity: it has it every time`,
    async (t) => {
      const sender = actor(t)
      const receiver = actor(t)
      for (let round = 0; round < 150; round++) {
        const name = uniqueName(t)
        const capacity = 4096 << (round % 10)
        const said = (side: string) => (side === explicit ? { capacity } : {})
        const sent = () =>
          sender.do(
            async ({ SpscQueue }, queue, options, pause) => {
              for (let i = 0; i < pause; i++) process.hrtime()
              const producer = SpscQueue.producer(queue, options)
              if (options.capacity === undefined) await producer.waitForPeer({ timeout: 15_000 })
              for (let i = 0; i < 40; i++) {
                await producer.push(Buffer.alloc(3000, i), { timeout: 15_000 })
              }
              const found = producer.capacity
              await producer.end({ timeout: 15_000 })
              return found
            },
            name,
            said('producer'),
            (round * 7919) % 3000,
          )
        const received = () =>
          receiver.do(
            async ({ SpscQueue }, queue, options, pause) => {
              for (let i = 0; i < pause; i++) process.hrtime()
              const consumer = SpscQueue.consumer(queue, options)
              let whole = 0
              while (whole < 40) {
                const message = await consumer.pop({ timeout: 15_000 })
                if (message === undefined) break
                if (message.length === 3000 && message.every((byte) => byte === whole)) whole++
                else throw new Error(`message ${whole} is not what was sent`)
              }
              const found = consumer.capacity
              consumer.close()
              return [whole, found]
            },
            name,
            said('consumer'),
            (round * 104_729) % 3000,
          )
        const both = round % 2 === 0 ? [sent(), received()] : [received(), sent()].reverse()
        t.deepEqual(await Promise.all(both), [capacity, [40, capacity]], `round ${round}`)
      }
    },
  )
}
