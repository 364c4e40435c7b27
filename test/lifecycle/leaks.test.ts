// Opening and closing a thousand times costs nothing that stays.

import test from 'ava'
import { uniqueName } from '../support/names.js'
import { run } from '../support/process.js'

interface Size {
  readonly descriptors: number
  readonly threads: number
  readonly mappings: number
  readonly residentMiB: number
}

test('neither descriptors nor threads, mappings or memory grow with open and close', async (t) => {
  const name = uniqueName(t)
  const child = run(t, new URL('./fixtures/cycles.js', import.meta.url), [name, '1000'])
  const { before, after } = (await child.next(40_000)) as { before: Size; after: Size }
  t.deepEqual(await child.ended(), { code: 0, signal: null }, child.stderr)
  t.is(after.descriptors, before.descriptors)
  t.is(after.threads, before.threads)
  t.true(after.mappings <= before.mappings + 5, `${before.mappings} -> ${after.mappings}`)
  const grown = after.residentMiB - before.residentMiB
  t.log(`1000 cycles: ${grown.toFixed(1)} MiB`)
  t.true(grown < 16, `grown by ${grown.toFixed(1)} MiB`)
})
