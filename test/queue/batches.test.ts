import test from 'ava'
import { SpscQueue, type MessageSource } from 'millrace'

import { objectsOf } from '../support/names.js'
import { bytes, onePage, openConsumer, openPair, recordBytes } from '../support/queues.js'
import { within } from '../support/until.js'

const texts = (messages: readonly Uint8Array[]) => messages.map((m) => Buffer.from(m).toString())

test('a batch arrives as single messages, in order', (t) => {
  const { producer, consumer } = openPair(t)
  const messages: MessageSource[] = ['one', Buffer.alloc(0), Uint16Array.of(1, 2), 'four']
  t.is(producer.tryPushBatch(messages), 4)
  t.deepEqual(
    [consumer.tryPop(), consumer.tryPop(), consumer.tryPop(), consumer.tryPop()],
    [Buffer.from('one'), Buffer.alloc(0), Buffer.from([1, 0, 2, 0]), Buffer.from('four')],
  )
  t.is(consumer.tryPop(), undefined)
})

test('of a batch as much is sent as there is room for', (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  const messages = Array.from({ length: 10 }, (_, i) => bytes(1000, i))
  t.is(producer.tryPushBatch(messages), 4)
  t.is(producer.freeBytes, onePage - 4 * recordBytes(1000))
  t.is(producer.tryPushBatch(messages), 0)
  t.deepEqual(consumer.tryPop(), bytes(1000, 0))
  t.is(producer.tryPushBatch(messages.slice(4)), 1)
  for (let i = 1; i < 5; i++) t.deepEqual(consumer.tryPop(), bytes(1000, i))
  t.is(consumer.tryPop(), undefined)
})

test('a batch that fills the ring exactly goes as one', (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  const messages = Array.from({ length: onePage / 32 }, (_, i) => bytes(24, i))
  t.is(producer.tryPushBatch(messages), messages.length)
  t.is(producer.freeBytes, 0)
  const lengths: number[] = []
  // With a number, for without one it may stop after some milliseconds.
  t.is(
    consumer.drain((message) => lengths.push(message.length), messages.length),
    messages.length,
  )
  t.deepEqual(lengths, Array<number>(messages.length).fill(24))
  t.is(consumer.nextLength, -1)
})

test('an empty batch sends nothing', async (t) => {
  const { producer, consumer } = openPair(t)
  t.is(producer.tryPushBatch([]), 0)
  await within(5000, producer.pushBatch([]))
  t.is(consumer.nextLength, -1)
})

test('a message that is refused is named by its place in the batch, and none is sent', async (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  const wrong: [unknown, string, RegExp][] = [
    [7, 'ERR_MILLRACE_INVALID_ARGUMENT', /^messages\[2\]: a message must be a string, .* not 7$/],
    [undefined, 'ERR_MILLRACE_INVALID_ARGUMENT', /^messages\[2\]: .* not undefined$/],
    [Buffer.alloc(onePage), 'ERR_MILLRACE_TOO_LARGE', /^messages\[2\]: .* 4096 bytes/],
    ['x'.repeat(onePage), 'ERR_MILLRACE_TOO_LARGE', /^messages\[2\]: .* 4096 bytes/],
  ]
  for (const [message, code, text] of wrong) {
    const batch = [Buffer.from('one'), Buffer.from('two'), message] as MessageSource[]
    const error = t.throws(() => producer.tryPushBatch(batch), { code, message: text })
    const { cause } = error as { cause?: Error }
    t.is(`messages[2]: ${cause!.message}`, error.message)
    await t.throwsAsync(producer.pushBatch(batch), { code, message: text })
    // Behind others that wait, too.
    producer.tryPush(bytes(4000))
    const earlier = producer.pushBatch([bytes(200)])
    const later = t.throwsAsync(producer.pushBatch(batch), { code, message: text })
    consumer.tryPop()
    await within(5000, Promise.all([earlier, later]))
    consumer.tryPop()
    t.is(consumer.nextLength, -1)
    t.is(producer.freeBytes, onePage)
  }
})

test('batches wrap at every 8-byte step of the ring', (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  for (let start = 0; start < onePage; start += 8) {
    producer.tryPush('')
    consumer.tryPop()
    const batch = [bytes(1331, start), bytes(7, start + 1), bytes(2000, start + 2)]
    t.is(producer.tryPushBatch(batch), 3)
    const seen: Buffer[] = []
    consumer.drain((message) => seen.push(Buffer.from(message)))
    t.true(
      seen.length === 3 && seen.every((message, i) => message.equals(batch[i]!)),
      `from offset ${start + 8}`,
    )
  }
})

test('pushBatch sends more than the ring holds, in as many turns as it takes', async (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  const batch = Array.from({ length: 500 }, (_, i) => bytes(i, i))
  const sent = producer.pushBatch(batch)
  for (let i = 0; i < 500; i++) {
    const message = await consumer.pop({ timeout: 5000 })
    t.true(message?.equals(batch[i]!), `message ${i}`)
  }
  await within(5000, sent)
  t.is(consumer.nextLength, -1)
})

test('drain shows every message in place and releases it', (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  producer.tryPushBatch(['a', 'bb', '', 'dddd'])
  const seen: Buffer[] = []
  t.is(
    consumer.drain((message) => seen.push(Buffer.from(message))),
    4,
  )
  t.deepEqual(texts(seen), ['a', 'bb', '', 'dddd'])
  t.is(producer.freeBytes, onePage)
  t.is(
    consumer.drain(() => t.fail()),
    0,
  )
})

