// One of the two processes of a measurement. The leading one starts the following one, so that
// process.send between them is possible, too, and reports what it measured to the suite.
//   node side.js CASE lead|follow PARAMETERS(JSON)

import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

import type { Measured, Parameters } from './measured.js'

interface Case {
  readonly lead: (parameters: Parameters, follower: ChildProcess) => Promise<Measured>
  readonly follow: (parameters: Parameters) => Promise<void>
}

const [caseName = '', role = '', json = '{}'] = process.argv.slice(2)
const parameters = JSON.parse(json) as Parameters
const { lead, follow } = (await import(`./cases/${caseName}.js`)) as Case

if (role === 'follow') {
  await follow(parameters)
  if (process.connected) process.disconnect()
} else {
  const follower = fork(fileURLToPath(import.meta.url), [caseName, 'follow', json], {
    serialization: parameters.serialization ?? 'json',
  })
  const ended = once(follower, 'exit') as Promise<[number | null, string | null]>
  const measured = await lead(parameters, follower)
  const [code, signal] = await ended
  if (code !== 0) throw new Error(`the follower failed: ${String(code ?? signal)}`)
  process.send?.(measured)
  process.disconnect()
}
