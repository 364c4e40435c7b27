// Who looks on, under timers of a test, and while the process ends.

import { join } from 'node:path'
import test from 'ava'
import { ownDirectory } from '../support/directory.js'
import { uniqueName } from '../support/names.js'
import { run } from '../support/process.js'

test('with clocks that stand still all goes on; in a listener of exit each handle answers, and the exit code stays', async (t) => {
  const name = uniqueName(t)
  const file = join(ownDirectory(t), 'some.mcap')
  const child = run(t, new URL('./fixtures/looking-on.js', import.meta.url), [name, file])
  t.deepEqual(await child.ended(), { code: 7, signal: null }, child.stderr)
  t.deepEqual(child.lines, [
    'watched a',
    'recorded 1',
    'replayed 1',
    'observe 1',
    'metrics true',
    'health pass',
    'watch 3',
    'another watch 0',
    'recorder 3',
    'replay 4',
    'recording 1',
    'dashboard 2',
    'logging 2',
    'a file true',
  ])
})
