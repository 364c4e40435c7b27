// Three processes and two work queues: what programs/work.mjs has to come to, whatever the runtime.

import { newName } from './exchange.mjs'
import { describe, run } from './process.mjs'
import { leftBehind } from './shared-memory.mjs'

const kept = {
  results: 193,
  whole: true,
  inOrder: true,
  first: '2', // of the one that was killed with it
  second: '2',
  duplicate: true,
  dead: { 'attempts: it cannot be done': 4, 'rejected: never': 4 },
  redriven: 4,
  purged: 8,
  left: 0,
  unlinked: true,
}
const worked = {
  attempts: { completes: 189, fails: 8, rejects: 8, 'fails once': 8 },
  closed: true,
}

export const workTitle = 'jobs: taken, completed, tried again, given up, handed on; a worker killed'

/**
 * @param {string[]} command that runs a module
 * @param {{ cwd: string, env?: object, seconds?: number, other?: string[] }} how `other`: runs the workers, if not the same
 */
export async function tellWork(command, { cwd, env, seconds, other = command }) {
  const name = newName()
  const play = (runtime, role) => run([...runtime, 'work.mjs', role, name], { cwd, env, seconds })
  const keeping = play(command, 'keeps')
  const dies = await play(other, 'dies')
  const works = await play(other, 'works')
  const keeps = await keeping
  const faults = leftBehind(name).map((object) => `left in shared memory: ${object}`)
  if (dies.signal !== 'SIGKILL' || dies.timedOut || accountOf(dies) !== '{"taken":"first"}') {
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
