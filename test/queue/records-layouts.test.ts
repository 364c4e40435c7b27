// Numbers of records are written in another way where their place allows it than where it does not: here every kind of
// number lies at every kind of place. What was written is compared with what the structure itself encodes.

import test, { type ExecutionContext } from 'ava'
import { RecordQueue } from 'millrace'
import {
  array,
  bool,
  bytes,
  char,
  f32,
  f64,
  i16,
  i32,
  i64,
  i8,
  struct,
  u16,
  u32,
  u64,
  u8,
  type Fields,
  type Struct,
} from 'millrace/struct'

import { uniqueName } from '../support/names.js'
import { onePage } from '../support/queues.js'
import { Random } from '../support/random.js'

const random = new Random(20)

const whole = (bits: number, signed: boolean) => () => {
  const from = signed ? -(2 ** (bits - 1)) : 0
  const span = 2 ** bits
  return [from, from + span - 1, from + Math.floor(random.below(2 ** 30) * (span / 2 ** 30))][
    random.below(3)
  ]!
}
const wide = (signed: boolean) => () => {
  const value = (BigInt(random.below(2 ** 30)) << 34n) | BigInt(random.below(2 ** 30))
  return signed ? BigInt.asIntN(64, value) : value
}
const kinds = [
  { type: i8, value: whole(8, true), wrong: 128 },
  { type: u8, value: whole(8, false), wrong: -1 },
  { type: i16, value: whole(16, true), wrong: 1.5 },
  { type: u16, value: whole(16, false), wrong: 65536 },
  { type: i32, value: whole(32, true), wrong: 2 ** 31 },
  { type: u32, value: whole(32, false), wrong: '1' },
  { type: i64, value: wide(true), wrong: 1 },
  { type: u64, value: wide(false), wrong: -1n },
  { type: f32, value: () => Math.fround(random.below(1000) / 7), wrong: '1' },
  { type: f64, value: () => random.below(1000) / 7, wrong: undefined },
  { type: bool, value: () => random.below(2) === 1, wrong: 1 },
] as const
const insides = [
  { type: char(3), value: () => 'abc'.slice(random.below(4)) },
  { type: array(u16, 3), value: () => [1, 2, random.below(9)] },
  { type: struct({ x: u8, y: f64 }, { packed: true }), value: () => ({ x: 1, y: 2.5 }) },
  { type: bytes(5), value: () => new Uint8Array(5).fill(random.below(256)) },
]

type Loose = Record<string, unknown>

/** A structure of some of all kinds in any order, and what makes values of it. */
function makeRecord(options: { packed?: boolean; endian?: 'little' | 'big' }) {
  const parts = Array.from({ length: 1 + random.below(9) }, (_, index) => {
    const isInside = random.below(6) === 0
    const kind = isInside ? insides[random.below(4)]! : kinds[random.below(kinds.length)]!
    return { name: `f${index}`, kind, isInside }
  })
  const fields = Object.fromEntries(parts.map(({ name, kind }) => [name, kind.type])) as Fields
  const record = struct(fields, options)
  const value = () => Object.fromEntries(parts.map(({ name, kind }) => [name, kind.value()]))
  return { record, parts, value }
}

function open(t: ExecutionContext, record: Struct<Fields>) {
  const name = uniqueName(t)
  const producer = RecordQueue.producer(name, { record, capacity: onePage })
  const consumer = RecordQueue.consumer(name, { record, capacity: onePage })
  t.teardown(() => {
    producer.close({ discard: true })
    consumer.close({ discard: true })
  })
  return { producer, consumer }
}

for (const endian of ['little', 'big'] as const) {
  for (const packed of [false, true]) {
    test(`any fields in any order are written where they belong: ${endian}, ${packed ? 'packed' : 'as in C'}`, (t) => {
      for (let round = 0; round < 60; round++) {
        const { record, parts, value } = makeRecord({ packed, endian })
        const { producer, consumer } = open(t, record)
        for (let message = 0; message < 12; message++) {
          const count = producer.claim(1 + random.below(7))
          const values = Array.from({ length: count }, value)
          const raw: Buffer[] = []
          values.forEach((given, index) => {
            const view = producer.records.at(index) as Loose
            // Where numbers lie beside what is not rewritten: the rest must stay as it is.
            record.set(view, given)
            for (const { name, isInside } of parts) if (!isInside) view[name] = given[name]
            for (const { name, isInside } of parts) {
              if (!isInside && !Object.is(view[name], given[name])) t.fail(`${name} is not there`)
            }
          })
          producer.commit()
          consumer.drainRaw(
            (ring, at, length) => raw.push(Buffer.from(ring.subarray(at, at + length))),
            1,
          )
          const expected = Buffer.concat(values.map((each) => record.encode(each as never)))
          // What is between the fields is nobody's: compared are the values.
          t.deepEqual(record.array(raw[0]!).toArray(), record.array(expected).toArray())
        }
        producer.close()
        consumer.close()
      }
    })
  }
}

