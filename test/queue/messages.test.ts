import test from 'ava'
import { SpscQueue } from 'millrace'

import { uniqueName } from '../support/names.js'
import { bytes, onePage, openPair, recordBytes } from '../support/queues.js'

test('a message arrives as it was sent', (t) => {
  const { producer, consumer } = openPair(t)
  t.true(producer.tryPush(Buffer.from([1, 2, 3])))
  t.deepEqual(consumer.tryPop(), Buffer.from([1, 2, 3]))
  t.is(consumer.tryPop(), undefined)
})

test('messages of every length from none to the limit keep their order and their bytes', (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  const { maxMessage } = producer
  t.is(maxMessage, onePage - 8)
  const lengths = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 15, 16, 17, 255, 256, 257, 2047, 2048]
  for (const length of [...lengths, maxMessage - 8, maxMessage - 1, maxMessage]) {
    t.true(producer.tryPush(bytes(length)), String(length))
    t.is(consumer.nextLength, length)
    t.deepEqual(consumer.tryPop(), bytes(length), String(length))
  }
})

test('a message wraps unharmed at each 8-byte step of the ring', (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  for (let start = 0; start < onePage; start += 8) {
    // One step of 8 bytes forward, then a message that crosses the end of the ring from there.
    t.true(producer.tryPush(''))
    t.is(consumer.tryPop()?.length, 0)
    const message = bytes(onePage - 8, start)
    t.true(producer.tryPush(message))
    t.true(consumer.tryPop()?.equals(message), `from offset ${start + 8}`)
  }
})

test('a message one byte over the limit is refused, and the limit is named', (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  const tooLong = Buffer.alloc(producer.maxMessage + 1)
  const refused = { code: 'ERR_MILLRACE_TOO_LARGE', message: /4089 bytes.*limit is 4088 bytes/ }
  t.throws(() => producer.tryPush(tooLong), refused)
  t.throws(() => producer.tryPushBatch(['fits', tooLong]), refused)
  t.throws(() => producer.pushSync(tooLong), refused)
  t.throws(() => producer.reserve(tooLong.length), refused)
  t.is(consumer.tryPop(), undefined)
})

test('a refused message rejects, where the call is asynchronous', async (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  const tooLong = Buffer.alloc(producer.maxMessage + 1)
  const refused = { code: 'ERR_MILLRACE_TOO_LARGE', message: /limit is 4088 bytes/ }
  await t.throwsAsync(producer.push(tooLong), refused)
  await t.throwsAsync(producer.pushBatch(['fits', tooLong]), refused)
  await t.throwsAsync(producer.reserveWhenFree(tooLong.length), refused)
  t.is(consumer.tryPop(), undefined)
})

test('strings are sent as UTF-8, views as the bytes they show', (t) => {
  const { producer, consumer } = openPair(t)
  const numbers = Float64Array.of(1.5, -2, Infinity)
  const memory = Uint8Array.of(0, 1, 2, 3, 4, 5, 6, 7).buffer
  producer.tryPush('물레방아')
  producer.tryPush(numbers)
  producer.tryPush(new DataView(memory, 2, 3))
  producer.tryPush(new Uint16Array(memory, 2, 2))
  producer.tryPush(new Uint8Array(new SharedArrayBuffer(2)))
  t.is(consumer.tryPop()?.toString(), '물레방아')
  t.deepEqual(consumer.tryPop(), Buffer.from(numbers.buffer))
  t.deepEqual(consumer.tryPop(), Buffer.from([2, 3, 4]))
  t.deepEqual(consumer.tryPop(), Buffer.from([2, 3, 4, 5]))
  t.deepEqual(consumer.tryPop(), Buffer.from([0, 0]))
})

test('what is no bytes is no message', async (t) => {
  const { producer, consumer } = openPair(t)
  const expected = { code: 'ERR_MILLRACE_INVALID_ARGUMENT', message: /a message must be/ }
  for (const wrong of [undefined, null, 7, {}, [1], new SharedArrayBuffer(2)] as never[]) {
    t.throws(() => producer.tryPush(wrong), expected)
    t.throws(() => producer.pushSync(wrong), expected)
    t.throws(() => producer.tryPushBatch(['good', wrong]), expected)
    await t.throwsAsync(producer.push(wrong), expected)
    await t.throwsAsync(producer.pushBatch(['good', wrong]), expected)
  }
  t.is(consumer.tryPop(), undefined)
})

test('a full ring refuses, without losing anything, until there is room again', (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  let sent = 0
  while (producer.tryPush(bytes(24, sent))) sent++
  t.is(sent, onePage / recordBytes(24))
  t.is(producer.freeBytes, 0)
  t.false(producer.tryPush(''))
  t.deepEqual(consumer.tryPop(), bytes(24, 0))
  t.is(producer.freeBytes, 32)
  t.true(producer.tryPush(bytes(24, sent)))
  t.false(producer.tryPush(''))
  for (let i = 1; i <= sent; i++) t.deepEqual(consumer.tryPop(), bytes(24, i))
  t.is(consumer.tryPop(), undefined)
  t.is(producer.freeBytes, onePage)
})

