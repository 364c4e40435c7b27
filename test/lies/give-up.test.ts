import test from 'ava'
import { closeSync, openSync, writeSync } from 'node:fs'
import { Barrier } from 'millrace/sync'

import { uniqueName } from '../support/names.js'

/** native/include/millrace/layout/parties.hpp: what a barrier shares begins with its word. */
const barrierWord = 11392

test('promise: lies – a wait whose time is over finds nonsense: a rejection, not an uncaught error', async (t) => {
  const name = uniqueName(t)
  const barrier = Barrier.open(name, { parties: 2, poll: 0 })
  const wait = barrier.wait({ timeout: 50 })
  const file = openSync(`/dev/shm/millrace.b.${name}`, 'r+')
  const word = Buffer.alloc(8)
  word.writeBigUInt64LE(77n << 56n) // a generation that cannot be
  writeSync(file, word, 0, 8, barrierWord)
  closeSync(file)
  await t.throwsAsync(wait, { code: 'ERR_MILLRACE_CORRUPT' })
  t.true(barrier.closed)
})
