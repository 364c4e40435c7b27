// C++ programs for tests, compiled against the core's headers once per content: a native peer starts in
// a millisecond, so a test can afford to kill a thousand of them.

import { execFile, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { access, mkdir, readdir, readFile, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { ExecutionContext } from 'ava'

import { Run } from './process.js'

const root = fileURLToPath(new URL('../../../', import.meta.url))
const include = join(root, 'native/include')
const programs = join(root, 'build-native/cxx')
const compiler = process.env['CXX'] ?? 'c++'

/** What the addon is held to, and that no exception or run-time type is needed. */
const defaultFlags = [
  ...['-std=c++20', '-O2', '-Wall', '-Wextra', '-Werror', '-fno-exceptions', '-fno-rtti'],
  ...['-pthread', '-D_FILE_OFFSET_BITS=64'],
]
const libraries = process.platform === 'linux' ? ['-lrt', '-ldl'] : []

const compiled = new Map<string, Promise<string>>()

/**
 * Compiles one C++ file, named from the repository's root, and returns the path of the program. `flags`
 * come after `-std=c++20 -O2 -Wall -Wextra -Werror -fno-exceptions -fno-rtti -pthread`.
 *
 * The program stays in build-native/cxx/ under a hash of all that it was made of, so nothing is compiled
 * twice, and several test files may ask for the same one at the same time.
 */
export function compileCxx(source: string, flags: readonly string[] = []): Promise<string> {
  const key = JSON.stringify([source, flags])
  const known = compiled.get(key) ?? compile(source, flags)
  compiled.set(key, known)
  return known
}

/** `const victim = await runCxx(t, 'test/sync/fixtures/victim.cpp', [name])`: compiled if it must be. */
export async function runCxx(
  t: ExecutionContext,
  source: string,
  args: readonly string[] = [],
): Promise<Run> {
  return runProgram(t, await compileCxx(source), args)
}

/** Starts an executable that is ended, by its own pid, with the test. */
export function runProgram(
  t: ExecutionContext,
  program: string,
  args: readonly string[] = [],
): Run {
  const running = new Run(spawn(program, args, { stdio: 'pipe' }))
  t.teardown(() => running.end())
  return running
}

/** Runs a build tool to its end; returns what it wrote to stdout, or fails with all that it wrote. */
export async function tool(
  command: string,
  args: readonly string[],
  cure: string,
): Promise<string> {
  try {
    return (await promisify(execFile)(command, args, { maxBuffer: 2 ** 26 })).stdout
  } catch (error) {
    const { code, stdout, stderr } = error as { code?: unknown; stdout?: string; stderr?: string }
    if (code === 'ENOENT') {
      throw new Error(`this test needs '${command}': ${cure}`, { cause: error })
    }
    const said = stdout || stderr ? `${stdout ?? ''}${stderr ?? ''}` : String(error)
    throw new Error(`${[command, ...args].join(' ')}\n${said}`, { cause: error })
  }
}

async function compile(source: string, flags: readonly string[]): Promise<string> {
  const options = [...defaultFlags, ...flags]
  const version = await tool(compiler, ['--version'], 'install g++ or clang, or set CXX')
  const program = join(
    programs,
    `${basename(source, '.cpp')}-${await hash(source, options, version)}`,
  )
  if (await exists(program)) return program
  await mkdir(programs, { recursive: true })
  // Under a name of our own until it is whole: others look for it, too.
  const unfinished = `${program}.${process.pid}`
  try {
    const files = [join(root, source), '-o', unfinished]
    await tool(compiler, [...options, '-I', include, ...files, ...libraries], '')
    await rename(unfinished, program)
  } finally {
    await rm(unfinished, { force: true })
  }
  return program
}

/** Of the source, the headers beside it, the core, and what compiles them. */
async function hash(source: string, options: readonly string[], version: string): Promise<string> {
  const beside = dirname(join(root, source))
  const headers = (await readdir(beside)).filter((file) => file.endsWith('.hpp'))
  const core = (await readdir(include, { recursive: true })).filter((file) => file.endsWith('.hpp'))
  const files = [
    join(root, source),
    ...headers.sort().map((file) => join(beside, file)),
    ...core.sort().map((file) => join(include, file)),
  ]
  const sum = createHash('sha256').update(JSON.stringify([compiler, version, options]))
  for (const file of files) sum.update(`\0${file}\0`).update(await readFile(file))
  return sum.digest('hex').slice(0, 16)
}

async function exists(path: string): Promise<boolean> {
  return await access(path).then(
    () => true,
    () => false,
  )
}
