// Runs the suite several times and records what came out: bench/results.json, bench/baseline.json, charts, docs/benchmarks.md and
// the README's part. Prints for each ratio the median of the runs, which is what is judged.
//   npm run bench:record [-- --runs 3] [--full] [--node 22|24|PATH] [--out FOLDER [--only NAME]] [FILE…]
//
// Runs are quick ones, the first of every row, the others of those that ratios need; with --full, full ones. Only runs with the
// processors placed alike are taken together, so there may be more of them. With FILEs, nothing runs: these reports are taken.
// With --out, everything is written there, and nothing in the repository is touched: for a look, which may be at some rows only.

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

import { merged, prevailingOf, valuesOf } from './suite/merge.js'
import { root } from './suite/programs.js'
import type { Report } from './suite/row.js'
import { verdicts } from './suite/verdicts.js'

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    runs: { type: 'string', default: '3' },
    full: { type: 'boolean', default: false },
    node: { type: 'string' },
    out: { type: 'string' },
    only: { type: 'string' },
  },
})
const wanted = Number(options.runs)
if (!Number.isSafeInteger(wanted) || wanted < 1)
  throw new Error('--runs must be a number from 1 on')
if (options.only !== undefined && options.out === undefined) {
  throw new Error('what --only measures is no record: name a folder with --out')
}

interface Run {
  readonly file: string
  readonly report: Report
  /** Of every row. */
  readonly whole: boolean
}

const started = performance.now()
const cache = join(root, '.cache', 'bench')
const read = async (file: string) => JSON.parse(await readFile(file, 'utf8')) as Report
const runs: Run[] = []
const alike = () => {
  const placement = prevailingOf(runs.map(({ report }) => report))
  return runs.filter(({ report }) => report.placement === placement)
}

if (positionals.length > 0) {
  for (const file of positionals) runs.push({ file, report: await read(file), whole: true })
} else {
  await mkdir(cache, { recursive: true })
  // More than as many again, and the machine is not one to measure on.
  while (runs.length < 2 * wanted) {
    const have = alike()
    const whole = !have.some((run) => run.whole)
    if (have.length >= wanted && !whole) break
    runs.push(await oneMore(whole))
  }
}

const taken = alike()
const reports = taken.map(({ report }) => report)
const result = merged(reports)
const out = options.out === undefined ? undefined : resolve(options.out)
const resultFile = join(out ?? join(root, 'bench'), 'results.json')
await mkdir(join(resultFile, '..'), { recursive: true })
await writeFile(resultFile, `${JSON.stringify(result, null, 2)}\n`)
const reportPage = fileURLToPath(new URL('report/main.js', import.meta.url))
await command(reportPage, resultFile, ...(out === undefined ? [] : ['--only-charts', '--out', out]))
const baseline = join(root, 'bench', 'baseline.json')
if (out !== undefined) await copyFile(baseline, join(out, 'baseline.json'))
await command(
  join(root, 'scripts', 'check-ratios.mjs'),
  ...taken.map(({ file }) => file),
  '--write',
  ...(out === undefined ? [] : ['--baseline', join(out, 'baseline.json')]),
)

console.log(
  [
    `${String(taken.length)} runs with the processors placed '${result.placement}'` +
      (taken.length < runs.length
        ? `, ${String(runs.length - taken.length)} others left out`
        : '') +
      `; ${((performance.now() - started) / 60_000).toFixed(0)} min; ` +
      `Node ${result.versions['node'] ?? ''}, millrace ${result.versions['millrace'] ?? ''}`,
    '',
    ...verdicts(result, (name) => valuesOf(reports, name)),
  ].join('\n'),
)

/** Runs the suite. */
async function oneMore(whole: boolean): Promise<Run> {
  const number = String(runs.length + 1)
  const file = join(cache, `run-${number}.json`)
  console.log(`run ${number}${whole ? ', of every row' : ''}`)
  const how = options.full ? [] : ['--quick', ...(whole ? ['--all'] : [])]
  const node = options.node === undefined ? [] : ['--node', options.node]
  const only = options.only === undefined ? [] : ['--only', options.only]
  const suite = fileURLToPath(new URL('main.js', import.meta.url))
  await command(suite, '--json', file, ...how, ...node, ...only)
  return { file, report: await read(file), whole: whole || options.full }
}

async function command(script: string, ...args: readonly string[]): Promise<void> {
  const child = spawn(process.execPath, [script, ...args], { stdio: 'inherit' })
  const [code, signal] = (await once(child, 'exit')) as [number | null, string | null]
  if (code !== 0) throw new Error(`${script} ended with ${String(code ?? signal)}`)
}
