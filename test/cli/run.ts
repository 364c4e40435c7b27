// Starting the compiled command (or an example) as a process of its own, ended by its own pid.

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync } from 'node:fs'
import { setTimeout as pause } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const root = new URL('../../../', import.meta.url)
export const command = fileURLToPath(new URL('dist/cli/main.js', root))
export const example = (path: string) => fileURLToPath(new URL(`out/examples/${path}.js`, root))

const deadlineMs = 100_000

export interface Ended {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly out: Buffer
  readonly err: string
}

export interface Running {
  readonly child: ChildProcess
  readonly ended: Promise<Ended>
}

/** Starts `node script args`; killed, and so failing its test, if it takes too long. */
export function start(
  script: string,
  args: readonly string[],
  input?: Buffer,
  environment?: NodeJS.ProcessEnv,
): Running {
  const child = spawn(process.execPath, [script, ...args], {
    env: { ...process.env, ...environment },
  })
  const out: Buffer[] = []
  const err: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk))
  // It may end without having read its input.
  child.stdin.on('error', () => undefined)
  if (input !== undefined) child.stdin.end(input)
  const watchdog = setTimeout(() => child.kill('SIGKILL'), deadlineMs)
  const ended = once(child, 'close').then(([code, signal]) => {
    clearTimeout(watchdog)
    return {
      code: code as number | null,
      signal: signal as NodeJS.Signals | null,
      out: Buffer.concat(out),
      err: Buffer.concat(err).toString(),
    }
  })
  return { child, ended }
}

/** Objects in shared memory whose names contain `part`. */
export function objects(part: string): string[] {
  return readdirSync('/dev/shm').filter((name) => name.includes(part))
}

/** Looks until `condition` holds. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const end = performance.now() + deadlineMs / 2
  while (!condition()) {
    if (performance.now() > end) throw new Error(`not within ${deadlineMs / 2} ms: ${what}`)
    await pause(5)
  }
}
