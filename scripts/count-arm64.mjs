// Prints how many instructions a message takes on arm64, on a machine that is none: the C++ core, and the ring of
// JavaScript. An emulator runs the program, and a plugin of it (native/arm64/count.c) counts; times mean nothing there. Nothing is
// judged: `npm run check:instructions` does that, for the processor at hand.
//
//   npm run count:arm64 [-- --node 20|22|24]
//
// Needs Debian's qemu-user and g++-aarch64-linux-gnu (emulator, compiler, C library), and takes Node for arm64 from npm. With
// each figure stands that of x64, counted in the same way, of the same sources by the same kind of compiler.
import { execFileSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { root } from './native-build.mjs'

const { values } = parseArgs({ options: { node: { type: 'string', default: '20' } } })

/** What differs. `mark`: the number of the system call umask. */
const machines = [
  {
    name: 'arm64',
    emulator: ['qemu-aarch64', '-L', '/usr/aarch64-linux-gnu'],
    compiler: 'aarch64-linux-gnu-g++',
    mark: 166,
  },
  { name: 'x64', emulator: ['qemu-x86_64'], compiler: 'g++', mark: 95 },
]
const core = [
  ['C++ core: 64 B pushed and taken', ['message', '64']],
  ['C++ core: 1 KiB pushed and taken', ['message', '1024']],
  ['C++ core: frame to one reader', ['frame', '1']],
]
const script = [
  ['JavaScript: 64 B, tryPush and tryPopInto', ['single', '64']],
  ['JavaScript: 64 B, tryPushBatch and drainRaw, 64 each', ['batch', '64']],
  ['JavaScript: 64 B, tryPushPacked and tryPopPacked, 64 each', ['packed', '64']],
]
const coreTimes = [1000, 3000]
const [messages, stretches] = [12_800, 20]

const scratch = mkdtempSync(join(tmpdir(), 'millrace-arm64-'))
process.once('exit', () => rmSync(scratch, { recursive: true, force: true }))
const run = (command, args) =>
  execFileSync(command, args, { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] })

const plugin = join(scratch, 'libcount.so')
run('cc', [
  ...['-O2', '-Wall', '-Wextra', '-Werror', '-shared', '-fPIC', '-fvisibility=hidden'],
  ...['native/arm64/count.c', '-o', plugin],
])
run('npm', ['run', 'build:ts'])
run('npm', ['run', 'build:test'])

const figures = {}
for (const machine of machines) {
  for (const [what, count] of counts(machine)) (figures[what] ??= {})[machine.name] = count
}
console.log(`instructions a message, Node ${values.node}`)
for (const [what, { arm64, x64 }] of Object.entries(figures)) {
  console.log(
    `${what.padEnd(60)} arm64 ${String(arm64).padStart(7)}   x64 ${String(x64).padStart(7)}`,
  )
}

function* counts(machine) {
  const program = join(scratch, `core-${machine.name}`)
  const common = ['-std=c++20', '-O2', '-DNDEBUG', '-pthread', '-D_FILE_OFFSET_BITS=64']
  const include = ['-Inative/include']
  run(machine.compiler, [
    ...common,
    ...include,
    ...['native/bench/instructions.cpp', '-o', program, '-lrt', '-ldl'],
  ])
  for (const [what, args] of core) {
    const [fewer, more] = coreTimes.map((times) =>
      counted(machine, [program, ...args, String(times)]).at(-1),
    )
    yield [what, rounded((more - fewer) / (coreTimes[1] - coreTimes[0]))]
  }

  const folder = packageFor(machine, [...common, ...include])
  const node = nodeFor(machine)
  for (const [what, [how, bytes]] of script) {
    const lines = counted(machine, [
      ...[node, join(folder, 'instructions.cjs')],
      ...[how, bytes, String(messages), String(stretches)],
    ])
    yield [what, rounded(middle(stretchesOf(lines)) / messages)]
  }
}

/** process.umask() makes the call twice; a stretch lies between the second and the first of the next. */
function stretchesOf(lines) {
  const found = []
  for (let i = 1; i + 1 < 2 * (stretches + 1); i += 2) found.push(lines[i + 1] - lines[i])
  return found
}

/** All counts that the plugin wrote. */
function counted({ emulator: [command, ...options], mark }, args) {
  const out = join(scratch, 'counts')
  run(command, [...options, '-plugin', `${plugin},out=${out},mark=${mark}`, ...args])
  return readFileSync(out, 'utf8').trim().split('\n').map(Number)
}

/** The package as it would be installed there, with an addon for that machine. */
function packageFor({ name, compiler }, flags) {
  const folder = join(scratch, `package-${name}`)
  mkdirSync(join(folder, 'build', 'Release'), { recursive: true })
  cpSync(join(root, 'package.json'), join(folder, 'package.json'))
  cpSync(join(root, 'dist'), join(folder, 'dist'), { recursive: true })
  cpSync(
    join(root, 'out', 'bench', 'programs', 'instructions.cjs'),
    join(folder, 'instructions.cjs'),
  )
  run(compiler, [
    ...[...flags, '-shared', '-fPIC', '-fvisibility=hidden', '-fno-exceptions', '-fno-rtti'],
    ...['-DNAPI_VERSION=8', '-DNODE_GYP_MODULE_NAME=millrace', '-DBUILDING_NODE_EXTENSION'],
    '-DNODE_ADDON_API_DISABLE_CPP_EXCEPTIONS',
    '-DNODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS',
    ...['-isystem', 'node_modules/node-api-headers/include'],
    ...['-isystem', 'node_modules/node-addon-api'],
    ...[
      'native/addon.cpp',
      '-o',
      join(folder, 'build', 'Release', 'millrace.node'),
      '-ldl',
      '-lrt',
    ],
  ])
  return folder
}

function nodeFor({ name }) {
  const packageName = `node-linux-${name}`
  const folder = join(root, '.cache', `${packageName}-${values.node}`)
  const executable = join(folder, 'node_modules', packageName, 'bin', 'node')
  if (!existsSync(executable)) {
    run('npm', [
      ...['install', '--force', '--no-save', '--no-audit', '--no-fund', '--prefix', folder],
      `${packageName}@${values.node}`,
    ])
  }
  return executable
}

function middle(list) {
  return [...list].sort((a, b) => a - b)[list.length >> 1]
}

function rounded(value) {
  return Math.round(value * 10) / 10
}
