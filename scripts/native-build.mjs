// Configures and builds CMakeLists.txt through cmake-js, which supplies the Node-API headers from its
// own dependency (package.json declares binary.napi_versions, so it downloads nothing).
import { spawn } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'

export const root = fileURLToPath(new URL('..', import.meta.url))
export const jobs = availableParallelism()

const cmakeJs = join(root, 'node_modules', 'cmake-js', 'bin', 'cmake-js')

/** Variants of the native build: name (also the directory under build-native/) and sanitizers. */
export const variants = [
  { name: 'plain', sanitize: '' },
  { name: 'asan-ubsan', sanitize: 'address,undefined' },
  { name: 'tsan', sanitize: 'thread' },
]

/** The fuzzed surfaces of native/fuzz/; they bring their sanitizers themselves. */
export const fuzzVariant = { name: 'fuzz', sanitize: '', tests: false, fuzz: true }

/** The storm of native/storm/. */
export const stormVariant = { name: 'storm', sanitize: '', tests: false }

export const buildDirectory = (variant) => join(root, 'build-native', variant.name)

/** Runs a command with inherited output; rejects unless it exits with 0. */
export async function run(command, args, env = {}) {
  const child = spawn(command, args, {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'inherit', 'inherit'],
  })
  const [code, signal] = await new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (...outcome) => resolve(outcome))
  })
  if (code !== 0) throw new Error(`${command} ${args.join(' ')}: ${signal ?? `exit code ${code}`}`)
}

/** Writes the build system and compile_commands.json of a variant. */
export const configure = (variant) => cmake(variant, 'configure')

/** Compiles a variant that has been configured: all of it, or these targets. */
export const build = (variant, targets = []) =>
  run('cmake', [
    ...['--build', buildDirectory(variant), '--parallel', String(jobs)],
    ...targets.flatMap((target) => ['--target', target]),
  ])

function cmake(variant, command) {
  return run(process.execPath, [
    cmakeJs,
    command,
    '--log-level',
    'warn',
    '--out',
    buildDirectory(variant),
    '--config',
    'RelWithDebInfo', // -O2 -g
    `--CDMILLRACE_SANITIZE=${variant.sanitize}`,
    `--CDMILLRACE_TESTS=${variant.tests === false ? 'OFF' : 'ON'}`,
    ...(variant.fuzz ? ['--CDMILLRACE_FUZZ=ON', '--CDCMAKE_CXX_COMPILER=clang++'] : []),
  ])
}
