// docs/proofs.md names tests that there are.

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const [, table = ''] = /^\| promise \|.*\n\|.*\n((?:\|.*\n)+)/m.exec(
  readFileSync(join(root, 'docs/proofs.md'), 'utf8'),
)!
const rows = table
  .trimEnd()
  .split('\n')
  .map((row) => row.split(' | '))

/** `file`: title, or `file` alone. */
const named = /^`([\w/.-]+)`(?:: (.+))?$/

test('every promise has a test, in a file that there is and under that title', (t) => {
  t.true(rows.length >= 15)
  for (const [promise = '', , tests = ''] of rows) {
    for (const each of tests.replace(/ \|$/, '').split('; ')) {
      const [, file = '', title] = named.exec(each) ?? []
      t.true(file !== '' && existsSync(join(root, file)), `${promise}: ${each}`)
      if (file === '' || title === undefined) continue
      const text = readFileSync(join(root, file), 'utf8')
      t.true(text.includes(title.trim()), `${file} has no test '${title}'`)
    }
  }
})
