// The history checker itself: what it accepts, what it refuses, and what it says then.

import test from 'ava'
import fc from 'fast-check'

import { linearizable, type Model } from '../support/history/linearizable.js'
import { counterModel, queueModel } from '../support/history/models.js'
import type { Operation } from '../support/history/operation.js'

/** `[process, start, end, name, input, output]`; an end of `undefined` is a call that was cut off. */
type Row = readonly [string, number, number | undefined, string, unknown?, unknown?]

function history(...rows: readonly Row[]): Operation[] {
  return rows.map(([process, start, end, name, input, output]) => ({
    process,
    name,
    input,
    output,
    start: BigInt(start),
    end: end === undefined ? undefined : BigInt(end),
  }))
}

const counter = counterModel()

test('calls one after the other have only one order', (t) => {
  t.true(
    linearizable(history(['a', 0, 1, 'add', 1n, 1n], ['b', 2, 3, 'get', undefined, 1n]), counter)
      .ok,
  )
  t.false(
    linearizable(history(['a', 0, 1, 'get', undefined, 1n], ['b', 2, 3, 'add', 1n, 1n]), counter)
      .ok,
  )
})

test('calls at the same time may have taken effect in any order', (t) => {
  t.true(
    linearizable(history(['a', 0, 5, 'get', undefined, 1n], ['b', 2, 3, 'add', 1n, 1n]), counter)
      .ok,
  )
  t.true(
    linearizable(history(['a', 0, 5, 'get', undefined, 0n], ['b', 2, 3, 'add', 1n, 1n]), counter)
      .ok,
  )
  t.false(
    linearizable(history(['a', 0, 5, 'get', undefined, 2n], ['b', 2, 3, 'add', 1n, 1n]), counter)
      .ok,
  )
})

test('two that both believe to have been the first', (t) => {
  t.false(linearizable(history(['a', 0, 5, 'add', 1n, 1n], ['b', 2, 3, 'add', 1n, 1n]), counter).ok)
})

test('a call that was cut off may have taken effect, late, or never, but not before it began', (t) => {
  const cutOff: Row = ['a', 2, undefined, 'add', 5n]
  const seen = (start: number, value: bigint): Row => [
    'b',
    start,
    start + 1,
    'get',
    undefined,
    value,
  ]
  t.true(linearizable(history(cutOff, seen(3, 0n), seen(100, 5n)), counter).ok)
  t.true(linearizable(history(cutOff, seen(3, 0n), seen(100, 0n)), counter).ok)
  t.false(linearizable(history(cutOff, seen(3, 5n), seen(100, 0n)), counter).ok)
  t.false(linearizable(history(cutOff, seen(0, 5n)), counter).ok)
  t.false(linearizable(history(cutOff, seen(3, 10n)), counter).ok)
})

test('each object has a history of its own', (t) => {
  const calls = history(['a', 0, 1, 'add', 1n, 1n], ['b', 2, 3, 'get', undefined, 0n])
  t.false(linearizable(calls, counter).ok)
  t.true(
    linearizable(
      [
        { ...calls[0]!, object: 'x' },
        { ...calls[1]!, object: 'y' },
      ],
      counter,
    ).ok,
  )
  t.false(
    linearizable(
      calls.map((call) => ({ ...call, object: 'x' })),
      counter,
    ).ok,
  )
})

test('the order that it finds is one that explains everything', (t) => {
  const found = linearizable(
    history(['a', 0, 9, 'add', 1n, 3n], ['b', 1, 8, 'add', 1n, 2n], ['c', 2, 7, 'add', 1n, 1n]),
    counter,
  )
  t.true(found.ok)
  if (found.ok)
    t.deepEqual(
      found.order.map(({ process }) => process),
      ['c', 'b', 'a'],
    )
})

