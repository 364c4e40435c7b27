import test from 'ava'

import { uniqueName } from '../support/names.js'
import { live } from './live.js'

test('promise: lies – whatever is scribbled over segments in use, survivors go on or get typed errors', async (t) => {
  t.timeout(90_000)
  const limits = { seconds: 4, seed: 1, silenceMs: 20_000 }
  const { found, errors } = await live(uniqueName(t, { mayLeave: true }), limits)
  t.deepEqual(found, [])
  t.true((errors['ERR_MILLRACE_CORRUPT'] ?? 0) > 0, JSON.stringify(errors))
})

for (const [letter, attacked] of [
  ['q', 'queue'],
  ['f', 'frames'],
  ['c', 'cell'],
  ['x', 'mutex'],
  ['j', 'work'],
  ['j', 'pipeline'],
  ['t', 'topics'],
  ['r', 'rpc'],
] as const) {
  test.serial(
    `promise: lies – a liar that insists, on ${attacked}, stops nothing and reaches no other channel`,
    async (t) => {
      t.timeout(90_000)
      const name = uniqueName(t, { mayLeave: true })
      const limits = {
        seconds: 2,
        seed: 7,
        silenceMs: 20_000,
        insistsOn: letter,
        about: attacked,
        untilNoticedBy: attacked,
      }
      const { found, doneMeanwhile, errorsOf } = await live(name, limits)
      t.deepEqual(found, [])
      for (const [kind, codes] of Object.entries(errorsOf)) {
        if (kind === attacked) t.true(Object.keys(codes).length > 0, 'no lie was noticed')
        else t.is(codes['ERR_MILLRACE_CORRUPT'], undefined, kind)
      }
      const { [attacked]: _, ...others } = doneMeanwhile
      t.true(
        Object.values(others).every((count) => count > 10),
        JSON.stringify(others),
      )
    },
  )
}
