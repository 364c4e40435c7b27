// Messages held in place between processes: what was not released when its consumer ended, however it ended, is received
// again by the next one.

import { Worker } from 'node:worker_threads'
import test from 'ava'

import { actor, type Actor } from '../support/actor.js'
import { objectsOf, uniqueName } from '../support/names.js'
import { bytes, onePage, openConsumer, openProducer } from '../support/queues.js'
import { until, within } from '../support/until.js'

const soon = { timeout: 15_000 }

/** Takes three messages there: the first is released, the second held, the third popped. */
async function workIn(other: Actor, name: string): Promise<void> {
  const seen = await other.do(async ({ SpscQueue, own }, queue) => {
    own.consumer = SpscQueue.consumer(queue)
    const first = await own.consumer.take()
    const text = [Buffer.from(first!.bytes).toString()]
    first!.release()
    own['held'] = await own.consumer.take()
    text.push(String(await own.consumer.pop()))
    return text
  }, name)
  if (seen.join() !== 'one,three') throw new Error(seen.join())
}

const ends: Record<string, (other: Actor) => Promise<unknown>> = {
  'is killed': (other) => other.kill('SIGKILL'),
  'ends of itself': (other) => other.leave(),
  'calls process.exit': (other) => {
    other.start(() => process.exit(0))
    return other.run.ended()
  },
  'throws what nobody catches': (other) => {
    other.start(() => {
      setImmediate(() => {
        throw new Error('on purpose')
      })
    })
    return other.run.ended()
  },
  closes: (other) =>
    other.do(({ own }) => {
      own.consumer.close()
    }),
}

for (const [how, end] of Object.entries(ends)) {
  test.serial(`a consumer that ${how}: the next one gets what was not released`, async (t) => {
    const name = uniqueName(t)
    const producer = openProducer(t, name, { capacity: onePage })
    producer.tryPushBatch(['one', 'two', 'three', 'four'])
    const other = actor(t)
    await workIn(other, name)
    t.is(producer.freeBytes, onePage - 48)
    await end(other)
    await until(() => producer.peer !== 'attached')
    const consumer = openConsumer(t, name)
    {
      using again = await consumer.take(soon)
      t.is(Buffer.from(again!.bytes).toString(), 'two')
    }
    t.is((await consumer.pop(soon))?.toString(), 'three')
    t.is((await consumer.pop(soon))?.toString(), 'four')
    t.is(producer.freeBytes, onePage)
    await producer.end(soon)
  })
}

test.serial(
  'consumers that are killed one after the other lose nothing, and double what they held alone',
  async (t) => {
    const name = uniqueName(t)
    const producer = openProducer(t, name, { capacity: onePage })
    const messages = Array.from({ length: 200 }, (_, i) => bytes(8, i))
    t.is(producer.tryPushBatch(messages), 200)
    const done: number[] = []
    for (let life = 0; life < 4; life++) {
      const other = actor(t)
      // Handles 50; the last one is never released.
      const handled = await other.do(async ({ SpscQueue, own }, queue) => {
        own.consumer = SpscQueue.consumer(queue)
        const numbers: number[] = []
        for (let i = 0; i < 50; i++) {
          const message = await own.consumer.take()
          numbers.push(message!.bytes[0]!)
          if (i < 49) message!.release()
        }
        return numbers
      }, name)
      await other.kill()
      done.push(...handled)
      await until(() => producer.peer === 'gone')
    }
    const expected = Array.from({ length: 4 }, (_, life) =>
      Array.from({ length: 50 }, (_, i) => bytes(1, life * 49 + i)[0]!),
    ).flat()
    t.deepEqual(done, expected)
    const consumer = openConsumer(t, name)
    t.deepEqual(consumer.tryPop(), messages[196])
  },
)

test.serial('what was held outlives the death of both sides where the queue is kept', async (t) => {
  const name = uniqueName(t)
  const [from, to] = [actor(t), actor(t)]
  await from.do(({ SpscQueue, own }, queue) => {
    own.producer = SpscQueue.producer(queue, { keep: true })
    own.producer.tryPushBatch(['one', 'two', 'three'])
  }, name)
  await workIn(to, name)
  await Promise.all([from.kill(), to.kill()])
  const consumer = openConsumer(t, name)
  t.deepEqual([consumer.tryPop(), consumer.tryPop(), consumer.tryPop()].map(String), [
    'two',
    'three',
    'undefined',
  ])
})

test.serial('a message stays whole when its producer is killed', async (t) => {
  const name = uniqueName(t)
  const other = actor(t)
  await other.do(({ SpscQueue, own }, queue) => {
    own.producer = SpscQueue.producer(queue)
    own.producer.tryPushBatch(['one', 'two'])
  }, name)
  const consumer = openConsumer(t, name)
  const one = (await consumer.take(soon))!
  const two = (await consumer.take(soon))!
  const waiting = consumer.take(soon)
  await other.kill()
  await t.throwsAsync(within(15_000, waiting), { code: 'ERR_MILLRACE_PEER_GONE' })
  t.is(Buffer.from(one.bytes).toString(), 'one')
  const next = openProducer(t, name)
  t.is(next.freeBytes, next.capacity - 32, 'its successor sees what is held')
  next.tryPush('three')
  t.is(Buffer.from(two.bytes).toString(), 'two')
  one.release()
  two.release()
  t.is(Buffer.from((await consumer.take(soon))!.bytes).toString(), 'three')
})

test.serial(
  'a worker that is terminated with a message in hand leaves it to the next',
  async (t) => {
    const name = uniqueName(t)
    const producer = openProducer(t, name, { capacity: onePage })
    producer.tryPushBatch(['one', 'two'])
    const worker = new Worker(new URL('./fixtures/holding.js', import.meta.url), {
      workerData: name,
    })
    t.teardown(() => worker.terminate())
    const length = await within(
      15_000,
      new Promise((resolve, reject) => {
        worker.once('message', resolve)
        worker.once('error', reject)
      }),
    )
    t.is(length, 3)
    t.is(producer.freeBytes, onePage - 32)
    await within(15_000, worker.terminate())
    const consumer = openConsumer(t, name)
    t.deepEqual([consumer.tryPop(), consumer.tryPop()].map(String), ['one', 'two'])
  },
)

test.serial('nothing is left when all was released', async (t) => {
  const name = uniqueName(t)
  const other = actor(t)
  await other.do(async ({ SpscQueue, own }, queue) => {
    own.producer = SpscQueue.producer(queue)
    own.consumer = SpscQueue.consumer(queue)
    own.producer.tryPush('x')
    ;(await own.consumer.take())!.release()
  }, name)
  t.deepEqual(await other.leave(), { code: 0, signal: null })
  t.deepEqual(objectsOf(name), [])
})
