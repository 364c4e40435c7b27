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

export const lifecycleTitle = `${Object.keys(wanted).length + 1} stories of waiting, ending and letting go`

/** @param {string[]} command that runs a module */
export async function tellLifecycles(command, { cwd, env, seconds, except = [] }) {
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
  faults.push(...(await tellOfFailure(command, { cwd, env, seconds })))
  if (faults.length > 0) throw new Error(faults.join('\n  '))
}

/** Who is ended by an exception is not taken for one that is done. What went wrong. */
async function tellOfFailure(command, { cwd, env, seconds }) {
  const name = newName()
  const play = (story) => run([...command, 'lifecycle.mjs', story, name], { cwd, env, seconds })
  const [fails, hears] = await Promise.all([play('failsAfterSending'), play('hearsOfFailure')])
  const faults = leftBehind(name).map((object) => `failure: left in shared memory: ${object}`)
  if (fails.code !== 1) faults.push(`failsAfterSending: ${describe(fails)}`)
  if (hears.code !== 0 || hears.stdout.trim() !== 'message ERR_MILLRACE_PEER_FAILED') {
    faults.push(`hearsOfFailure: ${describe(hears)}`)
  }
  return faults
}
