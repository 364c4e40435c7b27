// Values in the place of bytes.

import test from 'ava'
import { select } from 'millrace'
import { array, f64, struct, u32 } from 'millrace/struct'
import { topics, type Codec } from 'millrace/topics'

import { uniqueName } from '../support/names.js'
import { open } from './open.js'

const soon = { timeout: 15_000 }
const Temp = struct({ celsius: f64, sensor: u32 }, { name: 'Temp' })

interface Order {
  readonly item: string
  readonly count: number
}

function json<Value>(): Codec<Value> {
  return {
    name: 'json',
    encode: (value) => Buffer.from(JSON.stringify(value)),
    decode: (bytes) => JSON.parse(Buffer.from(bytes).toString()) as Value,
  }
}

test('each subject has its struct or its codec, found by filters', async (t) => {
  const bus = open(t, uniqueName(t))
  const plant = topics(bus, {
    subjects: { 'line1.temp': Temp, 'line2.*': Temp, 'orders.>': json<Order>() },
  })
  const temps = await plant.subscribe('line1.temp')
  const orders = await plant.subscribe('orders.*')
  t.is(await plant.publish('line1.temp', { celsius: 21.5, sensor: 3 }), 1)
  t.is(await plant.publish('line2.temp', { celsius: 1, sensor: 3 }), 0)
  t.is(plant.tryPublish('orders.eu', { item: 'bolt', count: 7 }), 1)
  t.is(plant.publishSync('orders.us', { item: 'nut', count: 8 }, { headers: { a: 'b' } }), 1)
  const { value, subject, index, missed } = temps.tryReceive()!
  t.deepEqual({ ...value }, { celsius: 21.5, sensor: 3 })
  t.deepEqual([subject, index, missed], ['line1.temp', 0, 0])
  const found: Order[] = []
  for await (const { value, headers } of orders) {
    found.push(value)
    if (found.length < 2) continue
    t.deepEqual(headers, { a: 'b' })
    break
  }
  t.deepEqual(found, [
    { item: 'bolt', count: 7 },
    { item: 'nut', count: 8 },
  ])
})

test('one codec for all subjects, by types alone', async (t) => {
  const bus = open(t, uniqueName(t))
  const shop = topics<{ 'orders.>': Order; closed: boolean }>(bus, { codec: json() })
  using all = await shop.subscribe('>')
  using closed = await shop.subscribe('closed')
  await shop.publish('orders.eu', { item: 'bolt', count: 7 })
  await shop.publish('closed', true)
  t.deepEqual((await all.receive(soon)).value, { item: 'bolt', count: 7 })
  t.is((await all.receive(soon)).value, true)
  const value: boolean = (await closed.receive(soon)).value
  t.true(value)
})

test('the first pattern that matches counts, and a codec is for the others', async (t) => {
  const bus = open(t, uniqueName(t))
  const upper: Codec<string> = {
    name: 'upper',
    encode: (value) => Buffer.from(value.toUpperCase()),
    decode: (bytes) => Buffer.from(bytes).toString(),
  }
  const typed = topics(bus, { subjects: { 'a.b': upper, 'a.*': json<number>() }, codec: json() })
  using all = await typed.subscribe('>')
  typed.tryPublish('a.b', 'x')
  typed.tryPublish('a.c', 7)
  await bus.publish('other', '[1]')
  const values = [all.tryReceive(), all.tryReceive(), all.tryReceive()].map((one) => one!.value)
  t.deepEqual(values as unknown[], ['X', 7, [1]])
})

test('codecs have names, for one subject or for all', async (t) => {
  const bus = open(t, uniqueName(t))
  const named = topics(bus, {
    subjects: { 'a.json': 'json', 'a.pack': 'msgpack', 'a.clone': 'structured', 'a.raw': 'bytes' },
  })
  const all = await named.subscribe('>')
  const raw = await named.subscribe('a.raw')
  await named.publish('a.json', { at: 1 })
  await named.publish('a.pack', new Date(5))
  named.tryPublish('a.clone', new Map([[1, 2n]]))
  named.publishSync('a.raw', 'text')
  const values: unknown[] = []
  for await (const { value } of all) if (values.push(value) === 4) break
  t.deepEqual(values, [{ at: 1 }, new Date(5), new Map([[1, 2n]]), Buffer.from('text')])
  const text: string = raw.tryReceive()!.value.toString('utf8')
  t.is(text, 'text')

  const shop = topics<{ 'orders.>': Order }>(bus, { codec: 'json' })
  using orders = await shop.subscribe('orders.*')
  await shop.publish('orders.eu', { item: 'bolt', count: 7 })
  const order: Order = (await orders.receive(soon)).value
  t.deepEqual(order, { item: 'bolt', count: 7 })
})

