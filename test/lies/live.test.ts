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
