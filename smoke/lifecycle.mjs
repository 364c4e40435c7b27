// How a process waits, ends and lets go under each runtime: programs/lifecycle.mjs, one process for each story.

import { newName } from './exchange.mjs'
import { describe, run } from './process.mjs'
import { leftBehind } from './shared-memory.mjs'

const wanted = {
  openEnds: 'open',
  unreferencedEnds: 'waiting',
  exitWhileWaiting: 'waiting',
  uncaughtError: '',
  timeout: 'ERR_MILLRACE_TIMEOUT',
  abort: 'ERR_MILLRACE_ABORTED',
  otherSideCloses: 'undefined',
  closedViewsAreEmpty: '0 undefined',
  closedFramesAreEmpty: '64 0',
  mapsAreReleased: '0',
  blockingCalls: 'message ERR_MILLRACE_TIMEOUT',
  semaphore: 'true',
  event: 'set',
  barrier: '1',
  readersAndWriter: 'written',
  cellChanges: 'new',
  namelessSegment: 'handed over',
  mappedFile: '5',
}
// macOS has neither /proc nor nameless memory.
const onLinux = ['mapsAreReleased', 'namelessSegment']
const codes = { exitWhileWaiting: 3, uncaughtError: 1 }

/** Ways to end with an exit code other than 0. */
const ends = ['uncaughtException', 'unhandledRejection', 'exit', 'exitCode']

export const lifecycleTitle = `${Object.keys(wanted).length + ends.length + 1} stories of waiting, ending and letting go`

/**
 * @param {string[]} command that runs a module
 * @param {{ cwd: string, env?: object, seconds?: number, except?: string[], exits?: object }} how `exits`: what the other
 *   side hears of an end, where that is not as in Node
 */
export async function tellLifecycles(command, { cwd, env, seconds, except = [], exits = {} }) {
  const faults = []
  for (const [story, said] of Object.entries(wanted)) {
    if (process.platform !== 'linux' && onLinux.includes(story)) continue
    if (except.includes(story)) continue
    const name = newName()
    const ending = await run([...command, 'lifecycle.mjs', story, name], { cwd, env, seconds })
    const behind = leftBehind(name)
    if (ending.stdout.trim() !== said || ending.code !== (codes[story] ?? 0)) {
      faults.push(`${story}: ${describe(ending)}`)
    }
    if (behind.length > 0) faults.push(`${story}: left in shared memory: ${behind.join(', ')}`)
  }
  const options = { cwd, env, seconds }
  for (const end of ends) {
    const heard = exits[end] ?? 'ERR_MILLRACE_PEER_FAILED'
    faults.push(...(await tellOfFailure(command, end, heard, options)))
  }
  faults.push(...(await tellOfWork(command, options)))
  if (faults.length > 0) throw new Error(faults.join('\n  '))
}

/** Who is ended by an error is not taken for one that is done. What went wrong. */
async function tellOfFailure(command, end, heard, options) {
  const name = newName()
  const env = { ...options.env, END: end }
  const play = (story) => run([...command, 'lifecycle.mjs', story, name], { ...options, env })
  const [fails, hears] = await Promise.all([play('failsAfterSending'), play('hearsOfFailure')])
  const faults = leftBehind(name).map((object) => `${end}: left in shared memory: ${object}`)
  if (fails.code !== 1) faults.push(`${end}: ${describe(fails)}`)
  if (hears.code !== 0 || hears.stdout.trim() !== `message ${heard}`) {
    faults.push(`hearsOfFailure (${end}): ${describe(hears)}`)
  }
  return faults
}

/** A message that was held by a process which is killed comes again. What went wrong. */
async function tellOfWork(command, options) {
  const name = newName()
  const play = (story) => run([...command, 'lifecycle.mjs', story, name], options)
  const [killed, works] = await Promise.all([play('isKilledAtWork'), play('worksAfterIt')])
  const faults = leftBehind(name).map((object) => `work: left in shared memory: ${object}`)
  if (killed.signal !== 'SIGKILL' || killed.timedOut) {
    faults.push(`isKilledAtWork: ${describe(killed)}`)
  }
  if (works.code !== 0 || works.stdout.trim() !== 'a job') {
    faults.push(`worksAfterIt: ${describe(works)}`)
  }
  return faults
}
