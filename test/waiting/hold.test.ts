// What keeps the event loop alive, in a process that has nothing open.

import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import test from 'ava'

const addon = fileURLToPath(new URL('../../../build/Release/millrace.node', import.meta.url))

/** What it prints: whether the loop was held until an unref'd timer came, which lets go of it. */
const program = `
const native = require(process.argv[1])
native.hold(true)
setTimeout(() => {
  native.hold(false)
  console.log('held')
}, 20).unref()
`

test('who holds the event loop keeps it alive before anything was opened, and not longer', (t) => {
  const { stdout, stderr, status } = spawnSync(process.execPath, ['-e', program, addon], {
    encoding: 'utf8',
    timeout: 30_000,
  })
  t.is(stderr, '')
  t.is(stdout, 'held\n')
  t.is(status, 0)
})
