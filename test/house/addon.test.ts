// What the addon may not ask of the C++ library: the shipped binary brings a library along in which nothing throws.

import { readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import test from 'ava'

const require = createRequire(import.meta.url)
const { path: pathOf } = require('node-gyp-build') as { path: (folder: string) => string }

test('nothing in the addon is allocated by the aligned operator new', (t) => {
  const file = pathOf(dirname(fileURLToPath(new URL('../../../package.json', import.meta.url))))
  // _ZnwmSt11align_val_t and its like stand in the table of names that the addon asks for.
  t.false(
    readFileSync(file).includes('St11align_val_t'),
    'its version for what asks for more than 16 bytes of alignment throws, so that no binary could be linked',
  )
})
