// What a bus promises whoever publishes and subscribes.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import { runInNewContext } from 'node:vm'
import test from 'ava'
import { MappedFile, NamelessSegment, select } from 'millrace'
import { Topics, type GivenHeaders } from 'millrace/topics'

import { actor } from '../support/actor.js'
import { objectsOf, uniqueName } from '../support/names.js'
import { messages, open, subscribed, texts } from './open.js'

const soon = { timeout: 15_000 }
const someHeaders = { traceparent: '00-4bf92f-01', zone: 'eu' }

test('what one publishes all receive who have asked for it, with all that goes with it', async (t) => {
  const name = uniqueName(t)
  const bus = open(t, name, { messages: 16 })
  const other = open(t, `shm://${name}`)
  t.is(other.messages, 16)
  const first = await other.subscribe('line1.*')
  const second = await bus.subscribe(['*.temp', 'line1.temp'])
  const third = await bus.subscribe('line2.>')
  const before = Date.now()
  const headers = { traceparent: '00-4bf92f-01', ключ: 'значение', __proto: '' }
  t.is(await bus.publish('line1.temp', 'résumé', { headers }), 2)
  t.is(await bus.publish('line3.temp', 'x'), 1)
  t.is(bus.tryPublish('line4', 'nobody'), 0)
  for (const subscription of [first, second]) {
    const message = subscription.tryReceive()!
    t.is(message.text(), 'résumé')
    t.deepEqual(
      [message.subject, message.index, message.length, message.missed],
      ['line1.temp', 0, 8, 0],
    )
    t.deepEqual(message.headers, headers)
    t.true(Math.abs(message.publishedAt - before) < 5_000)
    t.true(message.publishedAt % 1 !== 0 || message.publishedAt > 0)
  }
  t.is(first.tryReceive(), undefined)
  const next = second.tryReceive()!
  t.deepEqual([next.subject, next.index, next.headers], ['line3.temp', 1, {}])
  t.is(third.tryReceive(), undefined)
  const { published, matched, subjects, subscriptions, handles } = bus.stats()
  t.deepEqual([published, matched, subjects, subscriptions, handles], [3, 3, 3, 3, 2])
})

const severalHeaders: readonly (readonly [string, () => GivenHeaders])[] = [
  ['a Map', () => new Map(Object.entries(someHeaders))],
  ['Headers of fetch', () => new Headers(someHeaders)],
  ['pairs', () => Object.entries(someHeaders)],
  ['an iterator', () => Object.entries(someHeaders).values()],
  [
    'an object without prototype',
    () => Object.assign(Object.create(null), someHeaders) as Record<string, string>,
  ],
  [
    'an object of another realm',
    () => runInNewContext(`(${JSON.stringify(someHeaders)})`) as Record<string, string>,
  ],
  ['a value that is undefined', () => ({ ...someHeaders, tracestate: undefined })],
]
for (const [what, make] of severalHeaders) {
  test(`headers are given as ${what}`, async (t) => {
    const { bus, subscription } = await subscribed(t, uniqueName(t))
    await bus.publish('a', '1', { headers: make() })
    t.is(bus.tryPublish('a', '2', { headers: make() }), 1)
    bus.publishSync('a', '3', { headers: make() })
    await bus.publishBatch('a', ['4', '5'], { headers: make() })
    using loan = await bus.loan('a', 0, { headers: make() })
    await loan.publish()
    const found = messages(subscription)
    t.is(found.length, 6)
    for (const message of found) t.deepEqual(message.headers, someHeaders)
  })
}

const filters: readonly (readonly [filter: string, matching: string, others: string])[] = [
  ['a', 'a', 'b a.a aa'],
  ['a.b', 'a.b', 'a a.b.c a.c b.b'],
  ['*', 'a b ab', 'a.b'],
  ['a.*', 'a.b a.c', 'a a.b.c b.b'],
  ['*.b', 'a.b b.b', 'b a.b.c a.c'],
  ['a.*.c', 'a.b.c a.c.c', 'a.c a.b.d a.b.c.c'],
  ['*.*', 'a.b', 'a a.b.c'],
  ['>', 'a a.b a.b.c', ''],
  ['a.>', 'a.b a.b.c a.b.c.d', 'a b.a ab.c'],
  ['a.*.>', 'a.b.c a.b.c.d', 'a a.b'],
  ['é.ß', 'é.ß', 'e.ss é'],
]
for (const [filter, matching, others] of filters) {
  test(`${filter} asks for ${matching}, not for ${others || 'anything else'}`, async (t) => {
    const { bus, subscription } = await subscribed(t, uniqueName(t), filter)
    // Some subjects are there before the filter, some come after it.
    const late = await bus.subscribe(filter)
    const wanted = matching.split(' ')
    for (const subject of wanted) t.is(bus.tryPublish(subject, subject), 2, subject)
    for (const subject of others.split(' ').filter(Boolean)) {
      t.is(bus.tryPublish(subject, subject), 0, subject)
    }
    const after = await bus.subscribe(filter)
    for (const subject of wanted) t.is(bus.tryPublish(subject, subject), 3, subject)
    t.deepEqual(texts(subscription), [...wanted, ...wanted])
    t.deepEqual(texts(late), [...wanted, ...wanted])
    t.deepEqual(texts(after), wanted)
  })
}

