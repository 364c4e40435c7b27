// Using a view allocates nothing: what the heap grows by over millions of accesses, together with what the
// collector takes away meanwhile, is less than a byte for each.

import test from 'ava'
import { array, bool, f64, i32, struct, u32, u8 } from 'millrace/struct'
import { allocated } from '../support/allocation.js'

const Point = struct({ x: f64, y: f64 })
const Trade = struct({
  price: f64,
  size: u32,
  side: u8,
  change: i32,
  live: bool,
  levels: array(f64, 10),
  at: Point,
  path: array(Point, 4),
})
const count = 1000
const memory = new ArrayBuffer(count * Trade.size)
const rounds = 3_000_000

/** Bytes that `work` allocates in all rounds, once it is compiled in short and in long runs. */
function allocatedBy(work: (rounds: number) => number): number {
  for (let i = 0; i < 20; i++) work(20_000)
  return allocated(() => work(rounds), rounds)
}

const trade = Trade.view(memory)
const trades = Trade.array(memory)
const prices = trades.field('price')

// Each short enough to be compiled as a whole: what is not inlined takes and gives numbers in the heap.
const cases: Record<string, (rounds: number) => number> = {
  'numbers of a view': (n) => {
    let sum = 0
    for (let i = 0; i < n; i++) {
      trade.price = i * 0.5
      trade.size = i
      sum += trade.price + trade.size
    }
    return sum
  },
  'small numbers and booleans of a view': (n) => {
    let sum = 0
    for (let i = 0; i < n; i++) {
      trade.side = i & 255
      trade.live = (i & 1) === 0
      sum += trade.side + trade.change + (trade.live ? 1 : 0)
    }
    return sum
  },
  'a view that moves': (n) => {
    let sum = 0
    for (let i = 0; i < n; i++) {
      Trade.move(trade, memory, (i % count) * Trade.size)
      sum += trade.price
    }
    return sum
  },
  'a structure inside': (n) => {
    let sum = 0
    for (let i = 0; i < n; i++) {
      trade.at.x = i * 0.5
      sum += trade.at.x
    }
    return sum
  },
  'an array inside': (n) => {
    let sum = 0
    for (let i = 0; i < n; i++) {
      trade.levels.set(i % 10, i * 0.25)
      sum += trade.levels.at(i % 10)
    }
    return sum
  },
  'an array of structures inside': (n) => {
    let sum = 0
    for (let i = 0; i < n; i++) sum += trade.path.at(i & 3).y
    return sum
  },
  'the cursor of an array': (n) => {
    let sum = 0
    for (let i = 0; i < n; i++) {
      const found = trades.at(i % count)
      found.price = i * 0.5
      sum += found.price
    }
    return sum
  },
  'walking over an array': (n) => {
    let sum = 0
    for (let i = 0; i < n; i += count) for (const found of trades) sum += found.price
    return sum
  },
  'a column': (n) => {
    let sum = 0
    for (let i = 0; i < n; i++) {
      prices.set(i % count, i * 0.5)
      sum += prices.at(i % count)
    }
    return sum
  },
}

for (const [name, work] of Object.entries(cases)) {
  test.serial(`nothing is allocated per access: ${name}`, (t) => {
    const bytes = allocatedBy(work)
    t.true(bytes < rounds, `${bytes} bytes for ${rounds} rounds`)
  })
}

test.serial('the measure sees the smallest allocation per access', (t) => {
  const kept = { number: {} as unknown }
  const bytes = allocatedBy((n) => {
    for (let i = 0; i < n; i++) kept.number = { i }
    return 0
  })
  t.true(bytes >= 12 * rounds, `${bytes} bytes for ${rounds} rounds`)
})
