// Messages held in place: shown without a copy, kept until they are released, in order.

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import test, { type ExecutionContext } from 'ava'
import { MillraceError, SpscQueue, type HeldMessage, type QueueConsumer } from 'millrace'

import { uniqueName } from '../support/names.js'
import {
  consumerPosition,
  overwrite,
  peek,
  producerParked,
  producerPosition,
  ring,
} from '../support/queue-words.js'
import {
  bytes,
  onePage,
  openConsumer,
  openPair,
  openProducer,
  recordBytes,
} from '../support/queues.js'
import { Random } from '../support/random.js'
import { until, within } from '../support/until.js'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void
const text = (message: HeldMessage | undefined) =>
  message === undefined ? undefined : Buffer.from(message.bytes).toString()
const soon = { timeout: 15_000 }
const released = { instanceOf: MillraceError, code: 'ERR_MILLRACE_RELEASED' }
const closed = { instanceOf: MillraceError, code: 'ERR_MILLRACE_CLOSED' }

/** The warnings of this process with that code, from now on until the test ends. */
function warningsOf(t: ExecutionContext, code: string): Error[] {
  const seen: Error[] = []
  const onWarning = (warning: Error & { readonly code?: string }) => {
    if (warning.code === code) seen.push(warning)
  }
  process.on('warning', onWarning)
  t.teardown(() => process.off('warning', onWarning))
  return seen
}

/** As long as it takes the event loop to turn and the collector to run a few times. */
async function collectOften(): Promise<void> {
  for (let i = 0; i < 5; i++) {
    collect()
    await new Promise((resolve) => setImmediate(resolve))
  }
}

test('a message is shown where it lies, and keeps its room until it is released', (t) => {
  const { name, producer, consumer } = openPair(t, { capacity: onePage })
  t.is(consumer.tryTake(), undefined)
  producer.tryPush(bytes(1000, 7))
  const message = consumer.tryTake()!
  t.is(message.length, 1000)
  t.deepEqual(Buffer.from(message.bytes), bytes(1000, 7))
  t.is(message.bytes, message.bytes, 'one view, however often it is asked for')
  overwrite(name, ring + 8, 0x0102030405060708n)
  t.deepEqual([...message.bytes.subarray(0, 3)], [8, 7, 6], 'it is the memory of the ring')
  t.false(message.released)
  t.is(producer.freeBytes, onePage - recordBytes(1000))
  t.is(peek(name, consumerPosition), 0n)
  message.release()
  t.true(message.released)
  t.is(producer.freeBytes, onePage)
  t.is(peek(name, consumerPosition), 1008n)
})

test('after its release a message is refused, and another release does nothing', (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  producer.tryPushBatch(['one', 'two'])
  const one = consumer.tryTake()!
  one.release()
  t.throws(() => one.bytes, { ...released, message: /3 bytes in queue .* released/ })
  t.is(one.length, 3)
  const two = consumer.tryTake()!
  one.release()
  one[Symbol.dispose]()
  t.is(producer.freeBytes, onePage - 16, 'what was released twice freed nothing of another')
  t.is(text(two), 'two')
  two.release()
})

test('a view that was kept shows what comes to lie there', (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  producer.tryPush(bytes(4088, 1))
  const message = consumer.tryTake()!
  const view = message.bytes
  message.release()
  producer.tryPush(bytes(4088, 2))
  t.deepEqual(Buffer.from(view), bytes(4088, 2))
})

test('`using` releases at the end of its block, also when the code throws', async (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  producer.tryPushBatch(['one', 'two', 'three'])
  {
    using message = await consumer.take()
    t.is(text(message), 'one')
    t.is(producer.freeBytes, onePage - 48)
  }
  t.is(producer.freeBytes, onePage - 32)
  t.throws(() => {
    using message = consumer.tryTake()
    throw new Error(text(message))
  })
  t.is(producer.freeBytes, onePage - 16)
})

