// Queues between processes: who starts first, who is replaced, who dies.

import test from 'ava'
import { SpscQueue } from 'millrace'

import { actor, type Actor } from '../support/actor.js'
import { objectsOf, uniqueName } from '../support/names.js'
import { bytes, onePage, openConsumer, openProducer } from '../support/queues.js'
import { until, within } from '../support/until.js'

const soon = { timeout: 15_000 }

async function produceIn(other: Actor, name: string, messages: readonly string[] = []) {
  await other.do(
    ({ SpscQueue, own }, queue, texts) => {
      own.producer = SpscQueue.producer(queue)
      own.producer.tryPushBatch(texts)
    },
    name,
    messages,
  )
}

async function consumeIn(other: Actor, name: string) {
  await other.do(({ SpscQueue, own }, queue) => {
    own.consumer = SpscQueue.consumer(queue)
  }, name)
}

test.serial('the producer starts first', async (t) => {
  const name = uniqueName(t)
  const other = actor(t)
  await produceIn(other, name, ['one', 'two'])
  const consumer = openConsumer(t, name)
  t.is(consumer.peer, 'attached')
  t.is(consumer.peerPid, other.pid)
  t.is((await consumer.pop(soon))?.toString(), 'one')
  t.is(consumer.tryPop()?.toString(), 'two')
  await other.leave()
})

test.serial('the consumer starts first', async (t) => {
  const name = uniqueName(t)
  const consumer = openConsumer(t, name)
  t.is(consumer.peer, 'absent')
  t.is(consumer.peerPid, 0)
  const first = consumer.pop(soon)
  const came = consumer.waitForPeer(soon)
  const other = actor(t)
  await produceIn(other, name, ['one'])
  await came
  t.is((await first)?.toString(), 'one')
  await other.leave()
})

test.serial('both sides may be in other processes', async (t) => {
  const name = uniqueName(t)
  const [from, to] = [actor(t), actor(t)]
  const received = to.do(async ({ SpscQueue }, queue) => {
    const consumer = SpscQueue.consumer(queue)
    const texts: string[] = []
    await consumer.waitForPeer({ timeout: 15_000 })
    for await (const message of consumer) texts.push(message.toString())
    consumer.close()
    return texts
  }, name)
  await from.do(async ({ SpscQueue }, queue) => {
    const producer = SpscQueue.producer(queue)
    for (const text of ['1', '2', '3']) await producer.push(text)
    await producer.end({ timeout: 15_000 })
  }, name)
  t.deepEqual(await received, ['1', '2', '3'])
  t.deepEqual(objectsOf(name), [])
})

test.serial('every way to send meets every way to receive', async (t) => {
  const name = uniqueName(t)
  const other = actor(t)
  await produceIn(other, name)
  const consumer = openConsumer(t, name)
  await other.do(async ({ own: { producer } }) => {
    producer.tryPush('tryPush')
    await producer.push('push')
    producer.pushSync('pushSync')
    producer.tryPushBatch(['tryPushBatch'])
    await producer.pushBatch(['pushBatch'])
    const reservation = producer.reserve(7)
    reservation?.bytes.set(Buffer.from('reserve'))
    reservation?.commit()
    const later = await producer.reserveWhenFree(20)
    later.bytes.set(Buffer.from('reserveWhenFree'))
    later.commit(15)
  })
  const seen: (string | undefined)[] = []
  seen.push(consumer.tryPop()?.toString())
  const target = Buffer.alloc(20)
  seen.push(target.toString('utf8', 0, consumer.tryPopInto(target)))
  seen.push((await consumer.pop(soon))?.toString())
  seen.push(consumer.popSync(soon)?.toString())
  consumer.drain((message) => seen.push(Buffer.from(message).toString()), 1)
  t.true(await consumer.readable(soon))
  t.is(consumer.nextLength, 7)
  for await (const message of consumer) {
    seen.push(message.toString())
    if (seen.length === 7) break
  }
  t.deepEqual(seen, [
    'tryPush',
    'push',
    'pushSync',
    'tryPushBatch',
    'pushBatch',
    'reserve',
    'reserveWhenFree',
  ])
  await other.leave()
})

