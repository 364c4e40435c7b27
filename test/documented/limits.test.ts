// The program of docs/cell.md whose values are structures, taken from the page and run.

import test from 'ava'
import { Cell } from 'millrace'

import { programOf, startNode } from '../support/documented.js'
import { uniqueName } from '../support/names.js'

const patience = 30_000

test('one process decides, another follows, and both end by themselves', async (t) => {
  const limits = uniqueName(t)
  const program = programOf(t, 'cell.md', 'limits.ts', { limits })
  const following = await startNode(t, program)
  const deciding = await startNode(t, program, ['decide'])
  t.deepEqual(await deciding.ended(patience), { code: 0, signal: null }, deciding.stderr)
  t.deepEqual(await following.ended(patience), { code: 0, signal: null }, following.stderr)
  // It may have looked first when the second value was there.
  t.is(following.lines.at(-1), '2 50 20 normal')
  t.deepEqual(following.lines.slice(0, -1), following.lines.length > 1 ? ['1 100 20 normal'] : [])
  t.false(Cell.unlink(limits), 'the last one has removed it')
})
