// docs/errors.md has a section for every code, and for no other.

import { readFileSync } from 'node:fs'
import test from 'ava'
import { errorCodes } from 'millrace'

test('every error code is documented, and nothing else', (t) => {
  const page = readFileSync(new URL('../../../docs/errors.md', import.meta.url), 'utf8')
  const documented = [...page.matchAll(/^### `(ERR_MILLRACE_\w+)`$/gm)].map(([, code]) => code)
  t.deepEqual(documented.toSorted(), [...errorCodes].toSorted())
})