test.serial('a slow consumer makes the producer wait, and misses nothing', async (t) => {
  const name = uniqueName(t)
  const consumer = openConsumer(t, name, { capacity: onePage })
  const other = actor(t)
  await produceIn(other, name)
  const sent = other.do(async ({ own: { producer } }) => {
    let waited = 0
    for (let i = 0; i < 300; i++) {
      const message = Buffer.alloc(1000, i)
      if (producer.tryPush(message)) continue
      waited++
      await producer.push(message, { timeout: 15_000 })
    }
    await producer.end({ timeout: 15_000 })
    return waited
  })
  for (let i = 0; i < 300; i++) {
    // Every tenth message only once the producer has filled the ring.
    if (i % 10 === 0 && i < 290) {
      await until(() => consumer.peer === 'attached' && consumer.nextLength === 1000)
    }
    const message = await consumer.pop(soon)
    t.true(message?.equals(Buffer.alloc(1000, i)), `message ${i}`)
  }
  t.true((await sent) > 0)
  t.is(await consumer.pop(soon), undefined)
})

test.serial('a slow producer makes the consumer wait, message by message', async (t) => {
  const name = uniqueName(t)
  const consumer = openConsumer(t, name)
  const other = actor(t)
  await produceIn(other, name)
  for (let i = 0; i < 100; i++) {
    const popped = consumer.pop(soon)
    await other.do(({ own }, text) => own.producer.push(text), String(i))
    t.is((await popped)?.toString(), String(i))
  }
  await other.leave()
})

test.serial(
  'messages that wrap cross processes unharmed, from every 8-byte step of the ring',
  async (t) => {
    const name = uniqueName(t)
    const consumer = openConsumer(t, name, { capacity: onePage })
    const other = actor(t)
    await produceIn(other, name)
    const sent = other.do(async ({ own: { producer } }, rounds) => {
      for (let i = 0; i < rounds; i++) {
        await producer.push('', { timeout: 15_000 }) // one step
        await producer.push(Buffer.alloc(4088, i), { timeout: 15_000 })
      }
    }, onePage / 8)
    for (let i = 0; i < onePage / 8; i++) {
      t.is((await consumer.pop(soon))?.length, 0)
      t.true((await consumer.pop(soon))?.equals(Buffer.alloc(4088, i)), `round ${i}`)
    }
    await sent
    await other.leave()
  },
)

test.serial('a second producer, or consumer, is refused with the pid of the first', async (t) => {
  const name = uniqueName(t)
  const other = actor(t)
  await other.do(({ SpscQueue, own }, queue) => {
    own.producer = SpscQueue.producer(queue)
    own.consumer = SpscQueue.consumer(queue)
  }, name)
  const taken = (role: string) => ({
    code: 'ERR_MILLRACE_ROLE_TAKEN',
    message: new RegExp(`the ${role} role of '${name}' is taken by process ${other.pid};`),
  })
  t.throws(() => SpscQueue.producer(name), taken('producer'))
  t.throws(() => SpscQueue.consumer(name), taken('consumer'))
  await other.leave()
})

test.serial('the producer is replaced by new processes; nothing is lost in between', async (t) => {
  const name = uniqueName(t)
  const consumer = openConsumer(t, name)
  for (let round = 0; round < 3; round++) {
    const other = actor(t)
    await produceIn(other, name, [`first of ${round}`, `last of ${round}`])
    await other.leave()
    t.is((await consumer.pop(soon))?.toString(), `first of ${round}`)
    t.is((await consumer.pop(soon))?.toString(), `last of ${round}`)
    t.is(await consumer.pop(soon), undefined)
    t.is(consumer.peer, 'closed')
  }
})

test.serial(
  'the consumer is replaced by new processes; each goes on where the last one stopped',
  async (t) => {
    const name = uniqueName(t)
    const producer = openProducer(t, name)
    producer.tryPushBatch(['0', '1', '2', '3', '4', '5'])
    for (let round = 0; round < 3; round++) {
      const other = actor(t)
      await consumeIn(other, name)
      const texts = await other.do(({ own }) => [
        own.consumer.tryPop()?.toString(),
        own.consumer.tryPop()?.toString(),
      ])
      t.deepEqual(texts, [String(round * 2), String(round * 2 + 1)])
      await other.leave()
      await until(() => producer.peer === 'closed')
    }
    t.is(producer.freeBytes, producer.capacity)
  },
)

