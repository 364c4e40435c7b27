import test from 'ava'

import { bytes, onePage, openPair } from '../support/queues.js'
import { within } from '../support/until.js'

test('a message is written in place and sent by commit', (t) => {
  const { producer, consumer } = openPair(t)
  const reservation = producer.reserve(5)!
  reservation.bytes.set(Buffer.from('hello'))
  t.is(consumer.nextLength, -1, 'nothing is visible before commit')
  reservation.commit()
  t.is(consumer.tryPop()?.toString(), 'hello')
})

test('commit may send less than was reserved, down to nothing', (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  for (const length of [100, 9, 1, 0]) {
    const reservation = producer.reserve(100)!
    reservation.bytes.set(bytes(100))
    reservation.commit(length)
    t.deepEqual(consumer.tryPop(), bytes(100).subarray(0, length))
    t.is(producer.freeBytes, onePage)
  }
})

test('abort, or leaving the scope, sends nothing and gives the space back', (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  producer.reserve(producer.maxMessage)!.abort()
  {
    using reservation = producer.reserve(producer.maxMessage)!
    reservation.bytes.fill(1)
  }
  t.is(consumer.nextLength, -1)
  t.is(producer.freeBytes, onePage)
  t.true(producer.tryPush('next'))
  t.is(consumer.tryPop()?.toString(), 'next')
})

test('reservations wrap at every 8-byte step of the ring', (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  for (let start = 0; start < onePage; start += 8) {
    producer.tryPush('')
    consumer.tryPop()
    const reservation = producer.reserve(4001)!
    reservation.bytes.set(bytes(4001, start))
    reservation.commit()
    t.true(consumer.tryPop()?.equals(bytes(4001, start)), `from offset ${start + 8}`)
  }
})

test('without room there is no reservation', (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  producer.tryPush(bytes(4000))
  t.is(producer.reserve(88), undefined)
  producer.reserve(80)!.commit()
  t.is(producer.reserve(0), undefined)
  consumer.tryPop()
  t.is(producer.reserve(4001), undefined)
  producer.reserve(4000)!.abort()
})

test('while a reservation is open, nothing else is sent', async (t) => {
  const { producer } = openPair(t)
  const reservation = producer.reserve(8)!
  const busy = { code: 'ERR_MILLRACE_BUSY', message: /open reservation/ }
  t.throws(() => producer.tryPush('x'), busy)
  t.throws(() => producer.pushSync('x'), busy)
  t.throws(() => producer.tryPushBatch(['x']), busy)
  t.throws(() => producer.reserve(1), busy)
  await t.throwsAsync(producer.push('x'), busy)
  await t.throwsAsync(producer.pushBatch(['x']), busy)
  await t.throwsAsync(producer.reserveWhenFree(1), busy)
  reservation.commit()
  t.true(producer.tryPush('x'))
})

test('a finished reservation cannot be used again', (t) => {
  const { producer, consumer } = openPair(t)
  const released = { code: 'ERR_MILLRACE_RELEASED' }
  for (const finish of ['commit', 'abort'] as const) {
    const reservation = producer.reserve(4)!
    reservation[finish]()
    t.throws(() => reservation.bytes, released)
    t.throws(() => reservation.commit(), released)
    reservation.abort() // does nothing: `using` may follow a commit
    reservation[Symbol.dispose]()
  }
  t.is(consumer.tryPop()?.length, 4)
  t.is(consumer.tryPop(), undefined)
})

test('one that is over is refused while the next one is open, and does not end that', (t) => {
  const { producer, consumer } = openPair(t)
  const released = { code: 'ERR_MILLRACE_RELEASED' }
  const committed = producer.reserve(4)!
  committed.commit()
  const aborted = producer.reserve(4)!
  aborted.abort()
  const open = producer.reserve(4)!
  open.bytes.fill(7)
  for (const reservation of [committed, aborted]) {
    t.throws(() => reservation.bytes, released)
    t.throws(() => {
      reservation.commit()
    }, released)
    reservation.abort()
    reservation[Symbol.dispose]()
  }
  t.throws(() => producer.tryPush('x'), { code: 'ERR_MILLRACE_BUSY' })
  open.commit()
  t.is(consumer.tryPop()?.length, 4)
  t.deepEqual([...consumer.tryPop()!], [7, 7, 7, 7])
  t.is(consumer.tryPop(), undefined)
})

test('a wrong length is refused and the reservation stays open', (t) => {
  const { producer, consumer } = openPair(t)
  const reservation = producer.reserve(4)!
  for (const wrong of [5, -1, 1.5, NaN]) {
    t.throws(() => reservation.commit(wrong), {
      code: 'ERR_MILLRACE_INVALID_ARGUMENT',
      message: /up to the 4 bytes reserved/,
    })
  }
  reservation.commit(3)
  t.is(consumer.tryPop()?.length, 3)
})

test('a length that is no length cannot be reserved', async (t) => {
  const { producer } = openPair(t)
  const expected = { code: 'ERR_MILLRACE_INVALID_ARGUMENT', message: /length must be/ }
  for (const wrong of [-1, 1.5, NaN, Infinity, '8' as never, undefined as never]) {
    t.throws(() => producer.reserve(wrong), expected)
    await t.throwsAsync(producer.reserveWhenFree(wrong), expected)
  }
})

test('closing ends an open reservation', (t) => {
  const { producer } = openPair(t)
  const reservation = producer.reserve(4)!
  const view = reservation.bytes
  producer.close()
  t.is(view.length, 0)
  t.throws(() => producer.tryPush('x'), { code: 'ERR_MILLRACE_CLOSED' })
  t.throws(() => reservation.commit(), { code: 'ERR_MILLRACE_CLOSED' })
})

test('reserveWhenFree waits for room', async (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  producer.tryPush(bytes(4000))
  const waiting = producer.reserveWhenFree(4000, { timeout: 5000 })
  t.is(consumer.tryPop()?.length, 4000)
  const reservation = await waiting
  reservation.bytes.set(bytes(4000, 1))
  reservation.commit()
  t.true(consumer.tryPop()?.equals(bytes(4000, 1)))
})

test('who waits behind a reservation gets the room that is left, when it is finished', async (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  producer.tryPush(bytes(4000))
  const order: string[] = []
  const first = producer.reserveWhenFree(2000, { timeout: 5000 })
  const second = producer.push('second', { timeout: 5000 }).then(() => order.push('second'))
  const third = producer.reserveWhenFree(8, { timeout: 5000 })
  consumer.tryPop()
  const reservation = await first
  order.push('first')
  await within(5000, new Promise((resolve) => setImmediate(resolve)))
  t.deepEqual(order, ['first'], 'nothing overtakes an open reservation')
  reservation.commit(2)
  await within(5000, second)
  ;(await within(5000, third)).abort()
  t.deepEqual(order, ['first', 'second'])
  t.is(consumer.tryPop()?.length, 2)
  t.is(consumer.tryPop()?.toString(), 'second')
})

test('end waits for an open reservation, too', async (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  const reservation = producer.reserve(4)!
  const ended = producer.end({ timeout: 5000 })
  reservation.commit()
  t.is(consumer.tryPop()?.length, 4)
  await within(5000, ended)
  t.true(producer.closed)
})