test('a message that several filters of a subscription match comes once', async (t) => {
  const { bus, subscription } = await subscribed(t, uniqueName(t), ['a.*', '*.b', 'a.b', '>'])
  t.is(bus.tryPublish('a.b', 'once'), 1)
  t.deepEqual(texts(subscription), ['once'])
})

test('bytes in any container, from nothing to the limit, by copy and in place', async (t) => {
  const { bus, subscription } = await subscribed(t, uniqueName(t), '>', {
    bus: { messages: 8, bytes: 65_536 },
  })
  const numbers = new Float64Array([1, 2])
  const payloads: readonly (readonly [string | ArrayBufferView | ArrayBuffer, Buffer])[] = [
    ['', Buffer.alloc(0)],
    [new Uint8Array(0), Buffer.alloc(0)],
    [numbers, Buffer.from(numbers.buffer)],
    [numbers.buffer, Buffer.from(numbers.buffer)],
    ...[1, 127, 128, 129, 511, 512, 513, 4096, bus.maxBytes].map((length) => {
      const bytes = Buffer.alloc(length, `${length},`)
      return [bytes, bytes] as const
    }),
  ]
  for (const [payload, wanted] of payloads) {
    for (const headers of [undefined, { a: 'b'.repeat(5) }]) {
      if (headers !== undefined && wanted.length === bus.maxBytes) continue
      await bus.publish('a', payload, { headers })
      using message = subscription.tryReceive()!
      t.is(message.length, wanted.length)
      t.true(Buffer.from(message.bytes).equals(wanted))
      t.deepEqual(message.copy(), wanted)
      t.deepEqual(message.headers, headers ?? {})
    }
  }
  await t.throwsAsync(bus.publish('a', Buffer.alloc(bus.maxBytes + 1)), {
    code: 'ERR_MILLRACE_TOO_LARGE',
    message: new RegExp(String(bus.maxBytes)),
  })
})

test('a large message is read where it lies until it is released, and stays while others come', async (t) => {
  const { bus, own, subscription } = await subscribed(t, uniqueName(t), '>', {
    bus: { messages: 8, bytes: 65_536 },
  })
  await bus.publish('a', Buffer.alloc(4096, 1))
  const message = subscription.tryReceive()!
  const { bytes } = message
  t.is(bytes.length, 4096)
  t.is(message.bytes, bytes, 'the same view')
  for (let i = 0; i < 100; i++) {
    await bus.publish('a', Buffer.alloc(4096, 2))
    using next = subscription.tryReceive()!
    t.is(next.bytes[0], 2)
  }
  t.true(bytes.every((byte) => byte === 1))
  message.release()
  message.release()
  t.true(message.released)
  t.throws(() => message.bytes, { code: 'ERR_MILLRACE_RELEASED' })
  t.throws(() => message.copy(), { code: 'ERR_MILLRACE_RELEASED' })
  t.throws(() => message.text(), { code: 'ERR_MILLRACE_RELEASED' })
  await bus.publish('a', Buffer.alloc(4096, 3))
  const held = subscription.tryReceive()!
  const view = held.bytes
  own.close()
  t.is(view.length, 0)
  t.throws(() => held.bytes, { code: 'ERR_MILLRACE_CLOSED' })
  t.throws(() => held.copy(), { code: 'ERR_MILLRACE_CLOSED' })
})

