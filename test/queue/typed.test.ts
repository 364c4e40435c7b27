// Queues whose schema is a struct: values are pushed and popped, and drain shows one view that moves.

import test, { type ExecutionContext } from 'ava'
import { MillraceError, SpscQueue } from 'millrace'
import { array, char, f64, struct, u32, u64, type ValueOf } from 'millrace/struct'

import { actor } from '../support/actor.js'
import { uniqueName } from '../support/names.js'
import { Random } from '../support/random.js'
import { onePage, openProducer } from '../support/queues.js'

const Tick = struct({ price: f64, size: u32, symbol: char(8) }, { name: 'Tick' })
type TickValue = ValueOf<typeof Tick>

const tick = (n: number): TickValue => ({ price: n / 2, size: n, symbol: `S${n}` })
/** What each takes of the ring. */
const record = 8 + Tick.size
const mostInPage = Math.floor(onePage / record)
/** The same schema for who wants bytes. */
const opaque = { fingerprint: Tick.fingerprint }

function openTyped(t: ExecutionContext, capacity = onePage) {
  const name = uniqueName(t)
  const options = { schema: Tick, capacity } as const
  const producer = SpscQueue.producer(name, options)
  const consumer = SpscQueue.consumer(name, options)
  t.teardown(() => {
    producer.close({ discard: true })
    consumer.close({ discard: true })
  })
  return { name, producer, consumer }
}

/** A typed consumer, and a producer that may send anything. */
function openLoose(t: ExecutionContext) {
  const name = uniqueName(t)
  const producer = openProducer(t, name, { schema: opaque })
  const consumer = SpscQueue.consumer(name, { schema: Tick })
  t.teardown(() => {
    consumer.close({ discard: true })
  })
  return { name, producer, consumer }
}

test('values arrive as they were sent, by every call that sends', async (t) => {
  const { producer, consumer } = openTyped(t)
  t.true(producer.tryPush(tick(1)))
  await producer.push(tick(2))
  producer.pushSync(tick(3))
  t.is(producer.tryPushBatch([tick(4), tick(5)]), 2)
  await producer.pushBatch([tick(6), tick(7)])
  producer.close()
  const seen: TickValue[] = []
  for await (const value of consumer) seen.push(value)
  t.deepEqual(seen, [1, 2, 3, 4, 5, 6, 7].map(tick))
})

test('values are received by every call that receives', async (t) => {
  const { producer, consumer } = openTyped(t)
  await producer.pushBatch([1, 2, 3, 4, 5, 6].map(tick))
  t.deepEqual(consumer.tryPop(), tick(1))
  t.deepEqual(await consumer.pop(), tick(2))
  t.deepEqual(consumer.popSync(), tick(3))
  t.deepEqual(await consumer.messages().next(), { done: false, value: tick(4) })
  t.is(
    consumer.drain((view) => {
      t.deepEqual(Tick.read(view), tick(5))
      return false
    }),
    1,
  )
  const target = Buffer.alloc(Tick.size)
  t.is(consumer.nextLength, Tick.size)
  t.is(consumer.tryPopInto(target), Tick.size)
  t.deepEqual(Tick.read(target), tick(6))
  t.is(consumer.tryPop(), undefined)
  t.is(consumer.tryPopInto(target), -1)
  t.is(
    consumer.drain(() => t.fail()),
    0,
  )
})

test('a view of the definition, and the bytes of one value, are sent as well', async (t) => {
  const { producer, consumer } = openTyped(t)
  const bytes = Tick.encode(tick(1))
  const view = Tick.view(bytes)
  t.true(producer.tryPush(view))
  t.true(producer.tryPush(bytes))
  t.true(producer.tryPush(bytes.buffer as ArrayBuffer))
  await producer.push(new DataView(bytes.buffer))
  t.is(producer.tryPushBatch([view, bytes, tick(1)]), 3)
  t.is(
    consumer.drain((got) => t.deepEqual(Tick.read(got), tick(1))),
    7,
  )
})

test('a pop that waits is given the value', async (t) => {
  const { producer, consumer } = openTyped(t)
  const [first, second] = [consumer.pop(), consumer.pop()]
  producer.tryPush(tick(1))
  producer.tryPush(tick(2))
  t.deepEqual([await first, await second], [tick(1), tick(2)])
})

