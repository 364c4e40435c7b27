// What an earlier session left unread: kept for the next consumer, or dropped by a side that begins fresh.

import test from 'ava'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import {
  MappedFile,
  NamelessSegment,
  SpscQueue,
  type Place,
  type QueueConsumer,
  type QueueOptions,
  type QueueProducer,
} from 'millrace'
import type { ExecutionContext } from 'ava'

import { actor } from '../support/actor.js'
import { ownDirectory } from '../support/directory.js'
import { objectsOf, uniqueName } from '../support/names.js'
import { openConsumer, openProducer } from '../support/queues.js'

const soon = { timeout: 15_000 }
const busy = (message: RegExp) => ({ code: 'ERR_MILLRACE_BUSY', message })

const places: [string, (t: ExecutionContext) => Place, QueueOptions?][] = [
  ['a name', uniqueName],
  ['a name that is kept', uniqueName, { keep: true }],
  ['a mapped file', (t) => new MappedFile(join(ownDirectory(t), 'file'))],
  [
    'a nameless segment',
    (t) => {
      const segment = NamelessSegment.create()
      t.teardown(() => {
        segment.close()
      })
      return segment
    },
  ],
]

for (const [what, placeOf, options] of places) {
  test(`what was left in ${what} waits, unless a side begins fresh`, async (t) => {
    const place = placeOf(t)
    const leave = (count: number) => {
      const producer = SpscQueue.producer(place, options)
      for (let i = 0; i < count; i++) producer.tryPush(`left ${i}`)
      producer.close()
    }
    leave(2)
    {
      const consumer = SpscQueue.consumer(place, options)
      t.is(consumer.discarded, 0)
      t.is(consumer.tryPop()?.toString(), 'left 0')
      consumer.close()
    }
    leave(3)
    {
      using consumer = SpscQueue.consumer(place, { ...options, fresh: true })
      t.is(consumer.discarded, 4)
      t.is(consumer.tryPop(), undefined)
      using producer = SpscQueue.producer(place, options)
      producer.tryPush('new')
      t.is((await consumer.pop(soon))?.toString(), 'new')
    }
    leave(5)
    {
      using producer = SpscQueue.producer(place, { ...options, fresh: true })
      t.is(producer.discarded, 5)
      producer.tryPush('newer')
      using consumer = SpscQueue.consumer(place, { ...options, fresh: true })
      t.is(consumer.discarded, 0)
      t.is((await consumer.pop(soon))?.toString(), 'newer')
    }
    if (typeof place === 'string') SpscQueue.unlink(place)
    else if (place instanceof MappedFile) rmSync(place.path)
  })
}

for (const first of ['producer', 'consumer'] as const) {
  test(`two fresh sides in two processes, the ${first} first: the session is whole`, async (t) => {
    const name = uniqueName(t)
    const failed = actor(t)
    await failed.do(({ SpscQueue, own }, queue) => {
      own.producer = SpscQueue.producer(queue)
      for (let i = 0; i < 100; i++) own.producer.tryPush('of a session that failed')
    }, name)
    const keeper = SpscQueue.consumer(name)
    await failed.kill('SIGKILL')
    keeper.close() // in good order, so that they wait
    t.not(objectsOf(name).length, 0)

    const other = actor(t)
    const send = () =>
      other.do(({ SpscQueue, own }, queue) => {
        own.producer = SpscQueue.producer(queue, { fresh: true })
        for (let i = 0; i < 100; i++) own.producer.tryPush(`${i}`)
        return own.producer.discarded
      }, name)
    const inTime = first === 'producer' ? await send() : undefined
    const consumer = openConsumer(t, name, { fresh: true })
    const producerDropped = inTime ?? (await send())
    t.is(producerDropped + consumer.discarded, 100)
    for (let i = 0; i < 100; i++) t.is((await consumer.pop(soon))?.toString(), `${i}`)
    t.is(consumer.tryPop(), undefined)
    consumer.close()
    await other.leave()
  })
}