test('more large messages can be held than there are pins: the others are copied', async (t) => {
  const { bus, subscription } = await subscribed(t, uniqueName(t), '>', {
    bus: { messages: 64, bytes: 2 ** 20 },
  })
  for (let i = 0; i < 40; i++) await bus.publish('a', Buffer.alloc(2000, i))
  const held = messages(subscription)
  t.is(held.length, 40)
  for (let i = 0; i < 200; i++) {
    await bus.publish('a', Buffer.alloc(2000, 255))
    subscription.tryReceive()!.release()
  }
  held.forEach((message, i) => {
    t.true(message.bytes.every((byte) => byte === i))
    message.release()
  })
})

test('a small message can be kept for ever, and need not be released', async (t) => {
  const { bus, own, subscription } = await subscribed(t, uniqueName(t))
  const kept: Uint8Array[] = []
  for (let i = 0; i < 3000; i++) {
    await bus.publish('a', Buffer.alloc(100, i))
    kept.push(subscription.tryReceive()!.bytes)
  }
  own.close()
  kept.forEach((bytes, i) => {
    if (bytes.some((byte) => byte !== (i & 255))) t.fail(String(i))
  })
  t.pass()
})

test('all subscribers see all messages in one order, whoever published them', async (t) => {
  const name = uniqueName(t)
  const { bus, subscription } = await subscribed(t, name, '>', { bus: { messages: 4096 } })
  const another = await bus.subscribe('>')
  const publishers = [actor(t), actor(t)]
  await Promise.all(
    publishers.map((publisher, who) =>
      publisher.do(
        async ({ Topics }, name, who) => {
          const bus = Topics.open(name)
          for (let i = 0; i < 1000; i++) await bus.publish(`p${who}`, String(i))
          bus.close()
        },
        name,
        who,
      ),
    ),
  )
  const seen = messages(subscription)
  t.is(seen.length, 2000)
  t.deepEqual(
    seen.map(({ index }) => index),
    Array.from({ length: 2000 }, (_, i) => i),
  )
  for (const who of [0, 1]) {
    t.deepEqual(
      seen.flatMap((message) => (message.subject === `p${who}` ? [Number(message.text())] : [])),
      Array.from({ length: 1000 }, (_, i) => i),
    )
  }
  t.deepEqual(
    messages(another).map((message) => `${message.subject} ${message.text()}`),
    seen.map((message) => `${message.subject} ${message.text()}`),
  )
})

test('with overwrite-oldest a slow subscriber is told exactly how many it has missed', async (t) => {
  const { bus, subscription } = await subscribed(t, uniqueName(t), 'a', {
    policy: 'overwrite-oldest',
    bus: { messages: 16 },
  })
  for (let i = 0; i < 100; i++) {
    t.is(bus.tryPublish('a', String(i)), 1)
    bus.tryPublish('other', 'x')
  }
  const found = messages(subscription)
  t.is(found.at(-1)!.text(), '99')
  const missed = found.reduce((sum, message) => sum + message.missed, 0)
  t.is(missed + found.length, 100)
  t.is(subscription.missed, missed)
  // What is missed stands with the message behind the gap.
  let next = 0
  for (const message of found) {
    next += message.missed
    t.is(message.text(), String(next++))
  }
})

test('depth says by how many messages a subscription may lag behind', async (t) => {
  const name = uniqueName(t)
  const { bus, subscription } = await subscribed(t, name, 'a', {
    policy: 'overwrite-oldest',
    depth: 4,
    bus: { messages: 64 },
  })
  const all = await bus.subscribe('a')
  for (let i = 0; i < 40; i++) bus.tryPublish('a', String(i))
  t.is(texts(all).length, 40)
  const found = messages(subscription)
  t.is(found.at(-1)!.text(), '39')
  t.true(found.length <= 4, `${found.length} messages`)
  t.is(found.length + subscription.missed, 40)
  const waits = await bus.subscribe('b', { depth: 4 })
  let published = 0
  while (published < 20 && bus.tryPublish('b', String(published)) !== undefined) published++
  t.is(published, 4)
  t.deepEqual(texts(waits), ['0', '1', '2', '3'])
  t.is(bus.tryPublish('b', 'more'), 1)
})

test('replay: last gives the newest of each subject that matches, in their order, before what comes', async (t) => {
  const name = uniqueName(t)
  const bus = open(t, name, { messages: 16, subjects: 16 })
  for (const subject of ['a.1', 'a.2', 'b.1', 'a.3', 'a.1'])
    bus.tryPublish(subject, `${subject} old`)
  for (let i = 0; i < 100; i++)
    bus.tryPublish('c', 'long enough to drive the others out of the log')
  bus.tryPublish('a.2', 'a.2 new')
  const subscription = await bus.subscribe('a.*', { replay: 'last' })
  bus.tryPublish('a.3', 'a.3 later')
  t.deepEqual(texts(subscription), ['a.3 old', 'a.1 old', 'a.2 new', 'a.3 later'])
  t.is(subscription.missed, 0)
})

