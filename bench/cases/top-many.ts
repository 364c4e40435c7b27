// What `millrace top` takes of a core while it stands on a terminal and another process has many queues open: nanoseconds of processor
// time in a second. The terminal is one of util-linux's `script`.

import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

import { hold } from '../side/held-queues.js'
import { checked, type Measured } from '../side/measured.js'
import type { Parameters } from '../side/parameters.js'

const startedWithin = 2000
const ticksPerSecond = 100
const command = fileURLToPath(new URL('../../../dist/cli/main.js', import.meta.url))

export async function lead(
  { name, check, count }: Parameters,
  holder: ChildProcess,
): Promise<Measured> {
  await once(holder, 'message')
  const inside = `stty rows 24 cols 80; exec '${process.execPath}' '${command}' top ${name}`
  const terminal = spawn('script', ['--quiet', '--command', inside, '/dev/null'], {
    env: { ...process.env, TERM: 'xterm-256color' },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  let drawn = 0
  terminal.stdout.on('data', (bytes: Buffer) => (drawn += bytes.length))
  await sleep(startedWithin)
  if (drawn === 0) throw new Error('top has drawn nothing')
  const pid = childOf(terminal.pid!)
  const before = spentBy(pid)
  const start = performance.now()
  await sleep(check ? 0 : count * 1000)
  const spent = spentBy(pid) - before
  const seconds = (performance.now() - start) / 1000
  terminal.stdin.write('q')
  await once(terminal, 'close')
  holder.send('end')
  return check ? checked : { p50: (spent / seconds) * 1e9, samples: 1 }
}

export const follow = hold

/** The process that runs in the terminal: the shell has become it. */
function childOf(parent: number): number {
  const found = readdirSync('/proc').find(
    (entry) => /^\d+$/.test(entry) && fieldsOf(entry)?.[1] === String(parent),
  )
  if (found === undefined) throw new Error('top has not started')
  return Number(found)
}

/** Seconds of processor time. */
function spentBy(process: number): number {
  const fields = fieldsOf(String(process))
  if (fields === undefined) throw new Error('top has ended')
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
}

/** Of /proc/PID/stat, from the state on. */
function fieldsOf(process: string): string[] | undefined {
  try {
    return readFileSync(`/proc/${process}/stat`, 'utf8').split(') ').at(-1)!.split(' ')
  } catch {
    return undefined
  }
}
