// One of the two processes of a measurement. The leading one starts the following one, so that
// process.send between them is possible, too, and reports what it measured to the suite.
//   node side/main.js CASE lead|follow PARAMETERS(JSON)

import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

import type { Measured } from './measured.js'
import type { Parameters } from './parameters.js'
import { pinThread } from './pin-thread.js'

interface Case {
  /** Left out by what only further processes of a case run (crew.ts). */
  readonly lead?: (parameters: Parameters, follower: ChildProcess) => Promise<Measured>
  /** Left out by cases that need no second process, or start their own. */
  readonly follow?: (parameters: Parameters) => Promise<void>
}

const [caseName = '', role = '', json = '{}'] = process.argv.slice(2)
const parameters = JSON.parse(json) as Parameters
const { lead, follow } = (await import(`../cases/${caseName}.js`)) as Case

const { threadCores } = parameters
if (threadCores !== undefined) pinThread(threadCores[role === 'follow' ? 1 : 0])

if (role === 'follow') {
  // A follower must not outlive a leader that was ended.
  process.once('disconnect', () => process.exit())
  await follow?.(parameters)
  process.exit()
}

let follower: ChildProcess | undefined
let ended: Promise<unknown> | undefined
if (follow !== undefined) {
  const { followerCore } = parameters
  const started = fork(fileURLToPath(import.meta.url), [caseName, 'follow', json], {
    serialization: parameters.serialization ?? 'json',
    ...(followerCore === undefined
      ? {}
      : { execPath: 'taskset', execArgv: ['-c', String(followerCore), process.execPath] }),
  })
  started.once('exit', (code, signal) => {
    if (code === 0) return
    console.error(`${caseName}: the follower ended with ${String(code ?? signal)}`)
    process.exit(1)
  })
  process.send?.({ follower: started.pid })
  ended = once(started, 'exit')
  follower = started
}
if (lead === undefined) throw new Error(`${caseName} leads nothing`)
const measured = await lead(parameters, follower!)
await ended
process.send?.({ measured }, () => process.exit())
