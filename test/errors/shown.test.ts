// What was wrong is shown so that it cannot be taken for what would have been right: "1" is no 1, and neither is 1n.

import test from 'ava'
import { list, SpscQueue } from 'millrace'
import { f64, struct } from 'millrace/struct'
import { Counter } from 'millrace/sync'

import { uniqueName } from '../support/names.js'

test('a refusal shows what was given as it would be written', (t) => {
  const name = uniqueName(t)
  using counter = Counter.open(name)
  using producer = SpscQueue.producer(name)
  const given = [
    ['1', /, not "1"$/],
    [2n ** 64n, /, not 18446744073709551616n$/],
    [{ of: 1 }, /, not \{ of: 1 \}$/],
    [Object.create(null), /, not \[Object: null prototype\] \{\}$/],
    [Symbol('s'), /, not Symbol\(s\)$/],
  ] as const
  for (const [value, message] of given) {
    const refused = { code: 'ERR_MILLRACE_INVALID_ARGUMENT', message }
    const wrong = value as never
    t.throws(() => counter.add(wrong), refused)
    t.throws(() => producer.reserve(wrong), refused)
    t.throws(() => SpscQueue.producer(name, { capacity: wrong }), refused)
    t.throws(() => struct({ x: f64 }, { endian: wrong }), refused)
    if (typeof value !== 'string') {
      t.throws(() => list({ prefix: wrong }), refused)
    }
  }
})
