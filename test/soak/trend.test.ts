// What the soak calls growing.

import test from 'ava'

import { theilSen, trendOf, type Point } from './trend.js'

const tolerance = { inAll: 2, perMinute: 0.25 }
/** One sample a second for `minutes`, each what `value` makes of its minute. */
const samples = (minutes: number, value: (minute: number, i: number) => number): Point[] =>
  Array.from({ length: minutes * 60 }, (_, i) => ({ minute: i / 60, value: value(i / 60, i) }))

test('the slope of a line is found', (t) => {
  t.true(Math.abs(theilSen(samples(2, (minute) => 7 + 3 * minute)) - 3) < 1e-9)
  t.is(theilSen([]), 0)
  t.is(theilSen([{ minute: 1, value: 5 }]), 0)
})

test('every fourth sample may lie anywhere', (t) => {
  const wild = samples(2, (minute, i) => (i % 4 === 0 ? 1000 * ((i * 7919) % 13) : 3 * minute))
  t.true(Math.abs(theilSen(wild) - 3) < 1.5)
})

test('a leak grows, a sawtooth and a cache that fills up do not', (t) => {
  t.is(
    trendOf(
      samples(3, (minute) => 50 + 2 * minute),
      tolerance,
    ).verdict,
    'growing',
  )
  t.is(
    trendOf(
      samples(3, (_, i) => 50 + (i % 10)),
      tolerance,
    ).verdict,
    'flat',
  )
  t.is(
    trendOf(
      samples(3, (minute) => 50 + Math.min(minute, 0.2) * 20),
      tolerance,
    ).verdict,
    'flat',
  )
})

test('the longer one looks, the slower a leak can be', (t) => {
  const leak = (minute: number) => 50 + 0.5 * minute
  t.is(trendOf(samples(1, leak), tolerance).verdict, 'flat')
  t.is(trendOf(samples(10, leak), tolerance).verdict, 'growing')
})
