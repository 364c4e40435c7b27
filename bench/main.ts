// The benchmark suite.
//   npm run bench [-- --quick] [--only NAME] [--json FILE] [--repetitions N]

import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'

import { load, machine, versions } from './suite/machine.js'
import { installPeers } from './suite/peers.js'
import { printReport } from './suite/print.js'
import { buildPrograms } from './suite/programs.js'
import { isReached, ratios, reachOf, rowsOf, valueOf } from './suite/ratios.js'
import type { Report } from './suite/row.js'
import { rows } from './suite/rows.js'
import { run, type Extent } from './suite/run.js'

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    json: { type: 'string' },
    repetitions: { type: 'string' },
  },
})

const full: Extent = { repetitions: 5, warmUp: 200, stretch: 600 }
const quick: Extent = { repetitions: 3, warmUp: 120, stretch: 200 }
const usual = options.quick ? quick : full
const extent = { ...usual, repetitions: Number(options.repetitions ?? usual.repetitions) }

const known = new Set(rows.map(({ name }) => name))
const unknown = ratios.flatMap(rowsOf).filter((name) => !known.has(name))
if (unknown.length > 0)
  throw new Error(`ratios name rows that there are not: ${unknown.join('; ')}`)

const { only } = options
const forRatios = new Set(
  ratios.filter(({ name }) => only === undefined || name.includes(only)).flatMap(rowsOf),
)
const chosen = rows.filter(({ name }) => {
  if (only !== undefined) return name.includes(only) || forRatios.has(name)
  return !options.quick || forRatios.has(name)
})
if (chosen.length === 0) throw new Error(`no row and no ratio is called ${only ?? ''}`)

installPeers()
await buildPrograms()
const loadAtStart = load()
const started = performance.now()
const { summaries, skipped } = await run(chosen, extent)

const p50s = new Map(summaries.map(({ name, p50 }) => [name, p50]))
const found = ratios.flatMap((definition) => {
  const value = valueOf(definition, (name) => p50s.get(name))
  return value === undefined ? [] : [{ definition, value }]
})
const report: Report = {
  machine: { ...machine(), loadAtStart, loadAtEnd: load() },
  versions: versions(),
  method:
    `fresh processes for each measurement, ${String(extent.warmUp)} ms warm-up, then ${String(extent.stretch)} ms; ` +
    `${String(extent.repetitions)} repetitions, interleaved; medians and the range of the repetitions' p50; ` +
    'content checked byte by byte in a pass of its own',
  repetitions: extent.repetitions,
  rows: summaries,
  ratios: Object.fromEntries(found.map(({ definition, value }) => [definition.name, value])),
  targets: Object.fromEntries(
    found.flatMap(({ definition, value }) => {
      const reach = reachOf(definition)
      if (reach === undefined) return []
      const { name, means } = definition
      return [[name, { reach, reached: isReached(definition, value), means }]]
    }),
  ),
  skipped,
}
console.log(
  Object.entries(report.machine)
    .map(([key, value]) => `${key}: ${String(value)}`)
    .join(' · '),
)
console.log(
  Object.entries(report.versions)
    .map(([key, value]) => `${key} ${value}`)
    .join(' · '),
)
console.log(`${report.method}; ${((performance.now() - started) / 1000).toFixed(0)} s\n`)
printReport(report)
if (options.json !== undefined) {
  await writeFile(options.json, `${JSON.stringify(report, null, 2)}\n`)
}
