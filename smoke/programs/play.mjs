// Tells one side of the story: `play(library, role, name)`. Accounts are lines of JSON on stdout.

import { writeSync } from 'node:fs'
import { isMainThread, parentPort, threadId } from 'node:worker_threads'
import { left, right } from './story.mjs'

/**
 * @param {import('./story.mjs').Library} library
 * @param {string | undefined} role
 * @param {string | undefined} name
 */
export async function play(library, role, name) {
  if (name === undefined) throw new Error('usage: left|right NAME')
  /** @param {object} account */
  const tell = (account) => {
    const runtime = process.versions['bun'] ?? process.versions['deno'] ?? process.versions.node
    const where = {
      runtime,
      arch: process.arch,
      thread: isMainThread ? 'main' : `worker ${threadId}`,
    }
    writeSync(1, `${JSON.stringify({ role, ...where, ...account })}\n`)
  }
  if (role === 'left') await left(library, name, tell, cutOff)
  else await right(library, name, tell)
}

/** A main thread is killed where it stands; a worker is terminated by its main thread. */
async function cutOff() {
  if (isMainThread) process.kill(process.pid, 'SIGKILL')
  else parentPort?.postMessage('farewell')
  await new Promise((resolve) => setTimeout(resolve, 30_000))
  throw new Error('still here')
}
