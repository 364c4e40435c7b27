// Topics, calls and streams between three processes: what programs/messages.mjs has to come to, whatever the runtime.

import { newName } from './exchange.mjs'
import { describe, run } from './process.mjs'
import { leftBehind } from './shared-memory.mjs'

const kept = {
  whole: true,
  counted: 0,
  missed: true,
  jobs: 30,
  gone: 'ERR_MILLRACE_PEER_GONE unknown',
  deaths: 1,
}
const worked = {
  status: 'up',
  added: true,
  failed: 'RangeError: no',
  ticks: 100,
  sum: 6,
  chat: 'A,B',
  jobs: 30,
}

export const messagesTitle = 'topics, calls and streams; a subscriber and server killed'

/**
 * @param {string[]} command that runs a module
 * @param {{ cwd: string, env?: object, seconds?: number, other?: string[] }} how `other`: runs the others, if not the same
 */
export async function tellMessages(command, { cwd, env, seconds, other = command }) {
  const name = newName()
  const play = (runtime, role) =>
    run([...runtime, 'messages.mjs', role, name], { cwd, env, seconds })
  const keeping = play(command, 'keeps')
  const dies = await play(other, 'dies')
  const works = await play(other, 'works')
  const keeps = await keeping
  const faults = leftBehind(name).map((object) => `left in shared memory: ${object}`)
  if (dies.signal !== 'SIGKILL' || dies.timedOut || accountOf(dies) !== '{"hangs":"on"}') {
    faults.push(`dies: ${describe(dies)}`)
  }
  if (works.code !== 0 || accountOf(works) !== JSON.stringify(worked)) {
    faults.push(`works: ${describe(works)}`)
  }
  if (keeps.code !== 0 || accountOf(keeps) !== JSON.stringify(kept)) {
    faults.push(`keeps: ${describe(keeps)}`)
  }
  if (faults.length > 0) throw new Error(faults.join('\n  '))
}

const accountOf = ({ stdout }) => stdout.trim().split('\n').at(-1)
