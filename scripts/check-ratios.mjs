// Fails if a benchmark has become slower, compared with what was measured beside it.
//
//   npm run bench -- --quick --json FILE
//   npm run check:ratios -- FILE [FILE…]         judges their medians by bench/baseline.json
//   npm run check:ratios -- FILE [FILE…] --write makes the medians of these runs the baseline; npm run bench:record does so
//
// The baseline is of one placement of the processors (see bench/suite/placement.ts), and judges reports of that one only: with
// several files, those that are of it.
//
// Ratios of two programs on one machine are alike on different machines; speeds are not. They are not exactly alike,
// and a shared runner is a bad place to measure: a ratio may be worse than the baseline by the factor that stands there
// as its tolerance. So this finds what broke, not what slipped.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { root } from './tarball.mjs'

const { values: options, positionals: files } = parseArgs({
  allowPositionals: true,
  options: { write: { type: 'boolean', default: false }, baseline: { type: 'string' } },
})
if (files.length === 0) throw new Error('name a file that npm run bench -- --json wrote')

const baselineFile = options.baseline ?? join(root, 'bench', 'baseline.json')
const baseline = JSON.parse(readFileSync(baselineFile, 'utf8'))
const all = files.map((file) => JSON.parse(readFileSync(file, 'utf8')))
const placement = options.write ? all[0].placement : baseline.placement
const alike = all.filter((report) => report.placement === placement)
const reports = alike.map(({ ratios }) => ratios)
/** What a ratio that the baseline does not know yet gets: what breaks is worse by more, what slips by less. */
const usualTolerance = 3

if (reports.length === 0) {
  // Not a failure of the code: the machine at hand is another one.
  console.log(
    `nothing is judged: the baseline is of processors placed '${placement}', the reports are of '${all.map((report) => report.placement).join("', '")}'`,
  )
} else if (options.write) write()
else judge(medians())

function medians() {
  const names = new Set(reports.flatMap((ratios) => Object.keys(ratios)))
  return Object.fromEntries([...names].map((name) => [name, median(name)]))
}

function median(name) {
  const values = reports.flatMap((ratios) => ratios[name] ?? []).sort((a, b) => a - b)
  return values[Math.floor(values.length / 2)]
}

function write() {
  for (const [name, entry] of Object.entries(baseline.ratios)) {
    const value = median(name)
    // A difference of nearly nothing may come out below it, and no tolerance would help.
    if (value !== undefined) entry.ratio = Math.max(value, 0.001)
  }
  for (const [name, { reach }] of alike.flatMap(({ targets }) => Object.entries(targets))) {
    const better = reach.startsWith('≥') ? 'higher' : 'lower'
    baseline.ratios[name] ??= {
      ratio: Math.max(median(name), 0.001),
      better,
      tolerance: usualTolerance,
    }
  }
  baseline.placement = placement
  writeFileSync(baselineFile, `${JSON.stringify(baseline, null, 2)}\n`)
}

function judge(measured) {
  let worse = 0
  const unavailable = Object.assign({}, ...alike.map((report) => report.unavailable))
  for (const [name, { ratio, better, tolerance }] of Object.entries(baseline.ratios)) {
    const now = measured[name]
    if (now === undefined && unavailable[name] !== undefined) {
      console.log(`      ${name.padEnd(28)} not to be had here: ${unavailable[name]}`)
      continue
    }
    const limit = better === 'higher' ? ratio / tolerance : ratio * tolerance
    const holds = better === 'higher' ? now >= limit : now <= limit
    if (!holds) worse++
    const bound = `${better === 'higher' ? 'at least' : 'at most'} ${limit.toPrecision(3)}`
    console.log(
      `${holds ? '      ' : 'WORSE '}${name.padEnd(28)}${String(now ?? 'not measured').padStart(13)}   ${bound.padEnd(16)} (baseline ${ratio})`,
    )
  }
  const count = Object.keys(baseline.ratios).filter(
    (name) => name in measured || !(name in unavailable),
  ).length
  console.log(`${count - worse} of ${count} ratios hold`)
  if (worse > 0) process.exitCode = 1
}
