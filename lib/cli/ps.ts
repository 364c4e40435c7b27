// `millrace ps [PREFIX]`: which process holds what.

import { readFileSync } from 'node:fs'

import { list } from '../index.js'
import { formatColumns } from './columns.js'
import { nameHere } from './here.js'
import { written } from './output.js'
import { screenColumns } from './screen.js'
import { onePrefix, parseCommand } from './usage.js'

interface Held {
  readonly kind: string
  readonly name: string
  readonly role: string
}

interface Process {
  readonly pid: number
  /** Left out where it cannot be told: it is dead, or the system does not say. */
  readonly command?: string
  readonly state: 'alive' | 'dead'
  readonly channels: readonly Held[]
}

export async function ps(args: readonly string[]): Promise<void> {
  const parsed = parseCommand('ps', args, [], ['json'])
  if (parsed === undefined) return
  const processes = processesOf(nameHere('ps', onePrefix(parsed.positionals)))
  if (parsed.values.json === true) await written(`${JSON.stringify(processes, undefined, 2)}\n`)
  else await written(processes.length === 0 ? 'nobody there\n' : table(processes))
}

/** The kernel says who is alive, role by role; a process that lives holds what it holds, and may have left something behind before. */
function processesOf(prefix: string): Process[] {
  const found = new Map<string, { pid: number; alive: boolean; channels: Held[] }>()
  for (const { kind, name, holders } of list({ prefix })) {
    // The bells of those that are shown anyway.
    if (kind === 'doorbell') continue
    for (const { role, pid, alive } of holders) {
      if (pid === undefined) continue
      const key = `${String(pid)} ${String(alive)}`
      const one = found.get(key) ?? { pid, alive, channels: [] }
      if (
        !one.channels.some((held) => held.kind === kind && held.name === name && held.role === role)
      )
        one.channels.push({ kind, name, role })
      found.set(key, one)
    }
  }
  return [...found.values()]
    .sort((a, b) => a.pid - b.pid || Number(b.alive) - Number(a.alive))
    .map(({ pid, alive, channels }) => {
      const command = alive ? commandOf(pid) : undefined
      return {
        pid,
        ...(command === undefined ? {} : { command }),
        state: alive ? 'alive' : 'dead',
        channels,
      }
    })
}

/** As Linux shows it, of a process that this user may see. */
function commandOf(pid: number): string | undefined {
  try {
    const text = readFileSync(`/proc/${String(pid)}/cmdline`, 'utf8')
    return text.replaceAll('\0', ' ').trim() || undefined
  } catch {
    return undefined
  }
}

const heading = ['PID', 'STATE', 'ROLE', 'KIND', 'CHANNEL', 'COMMAND']

/** A line for each channel; the process stands before the first of its own. */
function table(processes: readonly Process[]): string {
  const rows = processes.flatMap(({ pid, state, command, channels }) =>
    channels.map(({ role, kind, name }, at) => [
      at === 0 ? String(pid) : '',
      at === 0 ? state : '',
      role,
      kind,
      name,
      at === 0 ? (command ?? '-') : '',
    ]),
  )
  const columns = screenColumns()
  return formatColumns([heading, ...rows], [0])
    .split('\n')
    .map((line) => (line.length <= columns ? line : `${line.slice(0, columns - 1)}…`))
    .join('\n')
}