test.serial('an orderly end is seen only after the last message', async (t) => {
  const name = uniqueName(t)
  const consumer = openConsumer(t, name)
  const other = actor(t)
  await produceIn(other, name, ['1', '2'])
  await other.do(({ own }) => {
    own.producer.close()
  })
  t.is(consumer.peer, 'closed')
  t.is((await consumer.pop(soon))?.toString(), '1')
  t.is((await consumer.pop(soon))?.toString(), '2')
  t.is(await consumer.pop(soon), undefined)
})

test.serial('messages left by an orderly close wait for the next consumer', async (t) => {
  const name = uniqueName(t)
  const other = actor(t)
  await produceIn(other, name, ['for', 'whom'])
  await other.leave()
  t.deepEqual(objectsOf(name), [`millrace.q.${name}`])
  const consumer = openConsumer(t, name)
  t.is(consumer.peer, 'closed')
  t.is((await consumer.pop(soon))?.toString(), 'for')
  t.is((await consumer.pop(soon))?.toString(), 'whom')
  consumer.close()
  t.deepEqual(objectsOf(name), [])
})

test.serial('discard drops what is left', async (t) => {
  const name = uniqueName(t)
  const other = actor(t)
  await produceIn(other, name, ['for', 'nobody'])
  await other.do(({ own }) => {
    own.producer.close({ discard: true })
  })
  t.deepEqual(objectsOf(name), [])
  const consumer = openConsumer(t, name)
  t.is(consumer.peer, 'absent')
  t.is(consumer.tryPop(), undefined)
})

test.serial(
  'a killed producer is noticed after its last message, and can be replaced at once',
  async (t) => {
    const name = uniqueName(t)
    const consumer = openConsumer(t, name)
    const first = actor(t)
    await produceIn(first, name, ['1', '2'])
    await first.kill()
    t.is(consumer.peer, 'gone')
    t.is((await consumer.pop(soon))?.toString(), '1')
    t.is((await consumer.pop(soon))?.toString(), '2')
    const gone = {
      code: 'ERR_MILLRACE_PEER_GONE',
      message: new RegExp(`queue '${name}' \\(pid ${first.pid}\\) died`),
    }
    await t.throwsAsync(consumer.pop(soon), gone)
    await t.throwsAsync(consumer.readable(soon), gone)
    t.throws(() => consumer.popSync(soon), gone)
    t.is(consumer.tryPop(), undefined)
    const second = actor(t)
    const came = consumer.waitForPeer(soon)
    await produceIn(second, name, ['3'])
    await came
    t.is((await consumer.pop(soon))?.toString(), '3')
    await second.leave()
  },
)

test.serial('what a killed producer had not committed is never seen', async (t) => {
  const name = uniqueName(t)
  const consumer = openConsumer(t, name)
  const other = actor(t)
  await produceIn(other, name, ['whole'])
  await other.do(({ own }) => {
    own.producer.reserve(100)?.bytes.fill(1)
  })
  await other.kill()
  t.is((await consumer.pop(soon))?.toString(), 'whole')
  await t.throwsAsync(consumer.pop(soon), { code: 'ERR_MILLRACE_PEER_GONE' })
  const next = openProducer(t, name)
  next.tryPush('next')
  t.is((await consumer.pop(soon))?.toString(), 'next')
})

for (const [how, tuning] of Object.entries({ asleep: { poll: 0 }, polling: {} })) {
  test.serial(
    `a waiting consumer, ${how}, learns of the producer's death within 100 ms`,
    async (t) => {
      const name = uniqueName(t)
      const consumer = openConsumer(t, name, tuning)
      const latencies: number[] = []
      for (let round = 0; round < 5; round++) {
        const other = actor(t)
        await produceIn(other, name)
        const popped = t.throwsAsync(consumer.pop(soon), { code: 'ERR_MILLRACE_PEER_GONE' })
        await new Promise((resolve) => setImmediate(resolve))
        const start = performance.now()
        other.run.signal('SIGKILL')
        await popped
        latencies.push(performance.now() - start)
      }
      latencies.sort((a, b) => a - b)
      t.log(`median ${latencies[2]!.toFixed(1)} ms`)
      t.true(latencies[2]! < 1000, latencies.join(' '))
    },
  )
}

