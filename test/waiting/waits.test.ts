// How waits in the event loop are served, given up and ended. One process; the peer is the test itself.

import { getEventListeners } from 'node:events'
import test from 'ava'
import { FrameReader, FrameWriter } from 'millrace'

import { uniqueName } from '../support/names.js'
import { bytes, onePage, openConsumer, openPair, openProducer } from '../support/queues.js'
import { within } from '../support/until.js'

const turn = () => new Promise((resolve) => setImmediate(resolve))
/** Long enough that a wait has given up polling and sleeps. */
const parked = { poll: 0 }
const soon = { timeout: 5000 }

for (const [how, tuning] of Object.entries({
  asleep: parked,
  polling: { poll: 1000 },
  'as tuned by default': {},
  'spinning first': { spin: 0.2 },
})) {
  test(`a waiting pop gets the next message, ${how}`, async (t) => {
    const { producer, consumer } = openPair(t, tuning)
    for (let i = 0; i < 50; i++) {
      const popped = consumer.pop(soon)
      if (i % 2 === 0) await turn()
      producer.tryPush(String(i))
      t.is((await popped)?.toString(), String(i))
    }
  })

  test(`a waiting push gets the room that is made, ${how}`, async (t) => {
    const { producer, consumer } = openPair(t, { capacity: onePage, ...tuning })
    producer.tryPush(bytes(4088))
    for (let i = 0; i < 50; i++) {
      const pushed = producer.push(bytes(4088, i), soon)
      if (i % 2 === 0) await turn()
      t.is(consumer.tryPop()?.length, 4088)
      await pushed
    }
  })
}

test('waiting pops are served in the order they came', async (t) => {
  const { producer, consumer } = openPair(t, parked)
  const order: string[] = []
  const pops = [1, 2, 3, 4].map(async (i) => {
    order.push(`${i}: ${(await consumer.pop(soon))?.toString()}`)
  })
  await turn()
  producer.tryPushBatch(['a', 'b'])
  await pops[1]
  producer.tryPushBatch(['c', 'd'])
  await Promise.all(pops)
  t.deepEqual(order, ['1: a', '2: b', '3: c', '4: d'])
})

test('waiting pushes are served in the order they came, also small ones behind large ones', async (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  producer.tryPush(bytes(4000))
  const pushes = [
    producer.push(bytes(3000), soon),
    producer.push('small', soon),
    producer.pushBatch(['x', 'y'], soon),
    producer.push(bytes(4088), soon),
  ]
  await turn()
  const lengths: (number | undefined)[] = []
  for (let i = 0; i < 6; i++) lengths.push((await consumer.pop(soon))?.length)
  await within(5000, Promise.all(pushes))
  t.deepEqual(lengths, [4000, 3000, 5, 1, 1, 4088])
})

test('tryPush and its kin do not overtake a waiting push', async (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  producer.tryPush(bytes(4000))
  const waiting = producer.push(bytes(1000), soon)
  t.true(producer.freeBytes >= 16, 'there would be room for a small message')
  t.false(producer.tryPush('small'))
  t.is(producer.tryPushBatch(['small']), 0)
  t.is(producer.reserve(1), undefined)
  t.throws(() => producer.pushSync('small'), { code: 'ERR_MILLRACE_BUSY' })
  consumer.tryPop()
  await waiting
  t.true(producer.tryPush('small'))
})

test('a blocking pop does not overtake a waiting one, and does not take its wake-up away', async (t) => {
  const { producer, consumer } = openPair(t, parked)
  const waiting = consumer.pop(soon)
  await turn()
  t.throws(() => consumer.popSync({ timeout: 1 }), { code: 'ERR_MILLRACE_BUSY' })
  producer.tryPush('x')
  t.is((await waiting)?.toString(), 'x')
})

