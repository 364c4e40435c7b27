// Kills processes at random, thousands of them, on both sides of every kind of channel, and checks what the
// survivors see. docs/chaos.md says how to read the output.
//   npm run chaos [-- --kills N] [--seconds S] [--only KIND] [--seed N] [--json FILE]

import { writeFile } from 'node:fs/promises'
import { cpus, release } from 'node:os'

import type { Arena } from './arena.js'
import { CellArena } from './cell-arena.js'
import { FramesArena } from './frames-arena.js'
import { LockArena } from './lock-arena.js'
import { HandOverArena, MemoryArena } from './memory-arena.js'
import { NodeVictims } from './node-victims.js'
import { PipelineArena } from './pipeline-arena.js'
import { readPlan, UsageError, type Plan } from './plan.js'
import { BothArena, QueueArena } from './queue-arena.js'
import { RpcArena } from './rpc-arena.js'
import { Rubbish } from './rubbish.js'
import { Chaos, describe, Progress } from './run.js'
import { BarrierArena, CounterArena, EventArena, SemaphoreArena } from './sync-arena.js'
import type { KindReport } from './tally.js'
import { TopicsArena } from './topics-arena.js'
import { WorkArena } from './work-arena.js'

/** In the name of everything that this run makes. */
const tag = `chaos-${process.pid}`

const arenas: Readonly<Record<string, () => Arena>> = {
  queue: () => new QueueArena(tag),
  both: () => new BothArena(tag),
  frames: () => new FramesArena(tag),
  cell: () => new CellArena(tag),
  mutex: () => new LockArena(tag, 'mutex'),
  rwlock: () => new LockArena(tag, 'rwlock'),
  event: () => new EventArena(tag),
  barrier: () => new BarrierArena(tag),
  counter: () => new CounterArena(tag),
  semaphore: () => new SemaphoreArena(tag),
  memory: () => new MemoryArena(tag),
  handover: () => new HandOverArena(tag),
  work: () => new WorkArena(tag, 'work'),
  'work-lease': () => new WorkArena(tag, 'work-lease'),
  'work-file': () => new WorkArena(tag, 'work-file'),
  'work-disk': () => new WorkArena(tag, 'work-disk'),
  pipeline: () => new PipelineArena(tag),
  topics: () => new TopicsArena(tag),
  rpc: () => new RpcArena(tag),
}

async function run(plan: Plan): Promise<void> {
  const progress = new Progress()
  progress.print(`seed ${plan.seed}; waits are p50 / p99 / longest`)
  const begun = performance.now()
  const rubbish = new Rubbish(tag)
  const chaos = new Chaos(plan, progress)
  const reports: KindReport[] = []
  let kills = 0
  for (const [at, kind] of plan.only.entries()) {
    const share = Math.ceil((plan.kills - kills) / (plan.only.length - at))
    const report = await chaos.strikeAll(arenas[kind]!(), share)
    reports.push(report)
    kills += report.kills
    progress.print(line(report))
  }
  await chaos.end()
  const seconds = (performance.now() - begun) / 1000
  const left = [...(await rubbish.untilSwept(visit)), ...rubbish.objects()]
  const violations = reports.flatMap((report) => report.violations)
  if (left.length > 0) violations.push(`left in /dev/shm: ${left.join(', ')}`)
  progress.print(
    `${kills} kills in ${seconds.toFixed(1)} s; ${left.length} objects left; ` +
      `${violations.length} violations`,
  )
  for (const violation of violations) progress.print(`  ${violation}`)
  if (plan.json !== undefined) {
    const machine = { node: process.version, kernel: release(), cpus: cpus().length }
    const figures = { ...plan, kills, seconds, ...machine, kinds: reports, left, violations }
    await writeFile(plan.json, `${JSON.stringify(figures, undefined, 2)}\n`)
  }
  process.exitCode = violations.length > 0 ? 1 : 0
}

function line(report: KindReport): string {
  const { kind, kills, atCrashPoints, nodeVictims, pythonVictims, stops } = report
  const { sent, received, lost, waits } = report
  const more = Object.entries(report.figures).map(([name, value]) => `; ${name} ${value}`)
  return (
    `${kind.padEnd(9)} ${String(kills).padStart(5)} kills (${atCrashPoints} at crash points, ` +
    `${nodeVictims} Node, ${pythonVictims} Python), ${stops} stops; sent ${sent}, received ${received}, lost ${lost}; ` +
    `waits ${waits.p50} / ${waits.p99} / ${waits.max} ms${more.join('')}`
  )
}

/** Makes a doorbell, in a process of its own that leaves in good order. */
async function visit(): Promise<void> {
  await NodeVictims.visit(`${tag}-visit`)
}

async function main(): Promise<void> {
  // An orderly end removes what this process has made.
  process.once('SIGINT', () => process.exit(130))
  process.once('SIGTERM', () => process.exit(143))
  const plan = readPlan(Object.keys(arenas))
  if (plan === undefined) return
  await run(plan)
  // Where something went wrong, survivors may still wait.
  if (process.exitCode !== 0) process.exit()
}

main().catch((error: unknown) => {
  process.stderr.write(`${describe(error)}\n`)
  process.exit(error instanceof UsageError ? 2 : 1)
})