test('values cross between processes', async (t) => {
  const name = uniqueName(t)
  using consumer = SpscQueue.consumer(name, { schema: Tick })
  const other = actor(t)
  await other.do(
    async ({ SpscQueue, own }, queue, fingerprint) => {
      own.producer = SpscQueue.producer(queue, { schema: { fingerprint: BigInt(fingerprint) } })
      const message = Buffer.alloc(24)
      message.writeDoubleLE(1.5, 0)
      message.writeUInt32LE(3, 8)
      message.write('S3', 12)
      await own.producer.push(message)
    },
    name,
    String(Tick.fingerprint),
  )
  t.deepEqual(await consumer.pop(), tick(3))
  await other.do(({ own }) => {
    own.producer.close()
  })
  t.is(await consumer.pop(), undefined)
})

test('a value that waits for room is written when it is given: its object is free again', async (t) => {
  const { producer, consumer } = openTyped(t)
  for (let i = 0; i < mostInPage; i++) t.true(producer.tryPush(tick(i)))
  t.false(producer.tryPush(tick(0)))
  const value = tick(1000)
  const values = [tick(1001), tick(1002)]
  const waiting = [producer.push(value), producer.pushBatch(values)]
  t.false(producer.tryPush(tick(0)), 'nobody overtakes')
  value.size = values[0]!.size = 0
  values.length = 0
  for (let i = 0; i < mostInPage; i++) t.deepEqual(consumer.tryPop(), tick(i))
  await Promise.all(waiting)
  t.deepEqual(consumer.tryPop(), tick(1000))
  t.deepEqual(consumer.tryPop(), tick(1001))
  t.deepEqual(consumer.tryPop(), tick(1002))
})

test('tryPushBatch sends what there is room for; a longer batch than the ring waits and arrives', async (t) => {
  const { producer, consumer } = openTyped(t)
  const all = Array.from({ length: 3 * mostInPage }, (_, i) => tick(i))
  t.is(producer.tryPushBatch(all), mostInPage)
  t.is(producer.tryPushBatch(all), 0)
  t.is(producer.tryPushBatch([]), 0)
  const rest = producer.pushBatch(all.slice(mostInPage))
  const seen: TickValue[] = []
  while (seen.length < all.length) seen.push((await consumer.pop())!)
  await rest
  t.deepEqual(seen, all)
})

test('a value that is refused names the part that is wrong by its path', async (t) => {
  const Order = struct({ legs: array(struct({ price: f64, size: u32 }), 2) })
  const name = uniqueName(t)
  using producer = SpscQueue.producer(name, { schema: Order })
  const wrong = {
    legs: [
      { price: 1, size: 1 },
      { price: 2, size: -1 },
    ],
  }
  const refused = {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
    message: 'legs[1].size must be a whole number from 0 to 4294967295, not -1',
  }
  t.throws(() => producer.tryPush(wrong), refused)
  t.throws(() => producer.pushSync(wrong), refused)
  await t.throwsAsync(producer.push(wrong), refused)
  const ofBatch = { ...refused, message: `messages[0]: ${refused.message}` }
  t.throws(() => producer.tryPushBatch([wrong]), ofBatch)
  await t.throwsAsync(producer.pushBatch([wrong]), ofBatch)
})

