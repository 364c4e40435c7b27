// The soak: many processes do everything at once for minutes, and nothing may be lost and nothing may grow.
//   npm run soak -- [--minutes N] [--only LOAD[,LOAD]] [--json FILE]
//
// Every second each process is asked what it holds. From minute 2 on (in a short run: after the first third; when a load
// takes longer to settle: from then on) a line is drawn through the samples of each quantity; it must not rise faster than the threshold printed beside it.
// The exit code is 1 if something grows, if a count does not add up, or if anything is left in /dev/shm.

import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

import type { Counts } from './load.js'
import { loads } from './loads/all.js'
import { lookAt, objectsOfRun, type Sample } from './sample.js'
import type { Told } from './side.js'
import { trendOf, type Point, type Tolerance, type Trend } from './trend.js'

const { values: options } = parseArgs({
  options: {
    minutes: { type: 'string', default: '0.5' },
    only: { type: 'string' },
    json: { type: 'string' },
  },
})
const minutes = Number(options.minutes)
if (!(minutes > 0)) throw new Error(`--minutes must be a positive number, not ${options.minutes}`)
const chosen =
  options.only?.split(',') ?? Object.keys(loads).filter((name) => loads[name]!.alone !== true)
for (const name of chosen) {
  if (loads[name] === undefined) {
    throw new Error(`no load is called '${name}'; there are ${Object.keys(loads).join(', ')}`)
  }
}

/**
 * Heaps and allocators settle late, so memory may rise by some in all. The doorbells of the 16 peers rung last stay
 * open. What is counted in pieces may stand higher in one half than in the other while things are opened and
 * closed.
 */
const tolerances: Readonly<Record<keyof Sample, Tolerance>> = {
  rss: { inAll: 10, perMinute: 0.5 },
  heap: { inAll: 1.5, perMinute: 0.05 },
  external: { inAll: 1, perMinute: 0.1 },
  descriptors: { inAll: 17, perMinute: 0.2 },
  threads: { inAll: 2, perMinute: 0.1 },
  maps: { inAll: 80, perMinute: 2 },
}
const objectsTolerance: Tolerance = { inAll: 6, perMinute: 0.2 }

/** Minute from which on nothing may grow any more. */
const from = Math.max(
  Math.min(2, minutes / 3),
  ...chosen.map((name) => loads[name]!.settlesAfter ?? 0),
)

/**
 * V8 doubles its young generation, up to 16 MiB, at a moment of its own choice: one step of 13 MiB in the middle of a
 * short run, which is not what is looked for here. It has one size from the start.
 */
const ofOneSize = ['--min-semi-space-size=4', '--max-semi-space-size=4']

const run = String(process.pid)
const patienceMs = 60_000
const started = performance.now()
const minute = () => (performance.now() - started) / 60_000

interface Side {
  readonly name: string
  readonly child: ChildProcess
  readonly series: { readonly minute: number; readonly sample: Sample }[]
  counts?: Readonly<Record<string, Counts>>
}

const failures: string[] = []
const objects: Point[] = []

const sides = processesOf(chosen).map(startSide)
console.log(
  `${sides.length} processes, ${chosen.join(', ')}: ${minutes} min; memory in MiB, heaps after a collection\n`,
)
await watchFor(minutes)
await stopAll()
judgeCounts()
judgeLeftovers()
const trends = judgeTrends()
report(trends)
process.exitCode = failures.length > 0 ? 1 : 0

/** Each process that has a part in a load, once. */
function processesOf(names: readonly string[]): string[] {
  return [...new Set(names.flatMap((name) => Object.keys(loads[name]!.parts)))]
}

function startSide(name: string): Side {
  const parts = chosen.filter((load) => loads[load]!.parts[name] !== undefined)
  const child = fork(fileURLToPath(new URL('side.js', import.meta.url)), [name, run, ...parts], {
    execArgv: ['--expose-gc', ...ofOneSize],
  })
  const side: Side = { name, child, series: [] }
  child.on('message', (told: Told) => {
    if ('failed' in told) {
      failures.push(told.failed)
      child.kill('SIGKILL')
    } else if ('counts' in told) side.counts = told.counts
    else {
      try {
        side.series.push({ minute: minute(), sample: lookAt(child.pid!, told.heap) })
      } catch {
        // it has just ended
      }
    }
  })
  child.on('exit', (code, signal) => {
    if (code !== 0) failures.push(`process '${name}' ended with ${String(code ?? signal)}`)
  })
  return side
}

function running({ child }: Side): boolean {
  return child.exitCode === null && child.signalCode === null
}