for (const order of [
  [0, 1, 2],
  [2, 1, 0],
  [1, 2, 0],
  [1, 0, 2],
]) {
  test(`several are held, and released in the order ${order.join(', ')}: room comes back from the oldest on`, (t) => {
    const { name, producer, consumer } = openPair(t, { capacity: onePage })
    const lengths = [100, 200, 300]
    producer.tryPushBatch(lengths.map((length) => bytes(length)))
    const held = lengths.map(() => consumer.tryTake()!)
    const done = [false, false, false]
    for (const i of order) {
      t.deepEqual(Buffer.from(held[i]!.bytes), bytes(lengths[i]!))
      held[i]!.release()
      done[i] = true
      const first = done.indexOf(false)
      const kept = first < 0 ? [] : lengths.slice(first)
      t.is(producer.freeBytes, onePage - kept.reduce((sum, one) => sum + recordBytes(one), 0))
    }
    t.is(peek(name, producerPosition), peek(name, consumerPosition))
  })
}

test('what comes behind held messages is popped and drained in order; its room comes back with theirs', async (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  producer.tryPushBatch(['1', '2', '3', '4', '5', '6', '7', '8', '9', '10'])
  const first = consumer.tryTake()!
  t.is(consumer.nextLength, 1)
  t.is(consumer.tryPop()?.toString(), '2')
  const second = (await consumer.take())!
  const target = Buffer.alloc(8)
  t.is(consumer.tryPopInto(target), 1)
  t.is(target.toString('latin1', 0, 1), '4')
  t.is((await consumer.pop())?.toString(), '5')
  t.is(consumer.popSync()?.toString(), '6')
  const seen: string[] = []
  t.is(
    consumer.drain((message) => seen.push(Buffer.from(message).toString()), 1),
    1,
  )
  t.is(
    consumer.drainRaw(
      (whole, offset, length) => seen.push(whole.toString('latin1', offset, offset + length)),
      1,
    ),
    1,
  )
  t.deepEqual(seen, ['7', '8'])
  t.true(await consumer.readable())
  t.is((await consumer.messages().next()).value?.toString(), '9')
  const last = consumer.takeSync()!
  t.deepEqual([first, second, last].map(text), ['1', '3', '10'])
  t.is(consumer.tryTake(), undefined)
  t.is(consumer.tryPop(), undefined)
  t.is(consumer.tryPopInto(target), -1)
  t.is(
    consumer.drain(() => t.fail()),
    0,
  )
  t.is(producer.freeBytes, onePage - 160)
  second.release()
  t.is(producer.freeBytes, onePage - 160)
  first.release()
  t.is(producer.freeBytes, onePage - 16, 'up to the one that is held still')
  last.release()
  t.is(producer.freeBytes, onePage)
  producer.tryPush('next')
  t.is(consumer.tryPop()?.toString(), 'next')
  t.is(producer.freeBytes, onePage, 'with nothing held a pop gives its room back at once')
})

test('a message too large for its target stays, also behind a held one', (t) => {
  const { producer, consumer } = openPair(t)
  producer.tryPushBatch(['held', 'too long'])
  using _held = consumer.tryTake()
  t.throws(() => consumer.tryPopInto(Buffer.alloc(4)), {
    code: 'ERR_MILLRACE_TOO_LARGE',
    message: /has 8 bytes, the target 4;/,
  })
  t.is(consumer.tryPop()?.toString(), 'too long')
})

test('inside drain nothing is taken, but what is held can be released', (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  producer.tryPushBatch(['held', 'one', 'two'])
  const held = consumer.tryTake()!
  const busy = { code: 'ERR_MILLRACE_BUSY' }
  let seen = 0
  consumer.drain(() => {
    t.throws(() => consumer.tryTake(), busy)
    t.throws(() => consumer.takeSync(), busy)
    t.throws(() => consumer.tryPop(), busy)
    if (seen++ > 0) return
    held.release()
    t.is(producer.freeBytes, onePage - 32)
  })
  t.is(seen, 2)
  t.is(producer.freeBytes, onePage)
  producer.tryPush('three')
  t.is(text(consumer.tryTake()), 'three')
})