test('a value that is refused is not sent, nor is its batch', async (t) => {
  const { producer, consumer } = openTyped(t)
  const wrong: [unknown, string, RegExp][] = [
    [{ price: 1, size: 2 }, 'ERR_MILLRACE_INVALID_ARGUMENT', /Tick lacks its field 'symbol'/],
    [{ ...tick(1), cost: 1 }, 'ERR_MILLRACE_INVALID_ARGUMENT', /Tick has no field 'cost'/],
    [{ ...tick(1), size: -1 }, 'ERR_MILLRACE_INVALID_ARGUMENT', /size must be/],
    [{ ...tick(1), symbol: 'nine long' }, 'ERR_MILLRACE_TOO_LARGE', /symbol has room for 8/],
    [7, 'ERR_MILLRACE_INVALID_ARGUMENT', /Tick must be an object/],
    [null, 'ERR_MILLRACE_INVALID_ARGUMENT', /Tick must be an object/],
    [undefined, 'ERR_MILLRACE_INVALID_ARGUMENT', /Tick must be an object/],
    [new SharedArrayBuffer(24), 'ERR_MILLRACE_INVALID_ARGUMENT', /a message must be/],
  ]
  for (const [value, code, message] of wrong) {
    const given = value as TickValue
    t.throws(() => producer.tryPush(given), { code, message })
    t.throws(() => producer.pushSync(given), { code, message })
    await t.throwsAsync(producer.push(given), { code, message })
    const second = { code, message: new RegExp(`^messages\\[1\\]: .*${message.source}`) }
    t.throws(() => producer.tryPushBatch([tick(1), given]), second)
    await t.throwsAsync(producer.pushBatch([tick(1), given]), second)
    // The second part would not have had room: the first is not sent, either.
    const long = [...Array.from({ length: mostInPage }, (_, i) => tick(i)), given]
    const last = {
      code,
      message: new RegExp(`^messages\\[${mostInPage}\\]: .*${message.source}`),
    }
    await t.throwsAsync(producer.pushBatch(long), last)
  }
  t.is(consumer.tryPop(), undefined)
  t.is(producer.freeBytes, onePage)
  t.throws(() => producer.tryPushBatch('text' as never), { message: /must be an array/ })
  t.true(producer.tryPush(tick(1)), 'nothing is left behind')
})

test('bytes of another length than the schema are refused by every call, with both lengths', async (t) => {
  const { producer, consumer } = openTyped(t)
  const differs = { code: 'ERR_MILLRACE_SCHEMA', message: /has 23 bytes, and Tick has 24/ }
  const short = Buffer.alloc(23)
  t.throws(() => producer.tryPush(short), differs)
  t.throws(() => producer.tryPush('x'.repeat(23)), differs)
  t.throws(() => producer.pushSync(short), differs)
  await t.throwsAsync(producer.push(short), differs)
  const second = { ...differs, message: /^messages\[1\]: .*has 23 bytes, and Tick has 24/ }
  t.throws(() => producer.tryPushBatch([tick(1), short]), second)
  await t.throwsAsync(producer.pushBatch([tick(1), short]), second)
  const reservation = producer.reserve(2 * Tick.size)!
  t.throws(() => {
    reservation.commit(23)
  }, differs)
  t.throws(
    () => {
      reservation.commit()
    },
    { code: 'ERR_MILLRACE_SCHEMA', message: /has 48 bytes/ },
  )
  Tick.write(reservation.bytes, tick(1))
  reservation.commit(Tick.size)
  t.deepEqual(consumer.tryPop(), tick(1))
  t.is(consumer.tryPop(), undefined)
})

test('a message of another length stays, and every call says so until it is taken as bytes', async (t) => {
  const { name, producer, consumer } = openLoose(t)
  const differs = {
    code: 'ERR_MILLRACE_SCHEMA',
    message: new RegExp(`queue '${name}' has 20 bytes, and Tick has 24;`),
  }
  await producer.push(Tick.encode(tick(1)))
  await producer.push('x'.repeat(20))
  await producer.push(Tick.encode(tick(2)))
  const seen: TickValue[] = []
  t.throws(() => consumer.drain((view) => seen.push(Tick.read(view))), differs)
  t.deepEqual(seen, [tick(1)], 'what came before is taken')
  t.throws(() => consumer.tryPop(), differs)
  t.throws(() => consumer.popSync(), differs)
  await t.throwsAsync(consumer.pop(), differs)
  await t.throwsAsync(consumer.messages().next(), differs)
  t.throws(() => consumer.drain(() => t.fail()), differs)
  t.is(consumer.nextLength, 20)
  t.true(await consumer.readable())
  t.is(
    consumer.drainRaw((ring, at, length) => {
      t.is(ring.toString('utf8', at, at + length), 'x'.repeat(20))
    }, 1),
    1,
  )
  t.deepEqual(consumer.tryPop(), tick(2))
  t.false(consumer.closed)
})