test('what everybody died over is dropped, too, where it was kept', async (t) => {
  const name = uniqueName(t)
  const other = actor(t)
  await other.do(({ SpscQueue, own }, queue) => {
    own.producer = SpscQueue.producer(queue, { keep: true })
    own.consumer = SpscQueue.consumer(queue, { keep: true })
    for (let i = 0; i < 7; i++) own.producer.tryPush(Buffer.alloc(i * 100))
  }, name)
  await other.kill('SIGKILL')
  const consumer = openConsumer(t, name, { keep: true, fresh: true })
  t.is(consumer.discarded, 7)
  t.is(consumer.nextLength, -1)
  consumer.close()
  SpscQueue.unlink(name)
})

for (const [how, leave] of [
  [
    'closed',
    (side: QueueProducer | QueueConsumer) => {
      side.close()
    },
  ],
  [
    'failed',
    (side: QueueProducer | QueueConsumer) => {
      side.abort('disk full')
    },
  ],
] as const) {
  test(`a fresh side waits for a peer of its own, not for one that has ${how}`, async (t) => {
    const name = uniqueName(t)
    {
      const producer = SpscQueue.producer(name, { capacity: 4096 })
      const consumer = SpscQueue.consumer(name)
      producer.tryPush('left')
      leave(consumer)
      leave(producer)
    }
    const consumer = openConsumer(t, name, { fresh: true })
    t.is(consumer.discarded, 1)
    t.is(consumer.peer, 'absent')
    t.is(consumer.peerPid, 0)
    await t.throwsAsync(consumer.pop({ timeout: 20 }), { code: 'ERR_MILLRACE_TIMEOUT' })
    const popped = consumer.pop(soon)
    const producer = openProducer(t, name, { fresh: true })
    while (producer.tryPush('new'));
    t.is((await popped)?.toString(), 'new')
    leave(producer)
    leave(consumer)
    const next = openProducer(t, name, { fresh: true })
    t.true(next.discarded > 250)
    while (next.tryPush('newer'));
    await t.throwsAsync(next.push('waits', { timeout: 20 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  })
}

test('a fresh consumer does not begin in the middle of a session', (t) => {
  const name = uniqueName(t)
  const producer = openProducer(t, name)
  producer.tryPushBatch(['a', 'b'])
  const consumer = openConsumer(t, name, { fresh: true })
  t.is(consumer.tryPop()?.toString(), 'a')
  consumer.close()
  t.throws(
    () => SpscQueue.consumer(name, { fresh: true }),
    busy(/^the producer of queue '.*' \(process \d+\) has sent messages to an earlier consumer/),
  )
  t.is(producer.peer, 'closed', 'who was refused was never there')
  const patient = openConsumer(t, name)
  t.is(patient.tryPop()?.toString(), 'b', 'and has dropped nothing')
})

test('a fresh producer takes nothing from a consumer that reads', (t) => {
  const name = uniqueName(t)
  const consumer = openConsumer(t, name)
  const producer = openProducer(t, name)
  producer.tryPushBatch(['a', 'b'])
  producer.close()
  t.throws(
    () => SpscQueue.producer(name, { fresh: true }),
    busy(
      /holds 32 unread bytes of an earlier producer, and its consumer \(process \d+\) is reading/,
    ),
  )
  t.is(consumer.peer, 'closed')
  t.is(
    consumer.drain(() => undefined),
    2,
  )
  const next = openProducer(t, name, { fresh: true })
  t.is(next.discarded, 0)
  t.throws(() => SpscQueue.producer(name, { fresh: true }), { code: 'ERR_MILLRACE_ROLE_TAKEN' })
  next.tryPush('c')
  t.is(consumer.tryPop()?.toString(), 'c')
})

test('a producer that waits for room gets it from a fresh consumer', async (t) => {
  const name = uniqueName(t)
  {
    using early = SpscQueue.producer(name, { capacity: 4096 })
    while (early.tryPush('left'));
  }
  const producer = openProducer(t, name, { poll: 0 })
  const pushed = producer.push('mine', soon)
  const consumer = openConsumer(t, name, { fresh: true })
  t.is(consumer.discarded, 256)
  await pushed
  t.is((await consumer.pop(soon))?.toString(), 'mine')
})
