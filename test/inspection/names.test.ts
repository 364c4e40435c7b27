// Classes are called what they are exported as, by import and by require: bundlers like to name them anew.

import { execFileSync } from 'node:child_process'
import { createRequire } from 'node:module'
import test from 'ava'

const require = createRequire(import.meta.url)
const entries = [
  'millrace',
  'millrace/dashboard',
  'millrace/resilience',
  'millrace/rpc',
  'millrace/streams',
  'millrace/sync',
  'millrace/telemetry',
  'millrace/struct',
  'millrace/topics',
  'millrace/work',
]
const loads: Readonly<Record<string, (entry: string) => unknown>> = {
  import: (entry) => import(entry),
  require,
}

interface Named {
  readonly name: string
  readonly prototype: { readonly constructor: { readonly name: string } }
}

for (const [way, load] of Object.entries(loads)) {
  test(`${way}: classes have the names they are exported by`, async (t) => {
    let classes = 0
    for (const entry of entries) {
      for (const [name, exported] of Object.entries((await load(entry)) as object)) {
        if (typeof exported !== 'function' || !/^class\b/.test(String(exported))) continue
        classes++
        const made = exported as unknown as Named
        t.is(made.name, name)
        t.is(made.prototype.constructor.name, name)
      }
    }
    t.true(classes > 20, 'it has looked at those of all entry points')
  })
}

test('stack traces have those names, too', (t) => {
  // Another process: this one has stack traces of the sources.
  const program = `
    const { SharedMemory } = require('millrace')
    try { SharedMemory.open('test-never-there') } catch (error) { console.log(error.stack) }`
  const stack = execFileSync(process.execPath, ['-e', program], { encoding: 'utf8' })
  t.regex(stack, /at SharedMemory\.open/)
})