test('behind a message that is held, which shows bytes, values are popped and drained', async (t) => {
  const { name, producer, consumer } = openLoose(t)
  await producer.pushBatch([1, 2, 3].map((n) => Tick.encode(tick(n))))
  producer.tryPush('short')
  const held = consumer.tryTake()!
  t.deepEqual(Tick.read(held.bytes), tick(1))
  t.deepEqual(consumer.tryPop(), tick(2))
  t.is(
    consumer.drain((view) => {
      t.deepEqual(Tick.read(view), tick(3))
    }, 1),
    1,
  )
  const differs = { code: 'ERR_MILLRACE_SCHEMA', message: new RegExp(`'${name}' has 5 bytes`) }
  t.throws(() => consumer.tryPop(), differs)
  t.throws(() => consumer.drain(() => t.fail()), differs)
  await t.throwsAsync(consumer.pop(), differs)
  t.is(consumer.nextLength, 5)
  t.true(producer.freeBytes < producer.capacity - 3 * record, 'all of them wait for the release')
  held.release()
  t.is(producer.freeBytes, producer.capacity - 16)
})

test('a pop that waits is told of a message of another length', async (t) => {
  const { producer, consumer } = openLoose(t)
  const waiting = consumer.pop()
  producer.tryPush('')
  await t.throwsAsync(waiting, { code: 'ERR_MILLRACE_SCHEMA', message: /has 0 bytes/ })
  t.is(consumer.tryPopInto(new Uint8Array(0)), 0)
})

test('one view serves all messages; outside of the callback it shows none of them', (t) => {
  const { producer, consumer } = openTyped(t)
  const views = new Set<unknown>()
  let kept: ReturnType<typeof Tick.view> | undefined
  for (let round = 0; round < 2; round++) {
    producer.tryPushBatch([tick(1), tick(2)])
    consumer.drain((view) => {
      views.add((kept = view))
      t.true(view.size > 0)
    })
    t.deepEqual(Tick.read(kept!), { price: 0, size: 0, symbol: '' })
  }
  t.is(views.size, 1)
})

