// The benchmark suite.
//   npm run bench [-- --quick [--all]] [--only NAME] [--json FILE] [--repetitions N] [--node 22|24|PATH]

import { writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'

import { choose } from './suite/choice.js'
import { load, machine, versions } from './suite/machine.js'
import { useNode } from './suite/node.js'
import { installPeers } from './suite/peers.js'
import { printReport } from './suite/print.js'
import { buildPrograms } from './suite/programs.js'
import { buildLibrary, cannotRunPython } from './suite/python.js'
import { ratios } from './suite/ratio-definitions.js'
import { ratioOf, rowsOf, targetsOf, unavailableRatios } from './suite/ratios.js'
import type { Report } from './suite/row.js'
import { rows } from './suite/rows.js'
import { run, type Extent, type Kept } from './suite/run.js'
import { fateOf, summarise } from './suite/summary.js'

const { values: options } = parseArgs({
  options: {
    quick: { type: 'boolean', default: false },
    all: { type: 'boolean', default: false },
    only: { type: 'string' },
    json: { type: 'string' },
    repetitions: { type: 'string' },
    node: { type: 'string' },
  },
})

const minutes = 60_000
const full: Extent = {
  repetitions: 5,
  warmUp: 200,
  settleWithin: 2000,
  stretch: 600,
  within: 40 * minutes,
}
const quick: Extent = {
  repetitions: 3,
  warmUp: 150,
  settleWithin: 1000,
  stretch: 200,
  within: 4.5 * minutes,
}
/** As quick, but of every row. */
const quickOfAll: Extent = { ...quick, within: 12 * minutes }
const usual = !options.quick ? full : options.all ? quickOfAll : quick
const extent = { ...usual, repetitions: Number(options.repetitions ?? usual.repetitions) }

const known = new Set(rows.map(({ name }) => name))
const unknown = ratios.flatMap(rowsOf).filter((name) => !known.has(name))
if (unknown.length > 0)
  throw new Error(`ratios name rows that there are not: ${unknown.join('; ')}`)

const { only, quick: isQuick, all: isAll } = options
const { chosen, tooSlow } = choose(rows, ratios, { only, quick: isQuick, all: isAll })
if (chosen.length === 0) throw new Error(`no row and no ratio is called ${only ?? ''}`)

useNode(options.node)
installPeers()
await buildPrograms()
const needsPython = chosen.some(({ work }) => 'case' in work && work.python === true)
if (needsPython && cannotRunPython() === undefined) await buildLibrary()
const loadAtStart = load()
const started = performance.now()
const { placement, kept, skipped: notMeasured, dropped } = await run(chosen, extent)
const skipped = [...notMeasured, ...tooSlow]
const isOfKill = ({ row: { unit } }: Kept) => unit === 'kill'
const summaries = kept
  .filter((one) => !isOfKill(one))
  .map(({ row, byPass, checked }) => summarise(row, [...byPass.values()], checked))
const fates = kept.filter(isOfKill).map(({ row, byPass }) => fateOf(row, [...byPass.values()]))
const found = ratios.flatMap((definition) => ratioOf(definition, kept) ?? [])
const report: Report = {
  machine: { ...machine(), loadAtStart, loadAtEnd: load() },
  versions: versions(),
  method:
    `fresh processes for each measurement, warmed up until three slices of 50 ms agree (within ${String(extent.settleWithin)} ms, ` +
    `or it does not count), then ${String(extent.stretch)} ms; ${String(extent.repetitions)} repetitions, interleaved, all with ` +
    "the processors placed alike; medians and the range of the repetitions' p50; content checked byte by byte in a " +
    'pass of its own',
  repetitions: extent.repetitions,
  placement,
  rows: summaries,
  fates,
  ratios: Object.fromEntries(found.map(({ definition, value }) => [definition.name, value])),
  spreads: Object.fromEntries(found.map(({ definition, spread }) => [definition.name, spread])),
  targets: targetsOf(found.map(({ definition: { name }, value }) => [name, value])),
  skipped,
  unavailable: unavailableRatios(skipped),
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
console.log(`${report.method}; ${((performance.now() - started) / 1000).toFixed(0)} s`)
console.log(
  `processors placed '${placement}'; left out: ${String(dropped.moved)} measurements during which they were moved, ` +
    `${String(dropped.unsettled)} that had not settled\n`,
)
printReport(report)
if (options.json !== undefined) {
  await writeFile(options.json, `${JSON.stringify(report, null, 2)}\n`)
}