test('the explanation shows the first return that is impossible, and what went on meanwhile', (t) => {
  const broken = linearizable(
    history(
      ['a', 0, 1000, 'add', 1n, 1n],
      ['b', 2000, 5000, 'add', 1n, 2n],
      ['c', 3000, 4000, 'get', undefined, 7n],
      ['a', 6000, 7000, 'get', undefined, 99n],
    ),
    counter,
  )
  t.false(broken.ok)
  if (broken.ok) return
  t.is(
    broken.explanation,
    `no order of the calls explains what came back. The first that cannot be explained:
  [3.000 us, 4.000 us] c: get() = 7n
while these were under way:
  [2.000 us, ?] b: add(1n)
One order of what could be explained until then ended with:
  [0.000 us, 1.000 us] a: add(1n) = 1n -> 1
In state 1, get answers 1n.`,
  )
})

test('a call that ends before it begins is no history', (t) => {
  t.throws(() => linearizable(history(['a', 5, 1, 'get', undefined, 0n]), counter), {
    message: /ended before it began/,
  })
})

test('the search is bounded', (t) => {
  const wide = Array.from({ length: 20 }, (_, i): Row => [`p${i}`, 0, 100, 'push', i])
  const impossible: Row = ['c', 101, 102, 'pop', undefined, 'never pushed']
  t.throws(() => linearizable(history(...wide, impossible), queueModel, { limit: 1000 }), {
    message: /undecided after 1000/,
  })
})

/** Runs users on a perfect object and notes when each call began, took effect and ended. */
function perfect<State>(
  model: Model<State>,
  users: number,
  calls: number,
  draw: (below: number) => number,
  makeCall: (user: number, draw: (below: number) => number) => Pick<Operation, 'name' | 'input'>,
): Operation[] {
  let state = model.initial
  let now = 0n
  const under = new Map<number, { operation: Operation; done: boolean }>()
  const all: Operation[] = []
  while (all.length < calls) {
    now++
    const user = draw(users)
    const call = under.get(user)
    if (call === undefined) {
      const made = { process: `u${user}`, ...makeCall(user, draw), start: now, end: undefined }
      under.set(user, { operation: made, done: false })
    } else if (!call.done) {
      const steps = model.step(state, call.operation)
      if (steps.length === 0) continue
      const step = steps[draw(steps.length)]!
      state = step.state
      under.set(user, { operation: { ...call.operation, output: step.output }, done: true })
    } else {
      all.push({ ...call.operation, end: now })
      under.delete(user)
    }
  }
  // The rest was killed.
  for (const { operation } of under.values()) all.push({ ...operation, output: undefined })
  return all
}

test('what a perfect object did is always accepted; one wrong answer never, if it is unique', (t) => {
  fc.assert(
    fc.property(fc.infiniteStream(fc.nat()), fc.integer({ min: 1, max: 6 }), (stream, users) => {
      const draw = (below: number): number => (stream.next().value as number) % below
      const calls = perfect(counter, users, 60, draw, (_, any) => {
        const kind = any(4)
        if (kind === 0) return { name: 'get', input: undefined }
        if (kind === 1) return { name: 'compareExchange', input: [BigInt(any(5)), BigInt(any(5))] }
        return { name: kind === 2 ? 'add' : 'exchange', input: BigInt(any(5)) }
      })
      t.true(linearizable(calls, counter).ok)
      const at = draw(60)
      const wrong = calls.map((call, i) => (i === at ? { ...call, output: 1_000_000n } : call))
      t.false(linearizable(wrong, counter).ok)
    }),
    { numRuns: 100 },
  )
})

test('thousands of calls take no time to speak of', (t) => {
  let seed = 1
  const draw = (below: number): number => {
    seed = (seed * 48271) % 0x7fffffff
    return seed % below
  }
  const calls = perfect(counter, 8, 5000, draw, () => ({ name: 'add', input: 1n }))
  const began = performance.now()
  t.true(linearizable(calls, counter).ok)
  const wrong = [...calls]
  wrong[2500] = { ...wrong[2500]!, output: -1n }
  t.false(linearizable(wrong, counter).ok)
  t.log(`${Math.round(performance.now() - began)} ms`)
  t.true(performance.now() - began < 20_000)
})
