// What `millrace top` takes of a core while it stands on a terminal, with 1,000 queues that another process has open: processor time of its
// process, over so many seconds after the first two.
//
//   node out/bench/top.js [CHANNELS] [SECONDS]
//
// The terminal is one of util-linux's `script`.

import { fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import { loadavg } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

const [channels = '1000', seconds = '20'] = process.argv.slice(2)
const startedWithin = 2000
const ticksPerSecond = 100
const command = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))

const prefix = `bench-top-${String(process.pid)}`
const holder = fork(fileURLToPath(new URL('export.js', import.meta.url)), [channels, prefix])
await once(holder, 'message')
const inside = `stty rows 24 cols 80; exec '${process.execPath}' '${command}' top ${prefix}`
const terminal = spawn('script', ['--quiet', '--command', inside, '/dev/null'], {
  env: { ...process.env, TERM: 'xterm-256color' },
  stdio: ['pipe', 'pipe', 'inherit'],
})
let written = 0
terminal.stdout.on('data', (bytes: Buffer) => (written += bytes.length))
await sleep(startedWithin)
const pid = childOf(terminal.pid!)
const before = spentBy(pid)
const start = performance.now()
const writtenBefore = written
await sleep(Number(seconds) * 1000)
const spent = spentBy(pid) - before
const passed = (performance.now() - start) / 1000
console.table({
  channels: Number(channels),
  seconds: passed,
  'processor, seconds': spent,
  'of a core': spent / passed,
  'bytes written': written - writtenBefore,
  load: loadavg()[0],
})
terminal.stdin.write('q')
await once(terminal, 'close')
holder.send('end')
await once(holder, 'exit')

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
