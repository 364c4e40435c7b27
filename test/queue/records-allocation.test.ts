// Queues of records allocate nothing per record, neither where they are written nor where they are read: not even numbers with a
// fraction, which V8 puts into the heap wherever it cannot follow them. So nothing of the library may be compiled into the
// loops of these functions but the accessors. (V8 takes those of some twelve fields that are written, and more that are read.)

import test from 'ava'
import { RecordQueue, type RecordConsumer, type RecordProducer } from 'millrace'
import { array, bool, f64, struct, u32 } from 'millrace/struct'

import { allocated } from '../support/allocation.js'
import { uniqueName } from '../support/names.js'

const Wide = struct({ a: f64, b: f64, c: f64, d: f64, e: f64, f: f64, g: f64, h: f64 })
const Mixed = struct({
  price: f64,
  size: u32,
  live: bool,
  at: struct({ x: u32 }),
  levels: array(u32, 4),
})
const rounds = 2_000_000
const perClaim = 64
const perFill = 1024

const sums = new Float64Array(1)

interface Case<S extends typeof Wide | typeof Mixed> {
  readonly record: S
  readonly send: (producer: RecordProducer<S>, records: number) => void
  readonly receive: (consumer: RecordConsumer<S>) => void
}

function makeCase<S extends typeof Wide | typeof Mixed>(of: Case<S>): Case<S> {
  return of
}

const cases = {
  'eight doubles, written between claim and commit and read in the callback': makeCase({
    record: Wide,
    send: (producer, count) => {
      const { records } = producer
      for (let sent = 0; sent < count;) {
        const room = producer.claim(perClaim)
        for (let i = 0; i < room; i++) {
          const record = records.at(i)
          record.a = i + 0.5
          record.b = i + 1.5
          record.c = i + 2.5
          record.d = i + 3.5
          record.e = i + 4.5
          record.f = i + 5.5
          record.g = i + 6.5
          record.h = i + 7.5
        }
        producer.commit(room)
        sent += room
      }
    },
    receive: (consumer) => {
      consumer.drain((records) => {
        let sum = 0
        for (let i = 0; i < records.length; i++) {
          const { a, b, c, d, e, f, g, h } = records.at(i)
          sum += a + b + c + d + e + f + g + h
        }
        sums[0]! += sum
      }, Infinity)
    },
  }),
  // Whole numbers: which functions V8 inlines first when parts have parts is its choice, and not always the same.
  'several kinds of fields, also a structure and an array': makeCase({
    record: Mixed,
    send: (producer, count) => {
      for (let sent = 0; sent < count;) {
        const room = producer.claim(perClaim)
        for (let i = 0; i < room; i++) {
          const record = producer.records.at(i)
          record.size = i
          record.live = true
          record.at.x = i + 1
        }
        producer.commit(room)
        sent += room
      }
    },
    receive: (consumer) => {
      consumer.drain((records) => {
        let sum = 0
        for (let i = 0; i < records.length; i++) {
          const record = records.at(i)
          sum += record.size + record.at.x + record.levels.at(1)
        }
        sums[0]! += sum
      }, Infinity)
    },
  }),
}

for (const [title, { record, send, receive }] of Object.entries(cases) as [
  string,
  Case<typeof Wide>,
][]) {
  test.serial(`nothing is allocated per record: ${title}`, (t) => {
    const name = uniqueName(t)
    using producer = RecordQueue.producer(name, { record, capacity: 1 << 20 })
    using consumer = RecordQueue.consumer(name, { record, capacity: 1 << 20 })
    sums[0] = 0
    const bytes = allocated(() => {
      for (let sent = 0; sent < rounds; sent += perFill) {
        send(producer, perFill)
        receive(consumer)
      }
    }, rounds / 4)
    t.true(sums[0] > 0)
    // Each fill takes a closure or two, which are those of no record.
    t.true(bytes < rounds / 4, `${bytes} bytes for ${rounds} records`)
  })
}

test.serial('the measure sees what objects cost', (t) => {
  const name = uniqueName(t)
  using producer = RecordQueue.producer(name, { record: Wide, capacity: 1 << 20 })
  using consumer = RecordQueue.consumer(name, { record: Wide, capacity: 1 << 20 })
  const kept = { last: undefined as unknown }
  const bytes = allocated(() => {
    for (let sent = 0; sent < rounds / 10; sent += perClaim) {
      producer.claim(perClaim)
      producer.commit()
      kept.last = consumer.tryPop()
    }
  }, 0)
  t.true(bytes > (8 * 8 * rounds) / 10, `${bytes} bytes`)
})
