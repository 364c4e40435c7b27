// What each story of programs/features.mjs has to come to, whatever the runtime: all are told by one process.

import { newName } from './exchange.mjs'
import { describe, run } from './process.mjs'
import { leftBehind } from './shared-memory.mjs'

const tick = (size) => `${size / 2} ${size} ${2n ** 63n + BigInt(size)} S${size}`

const wanted = {
  valuesInAQueue: `${tick(1)}, ${tick(2)}, ${tick(3)}, S4, ERR_MILLRACE_SCHEMA, ERR_MILLRACE_SCHEMA`,
  valuesInACell: `${tick(1)}, 7`,
  heldMessages: 'one, two, three, ERR_MILLRACE_RELEASED, three, four',
  packedBatches: '3 3 6: 3,0,5,2,2,2: abcdefgh!!!!!!',
  drainedInPlace: 'one two three',
  iteration: 'one two three true left',
  printed:
    "QueueConsumer { name: 'NAME', capacity: 4096, closed: false, peer: 'attached', peerPid: PID, nextLength: -1 }",
  json:
    '{"consumer":{"name":"NAME","capacity":4096,"closed":false,"peer":"attached","peerPid":PID,"nextLength":6},' +
    '"tick":{"price":0.5,"size":1,"at":"9223372036854775809","symbol":"S1"}}',
  errors: 'true MillraceError ERR_MILLRACE_TOO_LARGE [object Error]',
  framesAfterARestart: '1,2,3 true false 1 0',
  producerGivesUp: 'sent before, ERR_MILLRACE_PEER_FAILED, the source is broken, failed',
  writerGivesUp: 'ERR_MILLRACE_PEER_FAILED',
  begunAnew: '2 undefined',
  openCapacity: '8192 message 262144',
  reservation: 'in place undefined',
  streams: '139300 18526900 true true',
  brokenStreams: 'the source is broken, ERR_MILLRACE_PEER_FAILED',
  disposal: 'true true true',
}

export const featuresTitle = `values, held messages, packed batches, streams, failures, what is printed: ${Object.keys(wanted).length + 1} stories`

/**
 * @param {string[]} command that runs a module
 * @param {{ knowsUsing?: boolean, cwd: string, env?: object, seconds?: number }} how `knowsUsing`: is it in its syntax?
 */
export async function tellFeatures(command, { knowsUsing = false, cwd, env, seconds }) {
  const name = newName()
  const ending = await run([...command, 'features.mjs', name], { cwd, env, seconds })
  const lines = ending.stdout.trim().split('\n')
  if (ending.code !== 0) throw new Error(describe(ending))
  const account = JSON.parse(lines.at(-1))
  const expected = { ...wanted, using: knowsUsing ? 'true 0 true true true 1' : 'SyntaxError' }
  const faults = leftBehind(name).map((object) => `left in shared memory: ${object}`)
  for (const story of new Set([...Object.keys(expected), ...Object.keys(account)])) {
    if (account[story] === expected[story]) continue
    faults.push(`${story}: ${account[story]}\n    instead of ${expected[story]}`)
  }
  // Deno quotes otherwise, and each breaks lines where it likes.
  const shown = lines.slice(0, -1).join(' ').replaceAll(/\s+/g, ' ').replaceAll('"', "'")
  if (
    !shown.startsWith(`QueueConsumer { name: '${name}.printed', capacity: 4096, closed: false,`)
  ) {
    faults.push(`console.log showed ${shown}`)
  }
  if (faults.length > 0) throw new Error(faults.join('\n  '))
}