test('values that do not fit are refused by their field, and change nothing', (t) => {
  const fields = Object.fromEntries(kinds.map(({ type }, index) => [`f${index}`, type])) as Fields
  const { producer } = open(t, struct(fields))
  producer.claim(2)
  for (const index of [0, 1]) {
    const view = producer.records.at(index) as Loose
    kinds.forEach(({ value, wrong }, kind) => {
      const name = `f${kind}`
      const before = value()
      view[name] = before
      t.throws(() => (view[name] = wrong), {
        code: 'ERR_MILLRACE_INVALID_ARGUMENT',
        message: new RegExp(`^${name} must be `),
      })
      t.is(view[name], before)
    })
  }
})

test('no field of a view that was kept beyond commit can be written', (t) => {
  const fields = Object.fromEntries(kinds.map(({ type }, index) => [`f${index}`, type])) as Fields
  const { producer, consumer } = open(t, struct(fields))
  for (let round = 0; round < 3; round++) {
    producer.claim(3)
    const kept = producer.records.at(2) as Loose
    kinds.forEach(({ value }, kind) => (kept[`f${kind}`] = value()))
    const before = { ...(producer.records.toArray()[2] as Loose) }
    producer.commit()
    kinds.forEach(({ value }, kind) => {
      t.throws(() => (kept[`f${kind}`] = value()), { instanceOf: RangeError })
      t.throws(() => kept[`f${kind}`], { instanceOf: RangeError })
    })
    t.deepEqual(consumer.tryPop()![2], before as never)
  }
})

test('a view that its owner moves elsewhere is there, until its records are looked at again', (t) => {
  const fields = { price: f64, size: u32, live: bool, levels: array(u16, 2) }
  const Tick = struct(fields, { name: 'Tick' })
  const { producer, consumer } = open(t, Tick)
  const records = producer.records as unknown as ReturnType<typeof Tick.array>
  const memory = new Uint8Array(1 + Tick.size)
  const elsewhere = { price: 7.5, size: 7, live: true, levels: [0, 9] }
  const moveAndWrite = (view: ReturnType<typeof Tick.view>) => {
    memory.fill(0)
    t.is(Tick.move(view, memory, 1), view) // no multiple of anything
    Object.assign(view, { price: 7.5, size: 7, live: true })
    view.levels.set(1, 9)
    t.deepEqual(Tick.read(view), elsewhere)
    t.deepEqual(Tick.read(memory, 1), elsewhere)
  }
  for (let round = 0; round < 3; round++) {
    producer.claim(2)
    records.assign([1, 2].map((n) => ({ price: n, size: n, live: false, levels: [n, n] })))
    const view = records.at(1)
    moveAndWrite(view)
    Tick.move(view, memory, 1)
    t.is(records.at(0), view)
    view.price = 3
    view.levels.set(0, 4)
    t.deepEqual(Tick.read(memory, 1), elsewhere)
    moveAndWrite(view)
    producer.commit()
    t.throws(() => (view.size = 8), { instanceOf: RangeError })
    t.deepEqual(consumer.tryPop(), [
      { price: 3, size: 1, live: false, levels: [4, 1] },
      { price: 2, size: 2, live: false, levels: [2, 2] },
    ])
    moveAndWrite(view)
    producer.claim(1) // gets it back as well
    view.price = 6
    t.is(records.at(0).price, 6)
    t.deepEqual(Tick.read(memory, 1), elsewhere)
    producer.commit(0)
  }
})

test('a consumer that closes in its callback takes the records away', (t) => {
  const Tick = struct({ price: f64 })
  const { producer, consumer } = open(t, Tick)
  producer.tryPush([{ price: 1 }, { price: 2 }] as never)
  consumer.drain((records) => {
    const view = records.at(0) as Loose
    consumer.close()
    t.throws(() => records.at(0), { code: 'ERR_MILLRACE_RELEASED' })
    t.throws(() => view['price'], { instanceOf: RangeError })
    t.throws(() => (view['price'] = 1), { instanceOf: RangeError })
  })
  t.true(consumer.closed)
})
