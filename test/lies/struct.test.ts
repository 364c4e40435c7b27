import test from 'ava'

import { tellOfStructures } from './struct-story.js'

test('promise: lies – structures over arbitrary bytes give values or typed errors, and stay within', (t) => {
  t.true(tellOfStructures({ seconds: 1, seed: 1 }) > 10)
})