/** Samples once a second; a line per process every ten. Ends early when a process failed. */
async function watchFor(length: number): Promise<void> {
  for (let second = 1; minute() < length && failures.length === 0; second++) {
    await new Promise((resolve) =>
      setTimeout(resolve, 1000 - ((performance.now() - started) % 1000)),
    )
    objects.push({ minute: minute(), value: objectsOfRun(run).length })
    for (const { child } of sides.filter(running)) child.send('sample')
    if (second % 10 === 0) for (const side of sides) printLine(side)
  }
}

function printLine({ name, series }: Side): void {
  const last = series.at(-1)
  if (last === undefined) return
  const { rss, heap, external, descriptors, threads, maps } = last.sample
  const seconds = Math.round(last.minute * 60)
  const clock = `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, '0')}`
  console.log(
    `${clock.padStart(6)}  ${name.padEnd(9)} rss ${rss.toFixed(1)}  heap ${heap.toFixed(2)}  external ` +
      `${external.toFixed(2)}  descriptors ${descriptors}  threads ${threads}  maps ${maps}`,
  )
}

async function stopAll(): Promise<void> {
  const timer = setTimeout(() => {
    for (const side of sides.filter(running)) {
      failures.push(`process '${side.name}' did not stop within ${patienceMs / 1000} s`)
      side.child.kill('SIGKILL')
    }
  }, patienceMs)
  await Promise.all(
    sides.filter(running).map(async ({ child }) => {
      const ended = once(child, 'exit')
      if (failures.length > 0) child.kill('SIGKILL')
      else child.send('stop')
      await ended
    }),
  )
  clearTimeout(timer)
}

function judgeCounts(): void {
  if (failures.length > 0) return // they name the cause
  for (const name of chosen) {
    const counts = Object.fromEntries(
      sides.flatMap((side) => {
        const own = side.counts?.[name]
        return own === undefined ? [] : [[side.name, own] as const]
      }),
    )
    const wrong = loads[name]!.judge?.(counts) ?? []
    failures.push(...wrong.map((what) => `${name}: ${what}`))
    for (const [side, own] of Object.entries(counts)) {
      const text = Object.entries(own).map(([what, count]) => `${what} ${count}`)
      console.log(`${name.padEnd(10)} ${side.padEnd(9)} ${text.join(', ')}`)
    }
  }
}

function judgeLeftovers(): void {
  const left = objectsOfRun(run)
  for (const object of left) rmSync(join('/dev/shm', object), { force: true })
  if (left.length > 0) failures.push(`left behind in /dev/shm: ${left.join(', ')}`)
}

function judgeTrends(): Record<string, Record<string, Trend>> {
  const result: Record<string, Record<string, Trend>> = {}
  const judge = (where: string, what: string, points: readonly Point[], tolerance: Tolerance) => {
    const trend = trendOf(
      points.filter((point) => point.minute >= from),
      tolerance,
    )
    ;(result[where] ??= {})[what] = trend
    if (trend.verdict === 'growing') {
      failures.push(`${where}: ${what} grows by ${trend.slopePerMinute.toFixed(2)} a minute`)
    }
  }
  for (const { name, series } of sides) {
    for (const [what, tolerance] of Object.entries(tolerances)) {
      const points = series.map(({ minute: at, sample }) => ({
        minute: at,
        value: sample[what as keyof Sample],
      }))
      judge(name, what, points, tolerance)
    }
  }
  judge('/dev/shm', 'objects', objects, objectsTolerance)
  return result
}

function report(all: Readonly<Record<string, Readonly<Record<string, Trend>>>>): void {
  console.log(`\nslope per minute from minute ${from.toFixed(1)} on (Theil–Sen), and the threshold`)
  for (const [where, trends] of Object.entries(all)) {
    for (const [what, trend] of Object.entries(trends)) {
      const { first, last, slopePerMinute, thresholdPerMinute, verdict } = trend
      console.log(
        `  ${where.padEnd(9)} ${what.padEnd(12)}${slopePerMinute.toFixed(3).padStart(9)} of ` +
          `${thresholdPerMinute.toFixed(2).padStart(6)}  ${verdict.padEnd(8)} ${first.toFixed(1)} → ${last.toFixed(1)}`,
      )
    }
  }
  console.log('')
  for (const failure of failures) console.log(`FAILED  ${failure}`)
  if (failures.length === 0) console.log('nothing lost, nothing left behind, nothing grows')
  if (options.json !== undefined) {
    const series = Object.fromEntries(sides.map((side) => [side.name, side.series]))
    const counts = Object.fromEntries(sides.map((side) => [side.name, side.counts]))
    const text = JSON.stringify({
      minutes,
      loads: chosen,
      failures,
      trends: all,
      counts,
      series,
      objects,
    })
    writeFileSync(options.json, `${text}\n`)
  }
}