test('a codec that writes every value to the same memory loses none while publishers wait', async (t) => {
  const bus = open(t, uniqueName(t), { messages: 4 })
  const scratch = new Uint8Array(1)
  const one: Codec<number> = {
    name: 'one',
    encode(value) {
      scratch[0] = value
      return scratch
    },
    decode: (bytes) => bytes[0]!,
  }
  const typed = topics(bus, { subjects: { n: one } })
  using subscription = await typed.subscribe('n')
  const numbers = Array.from({ length: 12 }, (_, i) => i)
  const published = Promise.all(numbers.map((number) => typed.publish('n', number, soon)))
  const found: number[] = []
  for await (const { value } of subscription) if (found.push(value) === numbers.length) break
  await published
  t.deepEqual(found, numbers)
})

test('select waits for subscriptions with types', async (t) => {
  const bus = open(t, uniqueName(t))
  const typed = topics<{ a: number; b: number }>(bus, { codec: 'json' })
  const sources = [await typed.subscribe('a'), await typed.subscribe('b')] as const
  const selected = select(sources, soon)
  await typed.publish('b', 7)
  const { source, state } = await selected
  t.deepEqual([source === sources[1], state], [true, 'ready'])
  t.is(source.tryReceive()!.value, 7)
  await t.throwsAsync(select(sources, { timeout: 1 }), { code: 'ERR_MILLRACE_TIMEOUT' })
  bus.close()
  t.is((await select(sources)).state, 'failed')
})

test('what comes out of a codec does not point into the bus', async (t) => {
  const bus = open(t, uniqueName(t))
  const Large = struct({ numbers: array(f64, 512) })
  const typed = topics(bus, { subjects: { large: Large } })
  using subscription = await typed.subscribe('large')
  const numbers = new Float64Array(512).fill(7)
  await typed.publish('large', { numbers })
  const { value } = subscription.tryReceive()!
  await typed.publish('large', { numbers: new Float64Array(512).fill(8) })
  bus.close()
  t.true([...value.numbers].every((number) => number === 7))
})

test('what is no value, or no type, is refused by name', async (t) => {
  const bus = open(t, uniqueName(t))
  const invalid = { code: 'ERR_MILLRACE_INVALID_ARGUMENT' }
  t.throws(() => topics(bus, {}), { ...invalid, message: /wants subjects/ })
  t.throws(() => topics(bus, null as unknown as object), invalid)
  t.throws(() => topics(bus, { subjects: { a: 7 } }), { ...invalid, message: /subjects\['a'\]/ })
  t.throws(() => topics(bus, { subjects: { 'a..b': Temp } }), { ...invalid, message: /a filter/ })
  for (const codec of [{}, 'yaml', { encode: String, decode: String }, null]) {
    t.throws(() => topics(bus, { codec: codec as never }), {
      ...invalid,
      message: /codec must be a struct\(\), one of bytes, json, msgpack, structured, or an object/,
    })
  }
  const typed = topics(bus, { subjects: { temp: Temp } })
  await t.throwsAsync(typed.publish('other' as 'temp', { celsius: 1, sensor: 1 }), {
    ...invalid,
    message: /nothing is said of the subject "other"/,
  })
  await t.throwsAsync(typed.publish('temp', 'warm' as never), invalid)
  using subscription = await typed.subscribe('temp')
  await bus.publish('temp', 'not a struct')
  await typed.publish('temp', { celsius: 1, sensor: 2 })
  await t.throwsAsync(subscription.receive(soon), {
    code: 'ERR_MILLRACE_SCHEMA',
    message: /has 12 bytes, and Temp has 16/,
  })
  t.is((await subscription.receive(soon)).value.sensor, 2, 'the next one can be received')
})

test('jobs are no values: a queue group is refused', async (t) => {
  const bus = open(t, uniqueName(t))
  const plant = topics(bus, { codec: json<Order>() })
  await t.throwsAsync(plant.subscribe('orders.*', { queue: 'g' } as object), {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
    message: /a queue group has jobs/,
  })
  t.is(bus.stats().subscriptions, 0)
})
