// Fuzzes whatever reads shared memory, against peers that lie (docs/fuzzing.md).
//
//   node scripts/fuzz.mjs [--seconds N | --each N] [--only SURFACE]... [--jobs N] [--json FILE] [--minimise]
//
// --seconds is split among the surfaces (default 60), --each is for every one of them. Each begins with
// its committed corpus. What it finds interesting beyond that is kept below build-native/fuzz/ and used
// by the next run; --minimise brings the best of it into native/fuzz/corpus/. A finding ends its surface;
// the last line says how many there were, and the exit code is 1 if there were any.
import { spawn } from 'node:child_process'
import {
  createWriteStream,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { basename, join } from 'node:path'
import { performance } from 'node:perf_hooks'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { build, buildDirectory, configure, fuzzVariant, root } from './native-build.mjs'

const { values: options } = parseArgs({
  options: {
    seconds: { type: 'string', default: '60' },
    each: { type: 'string' },
    only: { type: 'string', multiple: true },
    jobs: { type: 'string', default: '1' },
    json: { type: 'string' },
    minimise: { type: 'boolean', default: false },
  },
})

const sources = join(root, 'native', 'fuzz')
const built = buildDirectory(fuzzVariant)
const native = readdirSync(sources)
  .filter((name) => name.endsWith('.cpp'))
  .map((name) => basename(name, '.cpp'))
/** Surfaces in JavaScript: programs that take the seconds they have and fail if they find something. */
const scripts = {
  struct: ['struct-story.js'],
  framing: ['framing-story.js'],
  live: ['live.js'],
  live_work: ['live.js', 'work'],
  live_pipeline: ['live.js', 'pipeline'],
  live_topics: ['live.js', 'topics'],
  live_rpc: ['live.js', 'rpc'],
}
const all = [...native, ...Object.keys(scripts)]

const chosen = options.only ?? all
for (const name of chosen) {
  if (!all.includes(name)) throw new Error(`unknown surface ${name}; choose from ${all.join(', ')}`)
}
const seconds = Math.max(
  1,
  options.each === undefined
    ? Math.round(Number(options.seconds) / chosen.length)
    : Number(options.each),
)
if (!Number.isFinite(seconds)) throw new Error('--seconds and --each take a number')

/** An input that takes longer is a hang: a handle may wait a second for a granter that does not come. */
const hangSeconds = 25

const sanitizers = {
  ASAN_OPTIONS: 'detect_leaks=1:handle_abort=1',
  UBSAN_OPTIONS: 'print_stacktrace=1',
}

const directoryOf = (kind, name) => {
  const path = join(built, kind, name)
  mkdirSync(path, { recursive: true })
  return path
}
const corpusOf = (name) => {
  const path = join(sources, 'corpus', name)
  mkdirSync(path, { recursive: true })
  return path
}

/** Runs a program with its output in a file; its exit code, or the signal that ended it. */
async function logged(command, args, log) {
  const output = createWriteStream(log)
  const child = spawn(command, args, {
    cwd: root,
    env: { ...process.env, ...sanitizers },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  child.stdout.pipe(output)
  child.stderr.pipe(output)
  const [code, signal] = await new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (...outcome) => resolve(outcome))
  })
  return signal ?? code
}

async function fuzz(name) {
  const log = join(directoryOf('logs', ''), `${name}.log`)
  const [program, ...rest] = scripts[name] ?? []
  const began = performance.now()
  const ending =
    program !== undefined
      ? await logged(
          process.execPath,
          ['--expose-gc', join(root, 'out', 'test', 'lies', program), String(seconds), ...rest],
          log,
        )
      : await logged(
          join(built, `millrace_fuzz_${name}`),
          [
            `-max_total_time=${seconds}`,
            `-timeout=${hangSeconds}`,
            '-rss_limit_mb=2048',
            '-max_len=4096',
            '-print_final_stats=1',
            `-artifact_prefix=${directoryOf('findings', name)}/`,
            directoryOf('corpus', name),
            corpusOf(name),
          ],
          log,
        )
  const text = readFileSync(log, 'utf8')
  const last = (pattern) => Number([...text.matchAll(pattern)].at(-1)?.[1] ?? 0)
  const result = {
    surface: name,
    seconds: Math.round((performance.now() - began) / 1000),
    runs: last(/stat::number_of_executed_units:\s*(\d+)/g),
    edges: last(/\bcov: (\d+)/g),
    found: ending !== 0,
  }
  const verdict = result.found ? `FOUND SOMETHING (${ending}), see ${log}` : 'nothing found'
  const figures = result.edges > 0 ? `${result.runs} runs, ${result.edges} edges, ` : ''
  console.log(`${name.padEnd(10)} ${result.seconds} s, ${figures}${verdict}`)
  if (result.found) console.log(text.split('\n').slice(-60).join('\n'))
  return result
}

/** The smallest set of inputs, new and committed, that reaches everything they all reach. */
async function minimise(name) {
  const merged = directoryOf('merged', name)
  rmSync(merged, { recursive: true })
  mkdirSync(merged)
  const log = join(directoryOf('logs', ''), `${name}-merge.log`)
  const from = [directoryOf('corpus', name), corpusOf(name)]
  const ending = await logged(
    join(built, `millrace_fuzz_${name}`),
    ['-merge=1', '-max_len=512', merged, ...from],
    log,
  )
  if (ending !== 0) throw new Error(`merging the corpus of ${name} failed (${ending}), see ${log}`)
  const corpus = corpusOf(name)
  rmSync(corpus, { recursive: true })
  mkdirSync(corpus)
  // Few files say nearly as much as many: long stories reach most.
  const kept = readdirSync(merged)
    .map((file) => ({ file, bytes: readFileSync(join(merged, file)) }))
    .sort((a, b) => b.bytes.length - a.bytes.length)
    .slice(0, 18)
  for (const { file, bytes } of kept) writeFileSync(join(corpus, file.slice(0, 12)), bytes)
  console.log(`${name.padEnd(10)} ${kept.length} inputs`)
}

if (chosen.some((name) => native.includes(name))) {
  await configure(fuzzVariant)
  await build(
    fuzzVariant,
    chosen.filter((name) => native.includes(name)).map((name) => `millrace_fuzz_${name}`),
  )
}

const waiting = [...chosen]
const results = []
await Promise.all(
  Array.from({ length: Math.max(1, Number(options.jobs)) }, async () => {
    for (let name; (name = waiting.shift()) !== undefined;) results.push(await fuzz(name))
  }),
)
if (options.minimise) {
  for (const name of chosen.filter((one) => native.includes(one))) await minimise(name)
}
if (options.json !== undefined) writeFileSync(options.json, JSON.stringify(results, null, 2) + '\n')
const found = results.filter((result) => result.found).length
console.log(`\n${results.length} surfaces, ${found} findings`)
process.exitCode = found > 0 ? 1 : 0