test('a message takes 8 bytes more than its length, rounded up to 8', (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  for (const [length, taken] of [
    [0, 8],
    [1, 16],
    [8, 16],
    [9, 24],
    [4088, 4096],
  ] as const) {
    producer.tryPush(bytes(length))
    t.is(producer.freeBytes, onePage - taken, String(length))
    consumer.tryPop()
  }
})

test('the capacity is rounded up to a power of two of at least a page', (t) => {
  for (const [asked, given] of [
    [1, 4096],
    [4096, 4096],
    [4097, 8192],
    [100_000, 131_072],
  ] as const) {
    const { producer, consumer } = openPair(t, { capacity: asked })
    t.is(producer.capacity, given)
    t.is(consumer.capacity, given)
  }
  t.is(openPair(t).producer.capacity, 256 * 1024)
})

test('popped messages are private: later ones do not change them', (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  const popped: Buffer[] = []
  for (let i = 0; i < 3000; i++) {
    producer.tryPush(bytes(i % 61, i))
    popped.push(consumer.tryPop()!)
  }
  t.true(popped.every((message, i) => message.equals(bytes(i % 61, i))))
})

test('a message of many pages arrives whole', (t) => {
  const { producer, consumer } = openPair(t, { capacity: 2 ** 20 })
  for (const length of [16_384, 16_385, 65_536, 2 ** 20 - 8]) {
    producer.tryPush(bytes(length))
    t.true(consumer.tryPop()?.equals(bytes(length)), String(length))
  }
})

test('tryPopInto copies to the start of the target and tells the length', (t) => {
  const { producer, consumer } = openPair(t)
  const target = Buffer.alloc(16, 0xee)
  t.is(consumer.tryPopInto(target), -1)
  producer.tryPush('four')
  producer.tryPush('')
  t.is(consumer.tryPopInto(target), 4)
  t.deepEqual(target.subarray(0, 5), Buffer.from('four\xee', 'latin1'))
  t.is(consumer.tryPopInto(target), 0)
  producer.tryPush('within')
  t.is(consumer.tryPopInto(new DataView(target.buffer, target.byteOffset + 8, 6)), 6)
  t.is(target.toString('latin1', 8, 14), 'within')
})

test('a target too small leaves the message where it is', (t) => {
  const { producer, consumer } = openPair(t)
  producer.tryPush('eight by')
  t.throws(() => consumer.tryPopInto(Buffer.alloc(7)), {
    code: 'ERR_MILLRACE_TOO_LARGE',
    message: /has 8 bytes, the target 7/,
  })
  t.is(consumer.nextLength, 8)
  t.is(consumer.tryPop()?.toString(), 'eight by')
})

test('a target that is no memory is refused', (t) => {
  const { producer, consumer } = openPair(t)
  producer.tryPush('stays')
  t.throws(() => consumer.tryPopInto({ byteLength: 100 } as never), {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
    message: /the target must be/,
  })
  t.is(consumer.tryPop()?.toString(), 'stays')
})

test('nextLength tells without taking', (t) => {
  const { producer, consumer } = openPair(t)
  t.is(consumer.nextLength, -1)
  producer.tryPush('abc')
  producer.tryPush('')
  t.is(consumer.nextLength, 3)
  t.is(consumer.nextLength, 3)
  consumer.tryPop()
  t.is(consumer.nextLength, 0)
})

test('every call on a closed side says so', async (t) => {
  const { name, producer, consumer } = openPair(t)
  producer.close()
  consumer.close()
  producer.close() // a second time does nothing
  t.true(producer.closed)
  t.true(consumer.closed)
  const closed = { code: 'ERR_MILLRACE_CLOSED', message: new RegExp(`queue '${name}' is closed`) }
  t.throws(() => producer.tryPush('x'), closed)
  t.throws(() => producer.pushSync('x'), closed)
  t.throws(() => producer.tryPushBatch(['x']), closed)
  t.throws(() => producer.tryPushBatch([]), closed)
  t.throws(() => producer.reserve(1), closed)
  await t.throwsAsync(producer.push('x'), closed)
  await t.throwsAsync(producer.pushBatch(['x']), closed)
  await t.throwsAsync(producer.pushBatch([]), closed)
  await t.throwsAsync(producer.reserveWhenFree(1), closed)
  await t.throwsAsync(producer.end(), closed)
  await t.throwsAsync(producer.waitForPeer(), closed)
  t.is(producer.freeBytes, 0)
  t.throws(() => consumer.tryPop(), closed)
  t.throws(() => consumer.tryPopInto(Buffer.alloc(1)), closed)
  t.throws(() => consumer.popSync(), closed)
  t.throws(() => consumer.nextLength, closed)
  t.throws(() => consumer.drain(() => undefined), closed)
  await t.throwsAsync(consumer.pop(), closed)
  await t.throwsAsync(consumer.readable(), closed)
  await t.throwsAsync(consumer.waitForPeer(), closed)
  t.deepEqual(await consumer[Symbol.asyncIterator]().next(), { done: true, value: undefined })
})

test('leaving its scope closes a side', (t) => {
  const name = uniqueName(t)
  {
    using producer = SpscQueue.producer(name)
    using consumer = SpscQueue.consumer(name)
    t.is(producer.peer, 'attached')
    t.is(consumer.peer, 'attached')
  }
  t.false(SpscQueue.unlink(name))
})