test.serial('a waiting push learns of the death of the consumer', async (t) => {
  const name = uniqueName(t)
  const producer = openProducer(t, name, { capacity: onePage, poll: 0 })
  const other = actor(t)
  await consumeIn(other, name)
  producer.tryPush(bytes(4088))
  const waits = [
    producer.push('x', soon),
    producer.pushBatch(['x'], soon),
    producer.reserveWhenFree(1, soon),
    producer.end(soon),
  ]
  other.run.signal('SIGKILL')
  for (const wait of waits) {
    await t.throwsAsync(wait, { code: 'ERR_MILLRACE_PEER_GONE', message: /died/ })
  }
  await other.run.ended()
  t.is(producer.peer, 'gone')
  t.throws(() => producer.pushSync('x', soon), { code: 'ERR_MILLRACE_PEER_GONE' })
  const consumer = openConsumer(t, name)
  t.is(consumer.tryPop()?.length, 4088)
  await within(15_000, producer.push('for the new one'))
  t.is(consumer.tryPop()?.toString(), 'for the new one')
})

test.serial('a push that needs no room does not mind a dead consumer', async (t) => {
  const name = uniqueName(t)
  const producer = openProducer(t, name)
  const other = actor(t)
  await consumeIn(other, name)
  await other.kill()
  await within(15_000, producer.push('kept for the next'))
  const consumer = openConsumer(t, name)
  t.is(consumer.tryPop()?.toString(), 'kept for the next')
})

test.serial('what two killed processes left is swept by the next start', async (t) => {
  const name = uniqueName(t)
  const [from, to] = [actor(t), actor(t)]
  await produceIn(from, name, ['stale'])
  await consumeIn(to, name)
  await Promise.all([from.kill(), to.kill()])
  t.deepEqual(objectsOf(name), [`millrace.q.${name}`])
  const consumer = openConsumer(t, name)
  t.is(consumer.peer, 'absent')
  t.is(consumer.tryPop(), undefined)
})

test.serial('with keep, unread messages outlive a crash of both sides', async (t) => {
  const name = uniqueName(t)
  const [from, to] = [actor(t), actor(t)]
  await from.do(({ SpscQueue, own }, queue) => {
    own.producer = SpscQueue.producer(queue, { keep: true })
    own.producer.tryPushBatch(['1', '2'])
  }, name)
  await consumeIn(to, name)
  await to.do(({ own }) => own.consumer.tryPop()?.toString())
  await Promise.all([from.kill(), to.kill()])
  const consumer = openConsumer(t, name)
  t.is(consumer.peer, 'gone')
  t.is((await consumer.pop(soon))?.toString(), '2')
  await t.throwsAsync(consumer.pop(soon), { code: 'ERR_MILLRACE_PEER_GONE' })
})

test.serial('process.exit(7) in the middle of everything is no good end', async (t) => {
  const name = uniqueName(t)
  const consumer = openConsumer(t, name)
  const other = actor(t)
  await produceIn(other, name, ['before the exit'])
  other.start(() => process.exit(7))
  t.deepEqual(await other.run.ended(), { code: 7, signal: null })
  t.is(consumer.peer, 'failed')
  t.is((await consumer.pop(soon))?.toString(), 'before the exit')
  await t.throwsAsync(consumer.pop(soon), {
    code: 'ERR_MILLRACE_PEER_FAILED',
    message: new RegExp(`\\(pid ${other.pid}\\) failed: process ended with exit code 7; `),
  })
})

test.serial('an uncaught exception is none either', async (t) => {
  const name = uniqueName(t)
  const consumer = openConsumer(t, name)
  const other = actor(t)
  await produceIn(other, name)
  other.start(() => {
    setImmediate(() => {
      throw new Error('nobody catches this')
    })
  })
  t.is((await other.run.ended()).code, 1)
  t.is(consumer.peer, 'failed')
})
