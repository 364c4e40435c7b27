// What a counter promises.

import { execFileSync } from 'node:child_process'
import test from 'ava'
import { Counter } from 'millrace/sync'

import { actor } from '../support/actor.js'
import { runCxx } from '../support/cxx.js'
import { objectsOf, uniqueName } from '../support/names.js'

const most = 2n ** 63n - 1n
const least = -(2n ** 63n)

test('every call is one step, and says what it found', (t) => {
  const name = uniqueName(t)
  using counter = Counter.open(name)
  using other = Counter.open(name, { initial: 99 })
  t.is(counter.get(), 0n)
  t.is(other.add(), 1n)
  t.is(counter.add(9n), 10n)
  t.is(counter.add(-3), 7n)
  t.is(other.exchange(100), 7n)
  t.is(counter.compareExchange(99n, 1n), 100n)
  t.is(counter.compareExchange(100, 1), 100n)
  t.is(other.get(), 1n)
  other.set(-5n)
  t.is(counter.toNumber(), -5)
})

test('the initial value is that of the first one to open it', (t) => {
  const name = uniqueName(t)
  using counter = Counter.open(name, { initial: most })
  using other = Counter.open(name, { initial: 5 })
  t.is(other.get(), most)
  t.is(counter.add(1), least)
  t.is(counter.add(-1n), most)
})

test('numbers wrap at the ends of 64 bits, whatever changes them', (t) => {
  using counter = Counter.open(uniqueName(t))
  for (const value of [most, least, most - 1n, least + 1n, -1n, 2n ** 53n, -(2n ** 53n), 0n]) {
    counter.set(value)
    t.is(counter.get(), value)
    t.is(counter.exchange(value), value)
    t.is(counter.compareExchange(value, value), value)
    t.is(counter.compareExchange(BigInt.asIntN(64, value + 1n), 5n), value, 'nothing happened')
    for (const delta of [most, least, 1n, -1n, 2 ** 53 - 1, -(2 ** 53 - 1), -0]) {
      counter.set(value)
      const sum = BigInt.asIntN(64, value + BigInt(delta))
      t.is(counter.add(delta), sum, `${value} + ${delta}`)
      t.is(counter.get(), sum)
    }
  }
})

test('a closed counter refuses every call, one that was in use too', (t) => {
  for (const use of [() => undefined, (counter: Counter) => counter.add()]) {
    const counter = Counter.open(uniqueName(t))
    use(counter)
    counter.close()
    const closed = { code: 'ERR_MILLRACE_CLOSED' }
    t.throws(() => counter.get(), closed)
    t.throws(() => counter.toNumber(), closed)
    t.throws(() => counter.add(), closed)
    t.throws(() => {
      counter.set(1)
    }, closed)
    t.throws(() => counter.exchange(1n), closed)
    t.throws(() => counter.compareExchange(1, 2), closed)
    t.throws(() => counter.add('x' as never), closed)
  }
})

test('what is no integer of 64 bits is refused, and changes nothing', (t) => {
  const name = uniqueName(t)
  using counter = Counter.open(name)
  const invalid = { code: 'ERR_MILLRACE_INVALID_ARGUMENT' }
  for (const value of [1.5, NaN, Infinity, 2 ** 53, most + 1n, least - 1n, '1', null, {}]) {
    const wrong = value as number
    t.throws(() => counter.add(wrong), invalid)
    t.throws(() => counter.set(wrong), invalid)
    t.throws(() => counter.exchange(wrong), invalid)
    t.throws(() => counter.compareExchange(wrong, 1), invalid)
    t.throws(() => counter.compareExchange(0, wrong), invalid)
    if (value !== null) t.throws(() => Counter.open(name, { initial: wrong }), invalid)
  }
  t.is(counter.get(), 0n)
  t.throws(() => counter.add('x' as never), { message: /not "x"$/ })
  t.throws(() => counter.add(most + 1n), { message: /9223372036854775808n$/ })
})

test('toNumber refuses what a number cannot hold', (t) => {
  using counter = Counter.open(uniqueName(t), { initial: Number.MAX_SAFE_INTEGER })
  t.is(counter.toNumber(), Number.MAX_SAFE_INTEGER)
  counter.add()
  t.throws(() => counter.toNumber(), { code: 'ERR_MILLRACE_TOO_LARGE' })
})

test('it goes with its last user, unless it is kept', (t) => {
  const name = uniqueName(t)
  const first = Counter.open(name, { initial: 3 })
  const second = Counter.open(name)
  first.close()
  first.close()
  t.true(first.closed)
  t.throws(() => first.get(), { code: 'ERR_MILLRACE_CLOSED' })
  t.throws(() => first.add(), { code: 'ERR_MILLRACE_CLOSED' })
  t.is(second.get(), 3n)
  second.close()
  t.deepEqual(objectsOf(name), [])
  Counter.open(name, { keep: true }).close()
  {
    using kept = Counter.open(name)
    kept.add()
  }
  {
    using again = Counter.open(name, { initial: 50 })
    t.is(again.get(), 1n)
  }
  t.true(Counter.unlink(name))
  t.false(Counter.unlink(name))
})

test('any program can read it, at the documented place', (t) => {
  const name = uniqueName(t)
  using counter = Counter.open(name, { initial: -1234567890123n })
  const read = () =>
    execFileSync('od', [
      ...['-A', 'n', '-t', 'd8', '-j', '1024', '-N', '8'],
      `/dev/shm/millrace.n.${name}`,
    ])
      .toString()
      .trim()
  t.is(read(), '-1234567890123')
  counter.set(7)
  t.is(read(), '7')
})

test.serial('additions of many processes are all there, also those of the killed', async (t) => {
  const name = uniqueName(t)
  using counter = Counter.open(name)
  const actors = Array.from({ length: 4 }, () => actor(t))
  await Promise.all(
    actors.map((other) =>
      other.do(({ Counter }, name) => {
        const mine = Counter.open(name)
        for (let i = 0; i < 50_000; i++) mine.add()
      }, name),
    ),
  )
  t.is(counter.get(), 200_000n)
  await Promise.all(actors.map((other) => other.kill()))
  t.is(counter.add(), 200_001n)
})

test.serial('additions in C++ and in JavaScript, at the same time, are all there', async (t) => {
  const name = uniqueName(t)
  using counter = Counter.open(name, { initial: -3n })
  const deltas = [1n, -7n]
  const others = await Promise.all(
    deltas.map((delta) => runCxx(t, 'test/sync/fixtures/adds.cpp', [name, String(delta), '500'])),
  )
  let over = false
  const ends = Promise.all(others.map((other) => other.ended())).finally(() => (over = true))
  const goesOn = () => !over
  let sum = -3n
  while (goesOn()) {
    for (let i = 0; i < 4096; i++) counter.add()
    sum += 4096n
    await new Promise((resolve) => setImmediate(resolve))
  }
  for (const [i, { code }] of (await ends).entries()) {
    t.is(code, 0)
    sum += BigInt(others[i]!.lines[0] ?? '') * deltas[i]!
  }
  t.is(counter.get(), sum)
})