test('a pending waitForPeer holds up neither messages nor room', async (t) => {
  const name = uniqueName(t)
  const producer = openProducer(t, name, { capacity: onePage })
  const came = producer.waitForPeer(soon)
  t.true(producer.tryPush('before anybody came'))
  await within(5000, producer.push('and another'))
  const consumer = openConsumer(t, name)
  await came
  t.is(consumer.tryPop()?.toString(), 'before anybody came')
})

test('waitForPeer is not held up by a waiting push', async (t) => {
  const name = uniqueName(t)
  const producer = openProducer(t, name, { capacity: onePage })
  producer.tryPush(bytes(4088))
  const pushed = producer.push('waits for room', soon)
  const came = producer.waitForPeer(soon)
  await turn()
  const consumer = openConsumer(t, name)
  await came
  t.is(producer.freeBytes, 0, 'nothing was read yet')
  consumer.tryPop()
  await pushed
})

test('a blocking wait leaves a pending waitForPeer its wake-up', async (t) => {
  const name = uniqueName(t)
  const consumer = openConsumer(t, name, parked)
  const came = consumer.waitForPeer(soon)
  await turn()
  t.throws(() => consumer.popSync({ timeout: 5 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  const producer = openProducer(t, name)
  await came
  t.is(producer.peer, 'attached')
})

test('blocking for a frame leaves waiting calls their wake-up', async (t) => {
  const name = uniqueName(t)
  using writer = FrameWriter.create(name, { slotBytes: 64, slots: 2, maxReaders: 1, ...parked })
  using reader = await FrameReader.open(name, parked)
  const received = reader.receive(soon)
  await turn()
  t.throws(() => reader.receiveSync({ timeout: 5 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  writer.tryLoan()!.publish()
  using frame = await received
  t.is(frame?.byteLength, 64)

  using _ = writer.tryLoan()!
  const loaned = writer.loan(soon)
  await turn()
  t.throws(() => writer.loanSync({ timeout: 5 }), { code: 'ERR_MILLRACE_BUSY' })
  frame?.release()
  ;(await loaned).discard()
})

test('waitForPeer resolves at once when the peer is there', async (t) => {
  const { producer, consumer } = openPair(t)
  await within(5000, Promise.all([producer.waitForPeer(), consumer.waitForPeer()]))
  t.is(producer.peerPid, process.pid)
  t.is(consumer.peerPid, process.pid)
})

test('a timeout ends a wait, and the side stays open', async (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  const options = { timeout: 5 }
  const late = { code: 'ERR_MILLRACE_TIMEOUT' }
  await t.throwsAsync(consumer.pop(options), late)
  await t.throwsAsync(consumer.readable(options), late)
  producer.tryPush(bytes(4088))
  await t.throwsAsync(producer.push('x', options), late)
  await t.throwsAsync(producer.pushBatch(['x'], options), late)
  await t.throwsAsync(producer.reserveWhenFree(1, options), late)
  await t.throwsAsync(producer.end(options), late)
  t.false(producer.closed)
  consumer.close()
  await t.throwsAsync(producer.waitForPeer(options), late)
})

test('with no time at all, what is there is taken and what is not times out', async (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  const none = { timeout: 0 }
  await producer.push(bytes(4088), none)
  await t.throwsAsync(producer.push('x', none), { code: 'ERR_MILLRACE_TIMEOUT' })
  t.throws(() => producer.pushSync('x', none), { code: 'ERR_MILLRACE_TIMEOUT' })
  t.is((await consumer.pop(none))?.length, 4088)
  await t.throwsAsync(consumer.pop(none), { code: 'ERR_MILLRACE_TIMEOUT' })
  t.throws(() => consumer.popSync(none), { code: 'ERR_MILLRACE_TIMEOUT' })
  producer.pushSync('y', none)
  t.is(consumer.popSync(none)?.toString(), 'y')
})

test('a blocking call waits about as long as it was told', (t) => {
  const { consumer } = openPair(t)
  for (const spin of [0, 1]) {
    const start = performance.now()
    t.throws(() => consumer.popSync({ timeout: 60, spin }), { code: 'ERR_MILLRACE_TIMEOUT' })
    const waited = performance.now() - start
    t.true(waited >= 59 && waited < 2000, `${waited} ms`)
  }
})

test('a wait given up leaves its place to the next', async (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  const controller = new AbortController()
  const first = consumer.pop({ signal: controller.signal })
  const second = consumer.pop({ timeout: 1 })
  const third = consumer.pop(soon)
  controller.abort()
  await t.throwsAsync(first, { code: 'ERR_MILLRACE_ABORTED' })
  await t.throwsAsync(second, { code: 'ERR_MILLRACE_TIMEOUT' })
  producer.tryPush('for the third')
  t.is((await third)?.toString(), 'for the third')
})

test('an abandoned push sends nothing, and those behind it go on', async (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  producer.tryPush(bytes(4000))
  const controller = new AbortController()
  const large = producer.push(bytes(2000), { signal: controller.signal })
  const small = producer.push('small', soon)
  await turn()
  controller.abort()
  await t.throwsAsync(large, { code: 'ERR_MILLRACE_ABORTED' })
  await small
  t.is(consumer.tryPop()?.length, 4000)
  t.is(consumer.tryPop()?.toString(), 'small')
  t.is(consumer.tryPop(), undefined)
})

test('a signal already aborted ends a call before it does anything, also one that need not wait', async (t) => {
  const { producer, consumer } = openPair(t)
  const reason = new Error('changed my mind')
  const signal = AbortSignal.abort(reason)
  const error = await t.throwsAsync(consumer.pop({ signal }), { code: 'ERR_MILLRACE_ABORTED' })
  t.is(error.name, 'AbortError')
  t.is(error.cause, reason)
  await t.throwsAsync(producer.push('there is room', { signal }), { code: 'ERR_MILLRACE_ABORTED' })
  t.is(consumer.tryPop(), undefined, 'nothing was sent')
  t.true(producer.tryPush('a message'))
  await t.throwsAsync(consumer.pop({ signal }), { code: 'ERR_MILLRACE_ABORTED' })
  t.is(consumer.tryPop()?.toString(), 'a message', 'nothing was taken')
})

test('every wait can be aborted', async (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  producer.tryPush(bytes(4088))
  const { name } = openPair(t)
  const alone = openProducer(t, `${name}-alone`)
  const waits = (signal: AbortSignal) => [
    producer.push('x', { signal }),
    producer.pushBatch(['x'], { signal }),
    producer.reserveWhenFree(1, { signal }),
    producer.end({ signal }),
    alone.waitForPeer({ signal }),
  ]
  const controller = new AbortController()
  const pending = waits(controller.signal)
  await turn()
  controller.abort()
  for (const wait of pending) await t.throwsAsync(wait, { code: 'ERR_MILLRACE_ABORTED' })
  t.is(consumer.tryPop()?.length, 4088)
  t.is(consumer.tryPop(), undefined)
})

test('a finished wait takes its hands off the signal', async (t) => {
  const { producer, consumer } = openPair(t)
  const { signal } = new AbortController()
  const listening = () => getEventListeners(signal, 'abort').length
  const popped = consumer.pop({ signal })
  t.is(listening(), 1)
  producer.tryPush('x')
  await popped
  t.is(listening(), 0)
  await t.throwsAsync(consumer.pop({ signal, timeout: 1 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  t.is(listening(), 0)
})

test('close ends all waits of that side', async (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  const closed = { code: 'ERR_MILLRACE_CLOSED' }
  const pops = [consumer.pop(), consumer.pop(), consumer.readable()]
  await turn()
  consumer.close()
  for (const pop of pops) await t.throwsAsync(pop, closed)
  producer.tryPush(bytes(4088))
  const pushes = [producer.push('x'), producer.waitForPeer(), producer.end()]
  producer.close({ discard: true })
  for (const push of pushes) await t.throwsAsync(push, closed)
})

test('pop tells the orderly end after the last message, again and again', async (t) => {
  const { producer, consumer } = openPair(t)
  producer.tryPush('last')
  producer.close()
  t.is((await consumer.pop(soon))?.toString(), 'last')
  t.is(await consumer.pop(soon), undefined)
  t.is(await consumer.pop(soon), undefined)
  t.is(consumer.popSync(soon), undefined)
  t.false(await consumer.readable(soon))
  t.is(consumer.peer, 'closed')
})

test('a sleeping pop learns of the orderly end', async (t) => {
  const { producer, consumer } = openPair(t, parked)
  const waits = [consumer.pop(soon), consumer.readable(soon)]
  await turn()
  producer.close()
  t.deepEqual(await Promise.all(waits), [undefined, false])
})

test('a sleeping push learns that the consumer left', async (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage, ...parked })
  producer.tryPush(bytes(4088))
  const waits = [
    producer.push('x', soon),
    producer.pushBatch(['x'], soon),
    producer.reserveWhenFree(1, soon),
    producer.end(soon),
  ]
  await turn()
  consumer.close()
  const left = { code: 'ERR_MILLRACE_CLOSED', message: /the consumer of queue .* has closed/ }
  for (const wait of waits) await t.throwsAsync(wait, left)
  t.throws(() => producer.pushSync('x', soon), left)
  t.false(producer.closed)
})

test('a loop over the messages ends when the producer closes', async (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  const sending = (async () => {
    for (let i = 0; i < 1000; i++) await producer.push(bytes(i % 300, i), soon)
    producer.close()
  })()
  let i = 0
  for await (const message of consumer) {
    if (!message.equals(bytes(i % 300, i))) t.fail(`message ${i} is damaged`)
    i++
  }
  await sending
  t.is(i, 1000)
})

test('leaving the loop closes nothing', async (t) => {
  const { producer, consumer } = openPair(t)
  producer.tryPushBatch(['1', '2'])
  for await (const message of consumer) {
    t.is(message.toString(), '1')
    break
  }
  t.false(consumer.closed)
  t.is(consumer.tryPop()?.toString(), '2')
})

test('end resolves when everything is read, and closes', async (t) => {
  const { producer, consumer } = openPair(t)
  producer.tryPushBatch(['1', '2'])
  let ended = false
  const end = producer.end(soon).then(() => (ended = true))
  await turn()
  consumer.tryPop()
  await turn()
  t.false(ended)
  t.false(producer.closed)
  consumer.tryPop()
  await end
  t.true(producer.closed)
  t.is(await consumer.pop(soon), undefined)
})

test('end resolves when the consumer reads the last message and leaves while it is being looked at', async (t) => {
  const { producer, consumer } = openPair(t, parked)
  producer.tryPush('last')
  Object.defineProperty(producer, 'peer', {
    get() {
      if (!consumer.closed) consumer.tryPop()
      consumer.close()
      return 'closed'
    },
  })
  await producer.end(soon)
  t.true(producer.closed)
})

test('end of an empty queue needs nobody', async (t) => {
  const name = uniqueName(t)
  const producer = openProducer(t, name)
  await producer.end(soon)
  t.true(producer.closed)
})

test('wrong options of waits are named', async (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  producer.tryPush(bytes(4088))
  const code = 'ERR_MILLRACE_INVALID_ARGUMENT'
  for (const timeout of [-1, NaN, '5', null] as never[]) {
    const expected = { code, message: /timeout must be a number of milliseconds, not/ }
    await t.throwsAsync(producer.push('x', { timeout }), expected)
    await t.throwsAsync(producer.waitForPeer({ timeout }), expected)
    t.throws(() => producer.pushSync('x', { timeout }), expected)
  }
  t.throws(() => consumer.popSync({ spin: -1 }), { code, message: /spin must be/ })
  for (const signal of [{}, 'abort', null] as never[]) {
    await t.throwsAsync(producer.push('x', { signal }), {
      code,
      message: /signal must be an AbortSignal, not/,
    })
  }
  t.is(consumer.tryPop()?.length, 4088)
})
