// Two processes tell the story of programs/story.mjs to each other; this judges their accounts.

import { expected } from './programs/story.mjs'
import { leftBehind } from './shared-memory.mjs'
import { describe, run } from './process.mjs'

let count = 0

/** A name that no other smoke test has. */
export const newName = () => `smoke-${process.pid}-${++count}`

/**
 * @param {{ left: string[], right?: string[], worker?: boolean, terminated?: string[], cwd: string, env?: object, seconds?: number }} how
 *   `left` and `right` are commands; the role and a name are appended. The left one is killed in the end, or, in a
 *   worker, terminated.
 * @returns what they said of themselves
 */
export async function exchange({
  left,
  right = left,
  worker = false,
  terminated = ['end'],
  cwd,
  env,
  seconds = 60,
}) {
  const name = newName()
  const start = (command, role) => run([...command, role, name], { cwd, env, seconds })
  const [sent, received] = await Promise.all([start(left, 'left'), start(right, 'right')])
  const behind = leftBehind(name)
  const faults = [
    ...faultsOf(sent, received, worker ? terminated : undefined),
    ...(behind.length > 0 ? [`left in shared memory: ${behind.join(', ')}`] : []),
  ]
  if (faults.length > 0) {
    throw new Error(
      `${faults.join('; ')}\n  left: ${describe(sent)}\n  right: ${describe(received)}`,
    )
  }
  return [accountOf(sent), accountOf(received)]
}

/** `terminated`: how the end of a worker may be seen; undefined: the sender was killed. */
function faultsOf(sent, received, terminated) {
  const faults = []
  const leftEnds = terminated ? sent.code === 0 : sent.signal === 'SIGKILL' && !sent.timedOut
  if (!leftEnds) faults.push('the left side ended otherwise than it should')
  if (received.code !== 0) faults.push('the right side failed')
  if (faults.length > 0) return faults
  const [one, other] = [accountOf(sent), accountOf(received)]
  const wanted = { ...expected(), fingerprint: one.fingerprint }
  for (const [key, value] of Object.entries(wanted)) {
    if (one[key] !== value) faults.push(`left: ${key} is ${one[key]}, not ${value}`)
    if (other[key] !== value) faults.push(`right: ${key} is ${other[key]}, not ${value}`)
  }
  const endings = terminated ?? ['ERR_MILLRACE_PEER_GONE']
  if (!endings.includes(other.ending)) {
    faults.push(`the end was seen as ${other.ending}, not ${endings.join(' or ')}`)
  }
  return faults
}

/** The last line of what it printed. */
function accountOf({ stdout }) {
  try {
    return JSON.parse(stdout.trim().split('\n').at(-1) ?? '')
  } catch {
    return {}
  }
}
