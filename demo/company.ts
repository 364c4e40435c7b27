// Starts the processes of one run, and answers for them: whatever happens, all of them have ended when
// run() settles.

import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import type { Outcome, Report, Task } from './roles.js'

const actor = new URL('actor.js', import.meta.url)
const graceMs = 2000

export interface RunOptions {
  readonly signal: AbortSignal
  /** Milliseconds after which the run has failed. */
  readonly watchdogMs: number
  readonly onProgress: (bytes: number) => void
}

/** Runs all tasks at the same time, each in a process of its own; outcomes in their order. */
export async function run(tasks: readonly Task[], options: RunOptions): Promise<Outcome[]> {
  options.signal.throwIfAborted()
  const children = tasks.map((task) => fork(actor, [JSON.stringify(task)]))
  const watchdog = AbortSignal.timeout(options.watchdogMs)
  const stopped = AbortSignal.any([options.signal, watchdog])
  try {
    const outcomes = children.map((child, i) => outcomeOf(child, tasks[i]!.role, options))
    return await Promise.race([Promise.all(outcomes), rejection(stopped)])
  } catch (error) {
    if (error !== watchdog.reason) throw error
    throw new Error(`no result within ${options.watchdogMs / 1000} s`, { cause: error })
  } finally {
    await Promise.all(children.map(end))
  }
}

function outcomeOf(
  child: ChildProcess,
  role: string,
  { onProgress }: RunOptions,
): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const fail = (what: string) => {
      reject(new Error(`${role.replaceAll('-', ' ')} (pid ${child.pid ?? 0}): ${what}`))
    }
    child.on('message', (report: Report) => {
      if (report.type === 'progress') onProgress(report.bytes)
      else if (report.type === 'outcome') resolve(report.outcome)
      else fail(report.message)
    })
    child.on('error', (error) => {
      fail(error.message)
    })
    // After an outcome or an error, this changes nothing any more.
    child.on('exit', (code, signal) => {
      fail(`ended without a result (${signal ?? `exit code ${code ?? 0}`})`)
    })
  })
}

function rejection(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    const onAbort = () => {
      reject(signal.reason as Error)
    }
    if (signal.aborted) onAbort()
    else signal.addEventListener('abort', onAbort, { once: true })
  })
}

/** Asks the process to end, and makes it end if it does not. */
async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  const force = setTimeout(() => child.kill('SIGKILL'), graceMs)
  await exited
  clearTimeout(force)
}
