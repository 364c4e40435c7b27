// Checks the models of model/ with Spin: every reachable state of each, within its bounds. A correct model has to
// pass, a broken one has to fail for the reason that is stated for it. model/README.md says what is modelled.
//
// Usage: node scripts/model.mjs [--deep] [--trail] [part of MODEL/VARIANT ...]
//   --deep    the larger bounds, too: minutes, and gigabytes of memory
//   --trail   prints the shortest way to what went wrong, for what went wrong unexpectedly
//
// What is to be run stands in the head of each model:
//   run NAME FLAGS                              has to pass
//   deep NAME FLAGS                             likewise, with --deep only
//   broken NAME  REASON | what is broken | FLAGS    has to fail with REASON in the checker's message
import { execFile } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { performance } from 'node:perf_hooks'
import process from 'node:process'
import { parseArgs, promisify } from 'node:util'

import { root } from './native-build.mjs'

const execute = promisify(execFile)
const models = join(root, 'model')
const depth = 1_000_000
/** Clang compiles a verifier in half of GCC's time. */
let compiler = 'gcc'
const mebibytes = { run: 2000, deep: 12_000, broken: 2000 }

const { values: options, positionals: wanted } = parseArgs({
  allowPositionals: true,
  options: { deep: { type: 'boolean' }, trail: { type: 'boolean' } },
})

/** What the heads of the models say, in their order. */
function plan() {
  const files = readdirSync(models).filter((file) => file.endsWith('.pml'))
  return files.sort().flatMap((file) => {
    const [head] = readFileSync(join(models, file), 'utf8').split('*/')
    return head.split('\n').flatMap((line) => {
      const [, kind, name, rest] = /^ \* (run|deep|broken) (\S+)\s*(.*)$/.exec(line) ?? []
      if (kind === undefined) return []
      const check = { kind, file, model: file.replace('.pml', ''), name }
      if (kind !== 'broken') return [{ ...check, expected: 'pass', flags: words(rest) }]
      const [reason, , flags = ''] = rest.split('|').map((part) => part.trim())
      return [{ ...check, expected: reason, flags: [`-D${name}`, ...words(flags)] }]
    })
  })
}

function words(text) {
  return text.split(/\s+/).filter((word) => word !== '')
}

async function exists(command, question) {
  try {
    await execute(command, [question])
    return true
  } catch (error) {
    if (error.code === 'ENOENT') return false
    throw error
  }
}

/** Runs one check: what was found, and how much was looked at for it. */
async function run({ kind, file, flags, expected }) {
  const directory = mkdtempSync(join(tmpdir(), 'millrace-model-'))
  const began = performance.now()
  try {
    const within = { cwd: directory, maxBuffer: 2 ** 26 }
    await execute('spin', ['-a', ...flags, join(models, file)], within)
    // What is found soon is not worth the time that optimising the verifier takes.
    const how = kind === 'deep' ? ['-O2', '-DCOLLAPSE'] : ['-O0']
    const build = [...how, '-w', '-DSAFETY', `-DMEMLIM=${mebibytes[kind]}`, '-o', 'pan', 'pan.c']
    await execute(compiler, build, within)
    const { stdout } = await execute(
      './pan',
      [`-m${depth}`, `-w${kind === 'deep' ? 26 : 20}`],
      within,
    )
    const verdict = judge(stdout)
    const trail =
      options.trail && verdict !== 'pass' && !verdict.includes(expected)
        ? (await execute('spin', ['-t', '-p', '-g', ...flags, join(models, file)], within)).stdout
        : ''
    return { ...counts(stdout), verdict, trail, seconds: (performance.now() - began) / 1000 }
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

/** 'pass', or the checker's message. */
function judge(output) {
  const complaint = /^pan:\d+: (.*?)(?: \(at depth \d+\))?$/m.exec(output)?.[1]
  if (complaint !== undefined) return complaint
  if (/max search depth too small/.test(output)) return 'search depth too small'
  if (!/^State-vector .* errors: 0$/m.test(output) || /^Warning:/m.test(output)) {
    return 'search not completed'
  }
  return 'pass'
}

function counts(output) {
  const [, steps] = /depth reached (\d+)/.exec(output) ?? []
  const [, states] = /^\s*(\S+) states, stored/m.exec(output) ?? []
  return { depth: Number(steps), states: Number(states) }
}

function passes({ kind, expected }, verdict) {
  return kind === 'broken' ? verdict.includes(expected) : verdict === 'pass'
}

function row(cells) {
  const widths = [6, 24, 12, 8, 7, 18]
  return cells
    .map((cell, i) => (i >= 2 && i <= 4 ? cell.padStart(widths[i]) : cell.padEnd(widths[i] ?? 0)))
    .join('  ')
}

function report(check, { verdict, states, depth: steps, seconds, trail }) {
  const got = passes(check, verdict) ? 'as expected' : `NOT EXPECTED: ${verdict}`
  const numbers = [states.toLocaleString('en'), String(steps), `${seconds.toFixed(1)} s`]
  console.log(row([check.model, check.name, ...numbers, check.expected, got]))
  if (trail !== '') console.log(trail)
}

async function main() {
  if (!(await exists('spin', '-V'))) {
    console.error('spin is missing; on Debian and Ubuntu: apt-get install spin')
    return 1
  }
  compiler = process.env.CC ?? ((await exists('clang', '--version')) ? 'clang' : 'gcc')
  const checks = plan()
    .filter(({ kind }) => options.deep || kind !== 'deep')
    .filter(
      ({ model, name }) =>
        wanted.length === 0 || wanted.some((part) => `${model}/${name}`.includes(part)),
    )
  if (checks.length === 0) {
    console.error(`no model has a variant like ${wanted.join(', ')}`)
    return 1
  }
  console.log(row(['model', 'variant', 'states', 'depth', 'time', 'expected', 'got']))
  let unexpected = 0
  const queue = [...checks]
  const worker = async () => {
    for (let check = queue.shift(); check !== undefined; check = queue.shift()) {
      const found = await run(check)
      if (!passes(check, found.verdict)) unexpected++
      report(check, found)
    }
  }
  // The deep ones need the memory for themselves.
  const workers = options.deep ? 1 : availableParallelism()
  await Promise.all(Array.from({ length: workers }, worker))
  console.log(`\n${checks.length - unexpected} as expected, ${unexpected} not`)
  return unexpected === 0 ? 0 : 1
}

process.exitCode = await main()
