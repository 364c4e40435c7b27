// Fails if the C++ core executes more instructions than it did: for a message pushed and taken, for a frame published
// and received, for a job that is done, for a call that is answered. Counted under callgrind, so that it does not matter what else the machine does.
//
//   npm run check:instructions [-- --write]        judges by bench/instructions.json, or makes it anew
//
// Counts depend on compiler, C library and architecture. On others than the file was made with they are printed and not
// judged. Each is the difference of two runs, so starting and opening are not in it.
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { build, buildDirectory, configure, root } from './native-build.mjs'

const file = join(root, 'bench', 'instructions.json')
const variant = { name: 'bench', sanitize: '', tests: false }
const programs = {
  call: 'call_',
  beside_call: 'call_times_',
  measured_call: 'call_times_',
  job: 'work_',
  measured: 'work_',
  topic: 'topic_',
  measured_topic: 'topic_',
}
const targetOf = (what) => `millrace_bench_${programs[what] ?? ''}instructions`

const counted = [
  ['message of 64 B, pushed and taken', ['message', '64']],
  ['message of 1 KiB, pushed and taken', ['message', '1024']],
  ['frame, published and received', ['frame', '1']],
  ['frame, published and received by 4', ['frame', '4']],
  ['job of 64 B, pushed, taken and completed', ['job', '64']],
  ['job of 64 B, the same with `stats`', ['measured', '64']],
  ['call of 64 B, answered with as much', ['call', '64']],
  ['call of 1 KiB, answered with as much', ['call', '1024']],
  ['call of 64 B, beside one with `stats`', ['beside_call', '64']],
  ['call of 64 B, with `stats`', ['measured_call', '64']],
  ['message of topics of 64 B, published and read', ['topic', '64']],
  ['message of topics of 64 B, with `stats`', ['measured_topic', '64']],
]
/** Who asked that something be counted pays for it, by no more than the tolerance: judged on every machine. */
const asked = [
  ['job of 64 B, the same with `stats`', 'job of 64 B, pushed, taken and completed'],
  ['call of 64 B, with `stats`', 'call of 64 B, beside one with `stats`'],
  ['message of topics of 64 B, with `stats`', 'message of topics of 64 B, published and read'],
]
const times = [1000, 3000]

await configure(variant)
await build(variant, [...new Set(counted.map(([, [what]]) => targetOf(what)))])
const scratch = mkdtempSync(join(tmpdir(), 'millrace-instructions-'))
process.once('exit', () => rmSync(scratch, { recursive: true, force: true }))

const built = builtBy()
const now = Object.fromEntries(counted.map(([name, args]) => [name, instructions(args)]))

if (process.argv.includes('--write')) {
  const written = { built, tolerance: 0.02, counts: now }
  writeFileSync(file, `${JSON.stringify(written, null, 2)}\n`)
  console.log(now)
} else {
  judge(JSON.parse(readFileSync(file, 'utf8')))
}

function instructions(args) {
  const [fewer, more] = times.map((count) => total([...args, String(count)]))
  return Math.round(((more - fewer) / (times[1] - times[0])) * 10) / 10
}

function total(args) {
  const out = join(scratch, 'out')
  const program = join(buildDirectory(variant), targetOf(args[0]))
  const options = ['--tool=callgrind', `--callgrind-out-file=${out}`, '--quiet']
  execFileSync('valgrind', [...options, program, ...args], {
    stdio: ['ignore', 'ignore', 'inherit'],
    // The C library's plain memcpy, not the one for this kind of processor.
    env: {
      ...process.env,
      GLIBC_TUNABLES: 'glibc.cpu.hwcaps=-AVX,-AVX2,-AVX512F,-AVX512VL,-ERMS,-FSRM',
    },
  })
  return Number(/^summary: (\d+)/m.exec(readFileSync(out, 'utf8'))[1])
}

function judge({ built: then, tolerance, counts }) {
  const alike = then === built
  let worse = 0
  for (const [name, count] of Object.entries(now)) {
    const limit = counts[name] * (1 + tolerance)
    const holds = !alike || count <= limit
    if (!holds) worse++
    console.log(
      `${holds ? '      ' : 'WORSE '}${name.padEnd(40)}${String(count).padStart(8)}   (baseline ${counts[name]})`,
    )
    if (alike && count < counts[name] * (1 - tolerance)) {
      console.log('      fewer than before: npm run check:instructions -- --write')
    }
  }
  for (const [measured, plain] of asked) {
    const more = now[measured] / now[plain] - 1
    const holds = more <= tolerance
    if (!holds) worse++
    console.log(`${holds ? '      ' : 'WORSE '}${measured}: ${(more * 100).toFixed(1)} % more`)
  }
  if (!alike) console.log(`not judged: made with ${built}, the baseline with ${then}`)
  else console.log(worse === 0 ? 'all counts hold' : `${worse} counts do not hold`)
  if (worse > 0) process.exitCode = 1
}

function builtBy() {
  const cache = readFileSync(join(buildDirectory(variant), 'CMakeCache.txt'), 'utf8')
  const compiler = /^CMAKE_CXX_COMPILER:\w+=(.+)$/m.exec(cache)[1]
  const [version] = execFileSync(compiler, ['--version'], { encoding: 'utf8' }).split('\n')
  const libc = process.report.getReport().header.glibcVersionRuntime ?? 'another C library'
  return `${version}, glibc ${libc}, ${process.arch}`
}