test('a callback of drain that throws keeps its message, also behind a held one', (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  producer.tryPushBatch(['held', 'one', 'two'])
  using held = consumer.tryTake()
  t.throws(() => {
    consumer.drain((message) => {
      if (message[0] === 0x74) throw new Error('two')
    })
  })
  t.is(consumer.tryPop()?.toString(), 'two')
  t.is(text(held), 'held')
})

test('a drain of more than a quarter of the ring leaves a held message alone', (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  producer.tryPush(bytes(24, 1))
  const held = consumer.tryTake()!
  for (let i = 0; producer.tryPush(bytes(100, i)); i++);
  let i = 0
  consumer.drain((message) => {
    t.deepEqual(Buffer.from(message), bytes(100, i++))
  }, Infinity)
  t.true(i > 30)
  t.false(producer.tryPush(bytes(100)), 'the room is that of the held message')
  t.deepEqual(Buffer.from(held.bytes), bytes(24, 1))
  held.release()
  t.is(producer.freeBytes, onePage)
})

test('takes of many tasks are served in order, each with a message of its own', async (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  const order: string[] = []
  const tasks = Array.from({ length: 20 }, async (_, i) => {
    using message = await consumer.take(soon)
    order.push(`${i}: ${text(message)}`)
    await new Promise((resolve) => setTimeout(resolve, (i * 7) % 5))
    t.is(text(message), String(i), 'it is still there')
  })
  for (let i = 0; i < 20; i++) await producer.push(String(i), soon)
  await within(15_000, Promise.all(tasks))
  t.deepEqual(
    order,
    Array.from({ length: 20 }, (_, i) => `${i}: ${i}`),
  )
  t.is(producer.freeBytes, onePage)
})

test('take and pop wait in one line', async (t) => {
  const { producer, consumer } = openPair(t)
  const got = [
    consumer.take(soon).then(text),
    consumer.pop(soon).then(String),
    consumer.take(soon).then(text),
  ]
  producer.tryPushBatch(['a', 'b', 'c'])
  t.deepEqual(await Promise.all(got), ['a', 'b', 'c'])
})

test('messages of any length pass a small ring in order, and in any order of releases', async (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  const count = 5000
  const message = (i: number) => bytes((i * 37) % 900, i)
  const sending = (async () => {
    for (let i = 0; i < count; i++) await producer.push(message(i), soon)
    await producer.end(soon)
  })()
  const random = new Random(1)
  const held: { readonly i: number; readonly message: HeldMessage }[] = []
  const releaseOne = () => {
    const [one] = held.splice(random.below(held.length), 1)
    if (!message(one!.i).equals(one!.message.bytes)) t.fail(`message ${one!.i} is damaged`)
    one!.message.release()
  }
  for (let i = 0; ; i++) {
    let next = consumer.tryTake()
    if (next === undefined) {
      while (held.length > 0) releaseOne() // who waits with messages in hand may wait for ever
      next = await consumer.take(soon)
      if (next === undefined) {
        t.is(i, count)
        break
      }
    }
    held.push({ i, message: next })
    while (held.length > random.below(6)) releaseOne()
  }
  await within(15_000, sending)
})

test('a producer that waits for room is woken by the release', async (t) => {
  const { name, producer, consumer } = openPair(t, { capacity: onePage, poll: 0 })
  producer.tryPush(bytes(4088))
  const message = consumer.tryTake()!
  const pushed = producer.push('more', soon)
  await until(() => peek(name, producerParked) !== 0n)
  message.release()
  await within(5000, pushed)
  t.is(consumer.tryPop()?.toString(), 'more')
})