test('what happens inside of drain with a view: errors, other calls, closing', (t) => {
  const { producer, consumer } = openTyped(t)
  producer.tryPushBatch([tick(1), tick(2), tick(3)])
  const failure = new Error('of the callback')
  const thrown = t.throws(() =>
    consumer.drain(() => {
      throw failure
    }),
  )
  t.is(thrown, failure)
  const busy = { code: 'ERR_MILLRACE_BUSY' }
  consumer.drain((view) => {
    t.is(view.size, 1, 'it stayed')
    t.throws(() => consumer.tryPop(), busy)
    t.throws(() => consumer.drain(() => t.fail()), busy)
    return false
  })
  t.throws(() => consumer.drain(7 as never), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
  t.throws(() => consumer.drain(() => t.fail(), -1), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
  t.is(
    consumer.drain((view) => {
      t.is(view.size, 2)
      consumer.close()
    }),
    1,
  )
  const closed = { code: 'ERR_MILLRACE_CLOSED' }
  t.throws(() => consumer.drain(() => t.fail()), closed)
  t.throws(() => consumer.tryPop(), closed)
})

test('getters of a value run while it has the room: nobody else gets it, and closing is noticed', (t) => {
  const { producer, consumer } = openTyped(t)
  const meddling = (meddle: () => unknown): TickValue => ({
    ...tick(1),
    get size() {
      meddle()
      return 1
    },
  })
  const busy = { code: 'ERR_MILLRACE_BUSY' }
  t.true(
    producer.tryPush(
      meddling(() => {
        t.throws(() => producer.tryPush(tick(2)), busy)
        t.throws(() => producer.tryPushBatch([tick(2)]), busy)
        t.throws(() => producer.reserve(Tick.size), busy)
      }),
    ),
  )
  t.deepEqual(consumer.tryPop(), tick(1))
  t.throws(() =>
    producer.tryPush(
      meddling(() => {
        producer.close()
      }),
    ),
  )
  t.true(producer.closed)
  t.is(consumer.tryPop(), undefined)
  t.is(consumer.peer, 'closed')
})

test('after closing, and while a reservation is open, values are refused as bytes are', async (t) => {
  const { producer } = openTyped(t)
  const reservation = producer.reserve(Tick.size)!
  const busy = { code: 'ERR_MILLRACE_BUSY' }
  t.throws(() => producer.tryPush(tick(1)), busy)
  t.throws(() => producer.tryPushBatch([tick(1)]), busy)
  await t.throwsAsync(producer.push(tick(1)), busy)
  await t.throwsAsync(producer.pushBatch([tick(1)]), busy)
  reservation.abort()
  await t.throwsAsync(producer.push(tick(1), { signal: AbortSignal.abort() }), {
    code: 'ERR_MILLRACE_ABORTED',
  })
  t.is(producer.freeBytes, onePage, 'an aborted push sends nothing')
  producer.close()
  const closed = { code: 'ERR_MILLRACE_CLOSED' }
  t.throws(() => producer.tryPush(tick(1)), closed)
  t.throws(() => producer.pushSync(tick(1)), closed)
  t.throws(() => producer.tryPushBatch([tick(1)]), closed)
  await t.throwsAsync(producer.push(tick(1)), closed)
  await t.throwsAsync(producer.pushBatch([tick(1)]), closed)
})

test('a structure that is larger than the ring is TOO_LARGE, not a wait for ever', async (t) => {
  const Large = struct({ values: array(f64, 1000) }, { name: 'Large' })
  using producer = SpscQueue.producer(uniqueName(t), { schema: Large, capacity: onePage })
  const tooLarge = { code: 'ERR_MILLRACE_TOO_LARGE' }
  const value = { values: Array.from({ length: 1000 }, () => 1) }
  t.throws(() => producer.tryPush(value), tooLarge)
  t.throws(() => producer.tryPushBatch([value]), tooLarge)
  await t.throwsAsync(producer.push(value), tooLarge)
  await t.throwsAsync(producer.pushBatch([value]), tooLarge)
})

test('with a schema that is only a number messages are bytes, and meet values at the other side', async (t) => {
  const { name, producer, consumer } = openTyped(t)
  producer.tryPush(tick(1))
  consumer.close()
  using raw = SpscQueue.consumer(name, { schema: opaque })
  const bytes = raw.tryPop()!
  t.true(Buffer.isBuffer(bytes))
  t.deepEqual(Tick.read(bytes), tick(1))
  const loose = openLoose(t)
  await loose.producer.push(Tick.encode(tick(2)))
  t.deepEqual(loose.consumer.tryPop(), tick(2))
})

test('what has write but is no schema of values is refused before anything is opened', (t) => {
  const name = uniqueName(t)
  const refused = { code: 'ERR_MILLRACE_INVALID_ARGUMENT' }
  const { fingerprint, size } = Tick
  const nothing = () => undefined
  const all = { fingerprint, size, write: nothing, read: nothing, view: nothing, move: nothing }
  for (const schema of [
    { fingerprint, write: nothing },
    { ...all, move: undefined },
    { ...all, size: 0 },
    { ...all, size: 1.5 },
  ]) {
    t.throws(() => SpscQueue.producer(name, { schema: schema as never }), refused)
    t.throws(() => SpscQueue.consumer(name, { schema: schema as never }), refused)
  }
  t.false(SpscQueue.unlink(name))
})

test('any object that writes and reads bytes of one length is a schema', (t) => {
  const celsius = {
    fingerprint: 0xce15n,
    size: 4,
    write(memory: Uint8Array, degrees: number, offset = 0) {
      new DataView(memory.buffer).setFloat32(memory.byteOffset + offset, degrees)
    },
    read: (memory: Uint8Array, offset = 0) =>
      new DataView(memory.buffer).getFloat32(memory.byteOffset + offset),
    view: (memory: Uint8Array) => ({ degrees: celsius.read(memory) }),
    move(view: { degrees: number }, memory: Uint8Array, offset?: number) {
      view.degrees = celsius.read(memory, offset)
      return view
    },
  }
  const name = uniqueName(t)
  using producer = SpscQueue.producer(name, { schema: celsius })
  using consumer = SpscQueue.consumer(name, { schema: celsius })
  t.true(producer.tryPush(21.5))
  t.true(producer.tryPush(22.5))
  t.is(consumer.tryPop(), 21.5)
  t.is(
    consumer.drain(({ degrees }) => t.is(degrees, 22.5)),
    1,
  )
})

test('fields may have the names of what bytes have', (t) => {
  const Odd = struct({ byteLength: u32, length: u32, buffer: u32, size: u64 })
  const name = uniqueName(t)
  using producer = SpscQueue.producer(name, { schema: Odd })
  using consumer = SpscQueue.consumer(name, { schema: Odd })
  const value = { byteLength: 1, length: 2, buffer: 3, size: 4n }
  t.true(producer.tryPush(value))
  t.true(producer.tryPush({ size: 4n, buffer: 3, length: 2, byteLength: 1 }), 'in any order')
  t.true(producer.tryPush(Odd.view(Odd.encode(value))))
  for (let i = 0; i < 3; i++) t.deepEqual(consumer.tryPop(), value)
})

test('what is not a message of the ring is found corrupt, as without a schema', (t) => {
  const { producer, consumer } = openTyped(t)
  const reservation = producer.reserve(Tick.size)!
  const ring = reservation.bytes.buffer
  const at = reservation.bytes.byteOffset
  reservation.commit()
  new Int32Array(ring)[(at - 8) / 4] = -5
  t.throws(() => consumer.tryPop(), { code: 'ERR_MILLRACE_CORRUPT' })
  t.true(consumer.closed)
})

// Random calls of both sides against a list.
const seeds = [1, 2, 3, 4, 5, 6]
for (const seed of seeds) {
  test(`random calls keep order and content: seed ${seed}`, async (t) => {
    const random = new Random(seed)
    const upTo = (most: number) => random.below(most + 1)
    const { producer, consumer } = openTyped(t)
    const sent: number[] = []
    const received: number[] = []
    let next = 0
    const see = ({ price, size, symbol }: TickValue) => {
      t.deepEqual({ price, size, symbol }, tick(size))
      received.push(size)
    }
    const forms = [
      (n: number) => tick(n),
      (n: number) => Tick.encode(tick(n)),
      (n: number) => Tick.view(Tick.encode(tick(n))),
    ]
    const made = () => {
      sent.push(next)
      return forms[upTo(2)]!(next++)
    }
    const pushes = [
      () => {
        const message = made()
        if (!producer.tryPush(message)) {
          sent.pop()
          next--
        }
      },
      () => {
        const from = sent.length
        const count = producer.tryPushBatch(Array.from({ length: upTo(60) }, made))
        next -= sent.length - from - count
        sent.length = from + count
      },
      () => {
        const reservation = producer.reserve(Tick.size)
        if (reservation === undefined) return
        if (upTo(1) === 0) reservation.abort()
        else {
          Tick.write(reservation.bytes, tick(next))
          reservation.commit()
          sent.push(next++)
        }
      },
    ]
    const pops = [
      () => {
        const value = consumer.tryPop()
        if (value !== undefined) see(value)
      },
      () => consumer.drain(see, upTo(50)),
      () => consumer.drainRaw((ring, at) => see(Tick.read(ring, at)), upTo(50)),
      () => {
        const target = Buffer.alloc(Tick.size)
        if (consumer.tryPopInto(target) > 0) see(Tick.read(target))
      },
    ]
    for (let i = 0; i < 3000; i++) {
      if (upTo(1) === 0) pushes[upTo(pushes.length - 1)]!()
      else pops[upTo(pops.length - 1)]!()
    }
    const waiting = producer.pushBatch(Array.from({ length: 300 }, made))
    while (received.length < sent.length) see((await consumer.pop())!)
    await waiting
    t.deepEqual(received, sent)
  })
}

// Messages of any length and content from a sender without a schema.
test('rubbish from a sender without a schema is a value or SCHEMA, nothing else', (t) => {
  const random = new Random(7)
  const { producer, consumer } = openLoose(t)
  for (let i = 0; i < 2000; i++) {
    const length = random.below(2) === 0 ? Tick.size : random.below(64)
    const message = Buffer.from(Array.from({ length }, () => random.below(256)))
    t.true(producer.tryPush(message))
    if (length === Tick.size) {
      const value = consumer.tryPop()!
      t.deepEqual(value, Tick.read(message))
    } else {
      const error = t.throws(() => consumer.tryPop(), { instanceOf: MillraceError })
      t.is(error.code, 'ERR_MILLRACE_SCHEMA')
      t.is(consumer.tryPopInto(Buffer.alloc(64)), length)
    }
  }
})
