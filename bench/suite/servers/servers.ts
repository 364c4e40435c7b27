// Servers that rows need: each is started for one measurement and ended after it, by its process group, and its folder is
// removed. None outlives the suite by more than `longestMs`, however the suite ends.

import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { closeSync, openSync, readFileSync, rmSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

import {
  commands,
  firstLine,
  found,
  missingHeader,
  recipes,
  type Door,
  type Program,
  type ServerName,
} from './recipes.js'

export type { ServerName } from './recipes.js'

export interface Server {
  /** What a client is told. */
  readonly address: string
  stop(): Promise<void>
}

const startsWithinMs = 40_000
const longestMs = 300_000
const lookEveryMs = 20

/** Why a server cannot be started here; `undefined` if it can. */
export function cannotServe(name: ServerName): string | undefined {
  const commandless = [...commands[name], 'timeout'].find((command) => found(command) === undefined)
  const missing = commandless ?? missingHeader(name)
  return missing === undefined ? undefined : `there is no ${missing}`
}

/** Of those that can be started. */
export function serverVersions(): Record<string, string> {
  const of = (command: string, ...args: string[]) => {
    const { stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', timeout: 20_000 })
    return /\d+\.\d+\.\d+/.exec(`${stdout}${stderr}`)?.[0] ?? 'unknown'
  }
  const versions: Record<ServerName, () => string> = {
    redis: () => of(found('redis-server')!, '--version'),
    'redis-tcp': () => of(found('redis-server')!, '--version'),
    nats: () => of(found('nats-server')!, '--version'),
    kafka: () => of('pkg-config', '--modversion', 'rdkafka'),
    // Its own way to ask starts an Erlang machine for seconds; the folder of its code says it.
    rabbitmq: () => of('sh', '-c', 'ls -d /usr/lib/rabbitmq/lib/rabbitmq_server-*'),
  }
  return Object.fromEntries(
    (Object.keys(versions) as ServerName[])
      .filter((name) => cannotServe(name) === undefined)
      .map((name) => [`${name} (server)`, versions[name]()]),
  )
}

interface Running {
  readonly folder: string
  readonly processes: ChildProcess[]
}
const all = new Set<Running>()
let watched = false

export async function startServer(name: ServerName): Promise<Server> {
  endWithUs()
  const folder = await mkdtemp(join(tmpdir(), `millrace-bench-${name}-`))
  const running: Running = { folder, processes: [] }
  all.add(running)
  const stop = async () => {
    const exits = running.processes.map(exit)
    end(running)
    await Promise.all(exits)
    remove(running)
  }
  try {
    const { steps, address } = await recipes[name](folder)
    let said = ''
    for (const step of steps) said = await started(step, running)
    return { address: typeof address === 'string' ? address : address(said), stop }
  } catch (error) {
    await stop()
    throw error
  }
}

/** Starts a program, and waits until it accepts at its door. Its first line, if that is the door. */
async function started(step: Program & { door: Door }, running: Running): Promise<string> {
  const { command, args, env, door } = step
  const file = (kind: string) => join(running.folder, `${basename(command)}.${kind}`)
  const [said, log] = [file('said'), file('log')]
  const [out, errors] = [openSync(said, 'w'), openSync(log, 'w')]
  const limited = ['--signal=KILL', String(longestMs / 1000), found(command)!, ...args]
  const child = spawn('timeout', limited, {
    cwd: running.folder,
    env: { ...process.env, ...env },
    stdio: [door === firstLine ? 'pipe' : 'ignore', out, errors],
    detached: true,
  })
  closeSync(out)
  closeSync(errors)
  running.processes.push(child)
  const state = { failed: undefined as Error | undefined }
  child.once('error', (error) => (state.failed = error))
  const until = performance.now() + startsWithinMs
  const line = () => /^(.*)\n/.exec(readFileSync(said, 'utf8'))?.[1]
  while (door === firstLine ? line() === undefined : !(await accepts(door))) {
    if (state.failed !== undefined) throw state.failed
    const late = performance.now() > until
    if (late || child.exitCode !== null || child.signalCode !== null) {
      const last = [said, log]
        .map((one) => readFileSync(one, 'utf8'))
        .join('')
        .trim()
        .split('\n')
        .slice(-3)
        .join(' ')
      const what = late ? `was not ready in ${String(startsWithinMs / 1000)} s` : 'ended'
      throw new Error(`${command} ${what}: ${last}`)
    }
    await sleep(lookEveryMs)
  }
  return line() ?? ''
}

async function accepts(door: Door): Promise<boolean> {
  const socket =
    typeof door === 'string' ? createConnection(door) : createConnection(door, '127.0.0.1')
  return await new Promise((resolve) => {
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => {
      resolve(false)
    })
  })
}

async function exit(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  await new Promise((resolve) => child.once('exit', resolve))
}

/** What it wrote is of no use to anybody, so it is not asked to end in order. */
function end({ processes }: Running): void {
  for (const { pid } of [...processes].reverse()) {
    try {
      if (pid !== undefined) process.kill(-pid, 'SIGKILL')
    } catch {
      // It has ended.
    }
  }
}

function remove(running: Running): void {
  all.delete(running)
  // A process of the group may be writing its last.
  rmSync(running.folder, { recursive: true, force: true, maxRetries: 10, retryDelay: 50 })
}

function endWithUs(): void {
  if (watched) return
  watched = true
  process.once('exit', () => {
    for (const running of all) {
      end(running)
      remove(running)
    }
  })
  for (const [signal, number] of [
    ['SIGINT', 2],
    ['SIGTERM', 15],
  ] as const) {
    process.once(signal, () => process.exit(128 + number))
  }
}
