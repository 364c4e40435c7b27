// Processes of the smoke test: each has a time limit, is ended by its own pid, and never inherits what npm put into
// our own environment.

import { spawn } from 'node:child_process'

/** @typedef {{ code: number | null, signal: string | null, timedOut: boolean, stdout: string, stderr: string }} Ending */

const inherited = Object.fromEntries(
  Object.entries(process.env).filter(
    ([key]) => !/^npm_/i.test(key) && !['NODE_OPTIONS', 'PREBUILDS_ONLY'].includes(key),
  ),
)

/** Runs a command to its end. */
export function run([command, ...args], { cwd, env = {}, seconds = 60, npm = false } = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...(npm ? process.env : inherited), ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let timedOut = false
    const limit = setTimeout(() => {
      timedOut = true
      child.kill('SIGKILL')
    }, seconds * 1000)
    const said = { stdout: '', stderr: '' }
    for (const stream of ['stdout', 'stderr']) {
      child[stream].setEncoding('utf8').on('data', (text) => (said[stream] += text))
    }
    child.once('error', (error) => {
      clearTimeout(limit)
      reject(error)
    })
    child.once('close', (code, signal) => {
      clearTimeout(limit)
      resolve({ code, signal, timedOut, ...said })
    })
  })
}

/** Runs a command that has to succeed; returns what it printed. */
export async function succeed(command, options) {
  const ending = await run(command, options)
  if (ending.code === 0) return ending.stdout
  throw new Error(`${command.join(' ')}: ${describe(ending)}`)
}

/** How it ended, and the last that it said. */
export function describe({ code, signal, timedOut, stdout, stderr }) {
  const end = timedOut ? 'timed out' : (signal ?? `exit code ${code}`)
  return [end, ...`${stdout}\n${stderr}`.trim().split('\n').slice(-12)].join('\n    ')
}
