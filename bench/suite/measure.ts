// One measurement: a row's work in fresh processes, with a limit to its time.

import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

import type { Measured } from '../side/measured.js'
import type { Parameters } from '../side/parameters.js'
import { nodePath } from './node.js'
import { followerCore, pinned } from './pinning.js'
import { programPath } from './programs.js'
import type { CaseWork, Cores, ProgramWork, Row } from './row.js'
import { startServer } from './servers/servers.js'

export interface Times {
  readonly warmUp: number
  readonly settleWithin: number
  readonly stretch: number
  readonly check: boolean
}

const side = fileURLToPath(new URL('../side/main.js', import.meta.url))
const limitMs = 60_000
const checkedMessages = 1000
let measurements = 0

export async function measure({ work, cores }: Row, times: Times): Promise<Measured> {
  return 'case' in work ? await runCase(work, cores, times) : await runProgram(work, cores, times)
}

async function runProgram(
  { program, args, timed }: ProgramWork,
  cores: Cores,
  { warmUp, stretch }: Times,
): Promise<Measured> {
  const command = [...pinned(cores), programPath(program), ...args]
  if (timed) command.push(String(warmUp), String(stretch))
  const core = followerCore(cores)
  const { stdout } = await promisify(execFile)(command[0]!, command.slice(1), {
    timeout: limitMs,
    env: { ...process.env, ...(core === undefined ? {} : { FOLLOWER_CORE: String(core) }) },
  })
  const printed = JSON.parse(stdout) as Measured & { perMessage?: number }
  return printed.perMessage === undefined ? printed : { p50: printed.perMessage }
}

async function runCase(work: CaseWork, cores: Cores, times: Times): Promise<Measured> {
  if (work.server === undefined) return await runSides(work, cores, times)
  const server = await startServer(work.server)
  try {
    return await runSides(work, cores, times, { server: server.address })
  } finally {
    await server.stop()
  }
}

async function runSides(
  work: CaseWork,
  cores: Cores,
  times: Times,
  more: Partial<Parameters> = {},
): Promise<Measured> {
  const parameters: Parameters = {
    name: `bench.${String(process.pid)}.${String(measurements++)}`,
    bytes: 0,
    count: checkedMessages,
    ...work.parameters,
    ...times,
    ...more,
    ...(cores === 'one core' ? { followerCore: 0 } : {}),
    ...(cores === 'two cores' ? { threadCores: [0, 1] } : {}),
  }
  const prefix = cores === 'one core' ? pinned(cores) : []
  const command = [...prefix, nodePath(), side, work.case, 'lead']
  const leader = spawn(command[0]!, [...command.slice(1), JSON.stringify(parameters)], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  return await reported(leader, work.case, work.limit ?? limitMs)
}

/** What the leading process reports before it ends. If it does not end, it and its follower are ended. */
async function reported(leader: ChildProcess, name: string, within: number): Promise<Measured> {
  let measured: Measured | undefined
  let follower: number | undefined
  leader.on('message', (message: { measured?: Measured; follower?: number }) => {
    measured ??= message.measured
    follower ??= message.follower
  })
  const state = { late: false }
  const end = () => {
    leader.kill('SIGKILL')
    try {
      if (follower !== undefined) process.kill(follower, 'SIGKILL')
    } catch {
      // It has ended.
    }
  }
  const limit = setTimeout(() => {
    state.late = true
    end()
  }, within)
  const [code, signal] = (await once(leader, 'exit')) as [number | null, string | null]
  clearTimeout(limit)
  if (measured !== undefined && code === 0) return measured
  end()
  throw new Error(
    state.late
      ? `${name} did not end in ${String(within / 1000)} s`
      : `${name}: the measuring process ended with ${String(code ?? signal)}`,
  )
}