test('end() waits for the release', async (t) => {
  const { producer, consumer } = openPair(t)
  producer.tryPush('last')
  const message = consumer.tryTake()!
  await t.throwsAsync(producer.end({ timeout: 20 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  const ended = producer.end(soon)
  message.release()
  await within(5000, ended)
  t.is(await consumer.take(), undefined)
})

test('when the producer has closed, take ends with undefined, also with messages in hand', async (t) => {
  const { producer, consumer } = openPair(t)
  producer.tryPush('last')
  const waiting = consumer.take(soon)
  const behind = consumer.take(soon)
  producer.close()
  using last = await waiting
  t.is(text(last), 'last')
  t.is(await behind, undefined)
  t.is(consumer.takeSync(), undefined)
  t.is(text(last), 'last', 'a message survives its producer')
})

test('options are judged as those of pop, and nothing is taken when they are refused', async (t) => {
  const { producer, consumer } = openPair(t)
  producer.tryPush('x')
  const wrong = { code: 'ERR_MILLRACE_INVALID_ARGUMENT' }
  await t.throwsAsync(consumer.take({ timeout: -1 }), wrong)
  await t.throwsAsync(consumer.take({ timeuot: 1 } as object), wrong)
  t.throws(() => consumer.takeSync({ spin: -1 }), wrong)
  const aborted = await t.throwsAsync(consumer.take({ signal: AbortSignal.abort('why') }), {
    code: 'ERR_MILLRACE_ABORTED',
  })
  t.is(aborted.cause, 'why')
  t.is(text(consumer.tryTake()), 'x')
})

test('a take that is aborted or late takes nothing', async (t) => {
  const { producer, consumer } = openPair(t)
  const stop = new AbortController()
  const waiting = consumer.take({ signal: stop.signal })
  const late = consumer.take({ timeout: 10 })
  stop.abort()
  await t.throwsAsync(waiting, { name: 'AbortError' })
  await t.throwsAsync(late, { code: 'ERR_MILLRACE_TIMEOUT' })
  t.throws(() => consumer.takeSync({ timeout: 1 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  producer.tryPush('x')
  t.is(text(await consumer.take()), 'x')
})

test('who asks for a message does not decide how large a queue is', async (t) => {
  const name = uniqueName(t)
  const consumer = openConsumer(t, name)
  t.is(consumer.tryTake(), undefined)
  const waiting = consumer.take(soon)
  const producer = openProducer(t, name, { capacity: onePage })
  producer.tryPush('x')
  t.is(text(await waiting), 'x')
  t.is(consumer.capacity, onePage)
})

test('takeSync is refused while earlier calls wait', async (t) => {
  const { producer, consumer } = openPair(t)
  const waiting = consumer.take(soon)
  t.throws(() => consumer.takeSync(), { code: 'ERR_MILLRACE_BUSY' })
  producer.tryPush('x')
  t.is(text(await waiting), 'x')
})

test('whoever waits in vain with messages in hand is told what is held', async (t) => {
  const { producer, consumer } = openPair(t, { capacity: onePage })
  producer.tryPushBatch(['one', 'two'])
  const held = [consumer.tryTake()!, consumer.tryTake()!]
  const told = {
    code: 'ERR_MILLRACE_TIMEOUT',
    message: /within 5 ms; this consumer has not released 2 of its messages, .* 32 of 4096 bytes/,
  }
  await t.throwsAsync(consumer.take({ timeout: 5 }), told)
  await t.throwsAsync(consumer.pop({ timeout: 5 }), told)
  await t.throwsAsync(consumer.readable({ timeout: 5 }), told)
  t.throws(() => consumer.takeSync({ timeout: 5 }), told)
  for (const one of held) one.release()
  const late = await t.throwsAsync(consumer.take({ timeout: 5 }))
  t.notRegex(late.message, /released/)
})

test.serial(
  'a wait for a producer that waits for what is held: the process is warned',
  async (t) => {
    const warnings = warningsOf(t, 'MILLRACE_MESSAGES_HELD')
    const { name, producer, consumer } = openPair(t, { capacity: onePage, poll: 0 })
    producer.tryPush(bytes(4088))
    const message = consumer.tryTake()!
    const pushed = producer.push('more', soon)
    const waiting = consumer.take(soon)
    await until(() => warnings.length > 0)
    t.true(warnings[0]!.message.includes(`'${name}'`))
    t.regex(warnings[0]!.message, /has not released 1 of its messages, .* 4096 of 4096 bytes/)
    message.release()
    await pushed
    t.is(text(await waiting), 'more')
  },
)

for (const [how, leave] of Object.entries({
  close: (consumer: QueueConsumer) => {
    consumer.close()
  },
  abort: (consumer: QueueConsumer) => {
    consumer.abort('gave up')
  },
})) {
  test(`${how}: what was not released is received again by the next consumer`, (t) => {
    const { name, producer, consumer } = openPair(t, { capacity: onePage })
    producer.tryPushBatch(['0', '1', '2', '3', '4'])
    consumer.tryTake()!.release()
    const first = consumer.tryTake()!
    const second = consumer.tryTake()!
    t.is(consumer.tryPop()?.toString(), '3')
    const view = first.bytes
    second.release()
    leave(consumer)
    t.is(view.length, 0, 'its views are empty')
    t.throws(() => first.bytes, closed)
    t.throws(() => second.bytes, released)
    first.release() // too late, and no harm
    t.throws(() => consumer.tryTake(), closed)
    const next = openConsumer(t, name)
    t.is(text(next.tryTake()), '1')
    t.deepEqual(
      [next.tryPop(), next.tryPop(), next.tryPop(), next.tryPop()].map((one) => one?.toString()),
      ['2', '3', '4', undefined],
    )
  })
}

test('what was not released keeps the queue when both sides have closed, unless it is discarded', (t) => {
  for (const discard of [false, true]) {
    const { name, producer, consumer } = openPair(t)
    producer.tryPush('kept')
    consumer.tryTake()
    t.is(consumer.nextLength, -1, 'all is taken')
    producer.close()
    consumer.close({ discard })
    const next = openConsumer(t, name)
    t.is(text(next.tryTake()), discard ? undefined : 'kept')
  }
})

test('close inside drain with a message in hand: nothing is lost, and nothing in between is skipped', (t) => {
  const { name, producer, consumer } = openPair(t)
  producer.tryPushBatch(['held', 'one', 'two'])
  consumer.tryTake()
  consumer.drain(() => {
    consumer.close()
  })
  const next = openConsumer(t, name)
  const rest = [next.tryPop(), next.tryPop(), next.tryPop(), next.tryPop()]
  t.deepEqual(rest.map(String), ['held', 'one', 'two', 'undefined'])
})

test('where a consumer closes while its take is on its way, the message is the next one’s', async (t) => {
  const { name, producer, consumer } = openPair(t)
  producer.tryPush('x')
  const taking = consumer.take()
  consumer.close()
  const message = await taking
  t.throws(() => message?.bytes, closed)
  await t.throwsAsync(consumer.take(), closed)
  t.is(openConsumer(t, name).tryPop()?.toString(), 'x')
})

test('takes that wait reject when their side closes', async (t) => {
  const { consumer } = openPair(t)
  const waiting = [consumer.take(), consumer.take()]
  consumer.close()
  for (const one of waiting) await t.throwsAsync(one, closed)
})

for (const [what, write] of Object.entries({
  'an impossible length': (name: string) => {
    overwrite(name, ring + 16, 0x7fffn)
  },
  'a message that would lie upon it': (name: string) => {
    overwrite(name, producerPosition, BigInt(onePage + 16))
  },
})) {
  for (const [call, use] of Object.entries({
    tryTake: (consumer: QueueConsumer) => consumer.tryTake(),
    takeSync: (consumer: QueueConsumer) => consumer.takeSync({ timeout: 1000 }),
    tryPop: (consumer: QueueConsumer) => consumer.tryPop(),
    tryPopInto: (consumer: QueueConsumer) => consumer.tryPopInto(Buffer.alloc(onePage)),
    drain: (consumer: QueueConsumer) => consumer.drain(() => undefined, Infinity),
  })) {
    test(`${call} behind a held message refuses ${what}`, (t) => {
      const { name, producer, consumer } = openPair(t, { capacity: onePage })
      producer.tryPush('held')
      const held = consumer.tryTake()!
      // Two messages, up to the end of the ring.
      for (const at of [16, 16 + 2040]) overwrite(name, ring + at, 2032n)
      overwrite(name, producerPosition, BigInt(onePage))
      write(name)
      t.throws(
        () => {
          for (let i = 0; i < 4; i++) use(consumer)
        },
        { code: 'ERR_MILLRACE_CORRUPT' },
      )
      t.true(consumer.closed)
      t.throws(() => held.bytes, closed)
      held.release()
    })
  }
}

test.serial(
  'messages that the program lost count as consumed when they are collected, and it is told once',
  async (t) => {
    const warnings = warningsOf(t, 'MILLRACE_MESSAGE_FORGOTTEN')
    const { name, producer, consumer } = openPair(t, { capacity: onePage })
    producer.tryPushBatch(['one', 'two', 'three'])
    ;(() => {
      for (let i = 0; i < 3; i++) {
        try {
          const message = consumer.tryTake()!
          throw new Error(text(message))
        } catch {
          // The program goes on.
        }
      }
    })()
    t.is(producer.freeBytes, onePage - 48)
    t.is(consumer.tryTake(), undefined, 'who asks for more has let go of the newest')
    await until(() => (collect(), producer.freeBytes === onePage))
    await until(() => warnings.length > 0)
    t.is(warnings.length, 1, 'once is enough')
    t.true(warnings[0]!.message.includes(`'${name}'`) && warnings[0]!.message.includes('using'))
    producer.tryPush('four')
    t.is(text(consumer.tryTake()), 'four')
  },
)

test.serial(
  'messages that somebody still has, or a view of, are left alone by the collector',
  async (t) => {
    const warnings = warningsOf(t, 'MILLRACE_MESSAGE_FORGOTTEN')
    const { producer, consumer } = openPair(t, { capacity: onePage })
    producer.tryPushBatch(['one', 'two', 'three'])
    const one = consumer.tryTake()!
    const view = (() => consumer.tryTake()!.bytes)()
    const three = consumer.tryTake()!
    t.is(consumer.tryTake(), undefined)
    await collectOften()
    t.is(producer.freeBytes, onePage - 48)
    one.release()
    await collectOften()
    t.is(producer.freeBytes, onePage - 32, 'the view holds the second one')
    t.is(Buffer.from(view).toString(), 'two')
    three.release()
    t.deepEqual(warnings, [])
  },
)

test.serial(
  'a message that was released in time is not released once more when it is collected',
  async (t) => {
    const warnings = warningsOf(t, 'MILLRACE_MESSAGE_FORGOTTEN')
    const { producer, consumer } = openPair(t, { capacity: onePage })
    for (let i = 0; i < 100; i++) {
      producer.tryPushBatch(['a', 'b', 'c'])
      const [a, b, c] = [consumer.tryTake()!, consumer.tryTake()!, consumer.tryTake()!]
      b.release()
      c.release()
      a.release()
    }
    producer.tryPushBatch(['a', 'b', 'c'])
    const held = [consumer.tryTake()!, consumer.tryTake()!, consumer.tryTake()!]
    await collectOften()
    t.is(producer.freeBytes, onePage - 48)
    t.deepEqual(held.map(text), ['a', 'b', 'c'])
    t.deepEqual(warnings, [])
  },
)

test.serial('a held message keeps its queue from being collected; with it goes all', async (t) => {
  const name = uniqueName(t)
  const { dropped, message } = (() => {
    const producer = SpscQueue.producer(name)
    const consumer = SpscQueue.consumer(name)
    producer.tryPushBatch(['x', 'y'])
    const kept = [consumer.tryTake()!, consumer.tryTake()!]
    return { dropped: [producer, consumer].map((one) => new WeakRef(one)), message: kept }
  })()
  await until(() => (collect(), dropped[0]!.deref() === undefined))
  await collectOften()
  t.not(dropped[1]!.deref(), undefined)
  t.deepEqual(message.map(text), ['x', 'y'])
  message.length = 0
  await until(() => (collect(), dropped[1]!.deref() === undefined))
  await until(() => {
    collect()
    try {
      using consumer = SpscQueue.consumer(name)
      t.is(consumer.nextLength, 1)
      consumer.close({ discard: true })
      return true
    } catch {
      return false // the role is not free yet
    }
  })
})
