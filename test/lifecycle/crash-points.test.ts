// Crash points are for tests: what ships has none.

import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import test from 'ava'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const core = join(root, 'native/include/millrace')

test('promise: death – the addon that ships has no crash point in it', (t) => {
  const names = readdirSync(core, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.hpp'))
    .flatMap((file) => [
      ...readFileSync(join(core, file), 'utf8').matchAll(/MILLRACE_CRASH_POINT\("([^"]+)"\)/g),
    ])
    .map(([, name]) => name!)
  t.true(names.length > 100)
  const addon = readFileSync(join(root, 'build/Release/millrace.node'))
  for (const name of [...names, 'millrace5crash']) t.false(addon.includes(name), name)
})