test('replay: n gives the n newest that match, as far as they are there', async (t) => {
  const bus = open(t, uniqueName(t), { messages: 32 })
  for (let i = 0; i < 10; i++) {
    bus.tryPublish('a', String(i))
    bus.tryPublish('b', 'x')
  }
  const three = await bus.subscribe('a', { replay: 3 })
  const all = await bus.subscribe('a', { replay: 32 })
  const none = await bus.subscribe('a', { replay: 0 })
  bus.tryPublish('a', 'new')
  t.deepEqual(texts(three), ['7', '8', '9', 'new'])
  t.deepEqual(texts(all), ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'new'])
  t.deepEqual(texts(none), ['new'])
})

test('a loan is written where it lies, and published in part or given up', async (t) => {
  const { bus, subscription } = await subscribed(t, uniqueName(t))
  using loan = await bus.loan('a.b', 1000, { headers: { a: 'b' } })
  t.is(loan.bytes.length, 1000)
  loan.bytes.fill(7)
  t.is(await loan.publish(900), 1)
  t.true(loan.ended)
  t.throws(() => loan.bytes, { code: 'ERR_MILLRACE_RELEASED' })
  await t.throwsAsync(loan.publish(), { code: 'ERR_MILLRACE_RELEASED' })
  using message = subscription.tryReceive()!
  t.is(message.length, 900)
  t.true(message.bytes.every((byte) => byte === 7))
  t.deepEqual(message.headers, { a: 'b' })
  const other = bus.tryLoan('a', 10)!
  t.throws(() => other.tryPublish(11), { code: 'ERR_MILLRACE_INVALID_ARGUMENT' })
  other.cancel()
  other.cancel()
  t.throws(() => other.tryPublish(), { code: 'ERR_MILLRACE_RELEASED' })
  const small = bus.tryLoan('a', 3)!
  small.bytes.set([1, 2, 3])
  t.is(small.tryPublish(), 1)
  t.deepEqual([...subscription.tryReceive()!.bytes], [1, 2, 3])
  t.is(subscription.tryReceive(), undefined)
})

test('a loan is filled from a stream, and whoever ends the loan ends that first', async (t) => {
  const { bus, subscription } = await subscribed(t, uniqueName(t))
  const loan = await bus.loan('a', 11)
  const chunks = [Buffer.from('hello '), Buffer.from('world')]
  t.is(await loan.fillFrom(Readable.from(chunks)), 11)
  t.is(await loan.publish(), 1)
  t.is(subscription.tryReceive()!.text(), 'hello world')
  await t.throwsAsync(loan.fillFrom(Readable.from(chunks)), { code: 'ERR_MILLRACE_RELEASED' })
  using short = await bus.loan('a', 10)
  await t.throwsAsync(short.fillFrom(Readable.from(chunks)), { code: 'ERR_MILLRACE_TOO_LARGE' })
  for (const end of ['cancel', 'publish', 'close'] as const) {
    const open = await bus.loan('a', 10)
    const source = new PassThrough()
    const filling = t.throwsAsync(open.fillFrom(source), { code: 'ERR_MILLRACE_CLOSED' })
    if (end === 'cancel') open.cancel()
    else if (end === 'publish') await open.publish()
    else bus.close()
    await filling
    t.true(source.destroyed)
  }
})

test('batches are published in order, and received so many at a time', async (t) => {
  const { bus, subscription } = await subscribed(t, uniqueName(t), '>', { bus: { messages: 16 } })
  const all = Array.from({ length: 100 }, (_, i) => String(i))
  const done = bus.publishBatch('a', all, soon)
  const found: string[] = []
  while (found.length < all.length) {
    const batch = await subscription.receiveBatch(7, soon)
    t.true(batch.length >= 1 && batch.length <= 7)
    found.push(...batch.map((message) => message.text()))
  }
  t.deepEqual(found, all)
  t.is(await done, 100)
  const error = await t.throwsAsync(bus.publishBatch('a', ['b', 7 as unknown as string]), {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
  })
  t.regex(error.message, /^payloads\[1\]: /)
  t.is(subscription.tryReceive(), undefined, 'nothing of it was published')
})

