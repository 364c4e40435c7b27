// Queues of values allocate nothing per message: a view is written into the ring, and one view moves over what has come.

import test from 'ava'
import { SpscQueue } from 'millrace'
import { array, f64, i32, struct, u32, type ViewOf } from 'millrace/struct'

import { allocated } from '../support/allocation.js'
import { uniqueName } from '../support/names.js'

const Numbers = struct({
  price: f64,
  size: u32,
  change: i32,
  levels: array(u32, 4),
  at: struct({ x: u32 }),
})
const rounds = 1_000_000
const batch = 10_000
const sums = new Float64Array(1)
const ignore = () => undefined

// Whole numbers: whether a fractional one is put into the heap on its way through a callback is V8's choice, which inlines
// what reads it or does not.
const callbacks: Record<string, (view: ViewOf<typeof Numbers>) => unknown> = {
  'a number': (view) => {
    sums[0]! += view.size
  },
  'numbers, also of a structure and an array inside': (view) => {
    sums[0]! += view.size + view.change + view.at.x + view.levels.at(1)
  },
}

for (const [what, callback] of Object.entries(callbacks)) {
  test.serial(`nothing is allocated per message that is pushed and drained: ${what}`, (t) => {
    const name = uniqueName(t)
    using producer = SpscQueue.producer(name, { schema: Numbers, capacity: 1 << 20 })
    using consumer = SpscQueue.consumer(name, { schema: Numbers, capacity: 1 << 20 })
    const value = Numbers.view(new Uint8Array(Numbers.size))
    value.price = 0.25
    sums[0] = 0
    const fill = () => {
      for (let i = 0; i < batch; i++) {
        value.size = i
        if (!producer.tryPush(value)) throw new Error('full')
      }
    }
    const bytes = allocated(() => {
      for (let sent = 0; sent < rounds; sent += batch) {
        fill()
        consumer.drain(callback, Infinity)
      }
    }, rounds)
    t.true(sums[0] >= rounds)
    t.true(bytes < rounds, `${bytes} bytes for ${rounds} messages`)
  })
}

test.serial('the measure sees what popping allocates, which is a value each', (t) => {
  const name = uniqueName(t)
  using producer = SpscQueue.producer(name, { schema: Numbers, capacity: 1 << 20 })
  using consumer = SpscQueue.consumer(name, { schema: Numbers, capacity: 1 << 20 })
  const value = Numbers.view(new Uint8Array(Numbers.size))
  const bytes = allocated(() => {
    for (let i = 0; i < rounds; i++) {
      producer.tryPush(value)
      consumer.tryPop()
    }
  }, 0)
  t.true(bytes > 30 * rounds, `${bytes} bytes for ${rounds} messages`)
})

test.serial('a reservation allocates itself and its view, and nothing else', (t) => {
  const name = uniqueName(t)
  using producer = SpscQueue.producer(name, { capacity: 1 << 20 })
  using consumer = SpscQueue.consumer(name)
  const ring = new ArrayBuffer(64)
  let view: Uint8Array | undefined
  const ofViews = allocated(() => {
    for (let i = 0; i < rounds; i++) view = new Uint8Array(ring, 0, 64)
  }, 0)
  const bytes = allocated(
    () => {
      for (let sent = 0; sent < rounds; sent += batch) {
        for (let i = 0; i < batch; i++) {
          const reservation = producer.reserve(64)!
          reservation.bytes[0] = i
          reservation.commit()
        }
        consumer.drainRaw(ignore, Infinity)
      }
    },
    ofViews + 40 * rounds,
  )
  t.is(view?.length, 64)
  const each = (bytes - ofViews) / rounds
  t.true(each < 50, `${each} bytes beside the view`)
})
