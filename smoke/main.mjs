// npm run smoke [-- --only NAME …] [--list] [--keep]
//
// Packs the package, installs it without scripts, and has it used under every runtime, bundler and compiler of
// smoke/package.json: really run, with what arrived compared with what was sent. docs/smoke.md says more.

import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { cases, notExecuted } from './cases.mjs'
import { Registry } from './registry.mjs'
import { missing } from './requirements.mjs'
import { deadDoorbells, removeDoorbells } from './shared-memory.mjs'
import { pack } from '../scripts/pack.mjs'
import { publishOthers } from './silence.mjs'
import { host, installInto, installRuntimes, root } from './site.mjs'

const { values } = parseArgs({
  options: {
    only: { type: 'string', multiple: true },
    list: { type: 'boolean' },
    keep: { type: 'boolean' },
  },
})

const chosen = cases.filter(({ name, host: own = 'any', extra = false }) => {
  if (values.only) return values.only.some((only) => name === only || name.startsWith(`${only}/`))
  return !extra && (own === 'any' || own === host)
})
if (values.list) {
  for (const { name, what } of cases) console.log(`${name.padEnd(24)} ${what}`)
  process.exit(0)
}
if (chosen.length === 0) fail(`no case is called ${values.only}; --list names them`)

const lacking = missing(chosen.flatMap(({ needs = [] }) => needs))
if (lacking.length > 0) {
  fail(
    `these Debian packages are missing: ${lacking.join(' ')}\n` +
      `  sudo apt-get install --no-install-recommends ${lacking.join(' ')}\n` +
      'or choose cases that do without, with --only NAME (--list names them)',
  )
}
const unbuilt = chosen
  .map(({ binary }) => binary)
  .filter((file) => file !== undefined && !existsSync(join(root, 'prebuilds', file)))
if (unbuilt.length > 0) {
  fail(
    `there is no ${[...new Set(unbuilt)].join(', ')} in prebuilds/; make it with npm run prebuild`,
  )
}
if (!existsSync(join(root, 'dist/index.js')))
  fail('there is no dist/; make it with npm run build:ts')

const scratch = mkdtempSync(join(tmpdir(), 'millrace-smoke-'))
process.once('exit', () => {
  if (values.keep) console.log(`kept: ${scratch}`)
  else rmSync(scratch, { recursive: true, force: true })
})
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))
const doorbells = deadDoorbells()

if (chosen.some(({ own = false }) => !own)) await installRuntimes()
// The cases that were chosen say which binaries they need; that was looked at above.
const tarball = pack(root, scratch, { incomplete: true })
const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
console.log(
  `millrace ${version}: ${tarball.entryCount} files, ${kilobytes(tarball.size)} packed, ` +
    `${kilobytes(tarball.unpackedSize)} unpacked; installing with --ignore-scripts`,
)
const app = join(scratch, 'app')
const registry = await Registry.start(join(scratch, 'registry'))
const dependencies = ['node-addon-api', 'node-gyp-build'].map((name) =>
  join(root, 'node_modules', name),
)
for (const what of [...dependencies, tarball.file]) await registry.publish(what)
await publishOthers(registry, scratch)
await installInto(app, registry)

const rows = []
for (const { name, run, ...rest } of chosen) {
  const started = performance.now()
  let row
  try {
    const { runtime, platform, result } = await run({ app, scratch, registry })
    row = { runtime, platform, result: result ?? rest.what, passed: true }
  } catch (error) {
    row = { runtime: name.split('/')[0], platform: '', result: error.message, passed: false }
  }
  rows.push({ name, ...row, seconds: (performance.now() - started) / 1000 })
  console.log(`${row.passed ? 'ok    ' : 'FAILED'} ${name}${row.passed ? '' : `\n  ${row.result}`}`)
}
removeDoorbells(doorbells)
registry.close()

print(rows)
for (const [what, why] of Object.entries(notExecuted(chosen))) {
  console.log(`not executed: ${what}: ${why}`)
}
const failed = rows.filter(({ passed }) => !passed).length
console.log(`\n${rows.length - failed} passed, ${failed} failed`)
process.exitCode = failed > 0 ? 1 : 0

function print(table) {
  const head = {
    runtime: 'runtime',
    platform: 'platform',
    result: 'what was run',
    verdict: 'result',
  }
  const lines = [
    head,
    ...table.map(({ runtime, platform, result, passed, name, seconds }) => ({
      runtime,
      platform,
      result: passed ? result : name,
      verdict: `${passed ? 'passed' : 'FAILED'} (${seconds.toFixed(1)} s)`,
    })),
  ]
  const width = (key) => Math.max(...lines.map((line) => line[key].length))
  console.log()
  for (const line of lines) {
    const cells = ['runtime', 'platform', 'result'].map((key) => line[key].padEnd(width(key)))
    console.log(`| ${cells.join(' | ')} | ${line.verdict.padEnd(width('verdict'))} |`)
    if (line === head) {
      console.log(
        `|${Object.keys(head)
          .map((key) => '-'.repeat(width(key) + 2))
          .join('|')}|`,
      )
    }
  }
  console.log()
}

function kilobytes(bytes) {
  return `${Math.round(bytes / 1000)} kB`
}

function fail(message) {
  console.error(`smoke: ${message}`)
  process.exit(1)
}