test('a batch may have payloads of any lengths, which keep their order', async (t) => {
  const { bus, subscription } = await subscribed(t, uniqueName(t), '>')
  const lengths = [
    8,
    0,
    20_000,
    3,
    5000,
    5000,
    5000,
    5000,
    40_000,
    ...Array.from({ length: 150 }, (_, i) => i),
  ]
  const all = lengths.map((length, i) => Buffer.alloc(length, i + 1))
  t.is(await bus.publishBatch('a', all, { headers: { some: 'header' } }), all.length)
  for (const payload of all) {
    using message = await subscription.receive(soon)
    t.deepEqual(message.copy(), payload)
    t.deepEqual(message.headers, { some: 'header' })
  }
  t.is(subscription.tryReceive(), undefined)
})

test('a loop receives until its subscription or its bus is closed, and leaving it closes nothing', async (t) => {
  const { bus, own, subscription } = await subscribed(t, uniqueName(t))
  for (let i = 0; i < 200; i++) await bus.publish('a', String(i))
  const found: string[] = []
  for await (using message of subscription) {
    found.push(message.text())
    if (found.length === 150) break
  }
  for await (const message of subscription) {
    found.push(message.text())
    if (found.length === 200) own.close()
  }
  t.deepEqual(
    found,
    Array.from({ length: 200 }, (_, i) => String(i)),
  )
  t.true(subscription.closed)
})

test('select tells of a subscription that has something', async (t) => {
  const { bus, own, subscription } = await subscribed(t, uniqueName(t), 'a')
  const other = await own.subscribe('b')
  const selected = select([subscription, other], soon)
  bus.tryPublish('b', 'x')
  t.is((await selected).source, other)
  t.deepEqual(texts(other), ['x'])
  for (const subject of ['a', 'a', 'a']) bus.tryPublish(subject, subject)
  t.is(subscription.tryReceive()!.text(), 'a')
  t.is((await select([subscription, other], soon)).source, subscription, 'what was read before')
})

test('a bus lies under a name, in a file, or in memory that is handed over', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-'))
  t.teardown(() => {
    rmSync(directory, { recursive: true })
  })
  const file = new MappedFile(join(directory, 'bus'))
  const first = Topics.open(file, { messages: 16 })
  first.tryPublish('a', 'kept')
  first.close()
  const second = Topics.open(file)
  t.is(second.messages, 16)
  t.deepEqual(texts(await second.subscribe('a', { replay: 'last' })), ['kept'])
  second.close()
  using segment = NamelessSegment.create()
  using third = Topics.open(segment)
  using fourth = Topics.open(segment)
  const subscription = await fourth.subscribe('a')
  t.is(await third.publish('a', 'x'), 1)
  t.deepEqual(texts(subscription), ['x'])
})

test('the last one to close removes the name; whoever has an unlinked bus goes on with it', (t) => {
  const name = uniqueName(t)
  const bus = open(t, name)
  const other = open(t, name)
  bus.close()
  t.is(objectsOf(name).length, 1)
  other.close()
  t.deepEqual(objectsOf(name), [])
  const again = open(t, name)
  t.true(Topics.unlink(name))
  t.false(Topics.unlink(name))
  t.is(again.tryPublish('a', 'x'), 0)
})

test('other options than the bus has are refused', (t) => {
  const name = uniqueName(t)
  open(t, name, { messages: 16, bytes: 4096 })
  for (const options of [{ messages: 32 }, { bytes: 8192 }, { subjects: 5 }, { seats: 2 }]) {
    t.throws(() => open(t, name, options), { code: 'ERR_MILLRACE_GEOMETRY' })
  }
  t.notThrows(() => open(t, name, { messages: 16, bytes: 4096 }))
})

test('there can be no more subjects, subscriptions and handles than the bus has places for', async (t) => {
  const name = uniqueName(t)
  const bus = open(t, name, { subjects: 2, subscriptions: 1, seats: 2 })
  bus.tryPublish('a', '1')
  bus.tryPublish('b', '1')
  const full = { code: 'ERR_MILLRACE_NO_LANE' }
  await t.throwsAsync(bus.publish('c', '1'), full)
  t.throws(() => bus.tryPublish('c', '1'), full)
  const subscription = await bus.subscribe('a')
  await t.throwsAsync(bus.subscribe('b'), full)
  subscription.close()
  t.notThrows(() => subscription.close())
  const next = await bus.subscribe('b')
  bus.tryPublish('b', 'x')
  t.deepEqual(texts(next), ['x'])
  open(t, name)
  t.throws(() => open(t, name), full)
})