test('drain stops after max messages, and after a callback that says false', (t) => {
  const { producer, consumer } = openPair(t)
  producer.tryPushBatch(['1', '2', '3', '4', '5', '6'])
  const seen: string[] = []
  const keep = (message: Uint8Array) => seen.push(Buffer.from(message).toString())
  t.is(consumer.drain(keep, 0), 0)
  t.is(consumer.drain(keep, 2), 2)
  t.deepEqual(seen, ['1', '2'])
  t.is(
    consumer.drain((message) => keep(message) < 4),
    2,
  )
  t.deepEqual(seen, ['1', '2', '3', '4'])
  t.is(consumer.drain(keep), 2)
  t.deepEqual(seen.slice(4), ['5', '6'])
})

test('a drain has a time budget; one that was told how much to take has none', (t) => {
  const { producer, consumer } = openPair(t)
  producer.tryPushBatch(Array.from({ length: 40 }, () => 'x'))
  const slow = () => {
    const end = performance.now() + 1
    while (performance.now() < end);
  }
  t.is(consumer.drain(slow), 16, 'the least that it takes')
  t.is(consumer.drain(slow, 20), 20)
  producer.tryPushBatch(Array.from({ length: 36 }, () => 'x'))
  t.is(consumer.drain(slow, Infinity), 40)
})

test('drain takes what was there when it began, not what comes meanwhile', (t) => {
  const { producer, consumer } = openPair(t)
  producer.tryPushBatch(['1', '2'])
  t.is(
    consumer.drain(() => producer.tryPush('later')),
    2,
  )
  t.is(
    consumer.drain((message) => t.is(Buffer.from(message).toString(), 'later')),
    2,
  )
})

test('a long drain gives room back on its way', (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  while (producer.tryPush(bytes(56))) continue
  const free: number[] = []
  consumer.drain(() => free.push(producer.freeBytes), Infinity)
  t.is(free[0], 0)
  t.true(free.at(-1)! >= onePage / 2)
})

test('a message whose callback throws stays, those before it are taken', (t) => {
  const { producer, consumer } = openPair(t)
  producer.tryPushBatch(['good', 'bad', 'next'])
  const seen: string[] = []
  const failOn = (text: string) => (message: Uint8Array) => {
    const now = Buffer.from(message).toString()
    if (now === text) throw new RangeError(`no ${text} please`)
    seen.push(now)
  }
  t.throws(() => consumer.drain(failOn('bad')), {
    instanceOf: RangeError,
    message: 'no bad please',
  })
  t.is(consumer.nextLength, 3)
  t.is(consumer.drain(failOn('nothing')), 2)
  t.deepEqual(seen, ['good', 'bad', 'next'])
})

test('inside drain, nothing else takes messages', async (t) => {
  const { producer, consumer } = openPair(t)
  producer.tryPushBatch(['1', '2'])
  const busy = { code: 'ERR_MILLRACE_BUSY', message: /being drained/ }
  const rejected: Promise<unknown>[] = []
  const taken = consumer.drain(() => {
    t.throws(() => consumer.tryPop(), busy)
    t.throws(() => consumer.tryPopInto(Buffer.alloc(9)), busy)
    t.throws(() => consumer.popSync(), busy)
    t.throws(() => consumer.drain(() => undefined), busy)
    rejected.push(t.throwsAsync(consumer.pop(), busy))
    return false
  })
  await Promise.all(rejected)
  t.is(taken, 1)
  t.is(consumer.tryPop()?.toString(), '2')
})

test('a callback may close the queue: its message counts as taken, the rest waits', (t) => {
  const { name, producer, consumer } = openPair(t)
  producer.tryPushBatch(['1', 'last', 'left'])
  let view: Uint8Array | undefined
  const taken = consumer.drain((message) => {
    view = message
    if (message.length === 4) consumer.close()
  })
  t.is(taken, 2)
  t.is(view?.length, 0, 'views of a closed queue are empty')
  const next = openConsumer(t, name)
  t.is(next.tryPop()?.toString(), 'left')
  t.is(next.tryPop(), undefined)
})

test('a callback that closes on the last message leaves an empty queue, which goes away', (t) => {
  const { name, producer, consumer } = openPair(t)
  producer.tryPushBatch(['1', 'last'])
  producer.close()
  consumer.drain((message) => {
    if (message.length === 4) consumer.close()
  })
  t.deepEqual(objectsOf(name), [])
})

test('views that drain gave outlive neither the messages nor the queue', (t) => {
  const { producer, consumer } = openPair(t)
  producer.tryPush('secret')
  let view: Uint8Array | undefined
  consumer.drain((message) => {
    view = message
    t.is(message.length, 6)
  })
  consumer.close()
  t.is(view?.length, 0)
  t.is(view?.[0], undefined)
})

test('a reader in the loop and drain make one consumer', async (t) => {
  const { producer, consumer } = openPair(t)
  producer.tryPushBatch(['1', '2', '3'])
  producer.close()
  const seen: string[] = []
  while (await consumer.readable({ timeout: 5000 })) {
    consumer.drain((message) => seen.push(Buffer.from(message).toString()), 2)
  }
  t.deepEqual(seen, ['1', '2', '3'])
})

test('batches that are too long for a queue of their own reject before anything is sent', async (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  const batch = ['first', Buffer.alloc(onePage)]
  await t.throwsAsync(producer.pushBatch(batch), { code: 'ERR_MILLRACE_TOO_LARGE' })
  t.is(consumer.nextLength, -1)
})

test('unlink takes the name away; open sides go on with each other', (t) => {
  const { name, producer, consumer } = openPair(t)
  t.true(SpscQueue.unlink(name))
  t.false(SpscQueue.unlink(name))
  producer.tryPush('still')
  t.is(consumer.tryPop()?.toString(), 'still')
  const other = openConsumer(t, name)
  producer.tryPush('not for the new one')
  t.is(other.peer, 'absent')
  t.is(other.tryPop(), undefined)
})
