// `millrace build`: compiles the addon of the installed package, for machines that it brings no binary for. Nothing here
// needs the addon.

import { spawn, spawnSync } from 'node:child_process'
import {
  accessSync,
  constants,
  copyFileSync,
  existsSync,
  mkdirSync,
  realpathSync,
  renameSync,
  rmSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { delimiter, dirname, join, resolve } from 'node:path'
import { parseCommand, UsageError } from './usage.js'

const root = resolve(import.meta.dirname, '../..')
const source = join(root, 'native')
/** Where the loader looks first. */
const target = join(root, 'build/Release/millrace.node')

const { CXX } = process.env
const compilers = CXX === undefined ? ['g++', 'c++', 'clang++'] : [CXX]

export async function build(args: readonly string[], signal: AbortSignal): Promise<void> {
  const parsed = parseCommand('build', args, [])
  if (parsed === undefined) return
  const [extra] = parsed.positionals
  if (extra !== undefined) throw new UsageError(`unexpected argument '${extra}'`)
  assertWritable()
  const compiler = compilers.find((command) => succeeds(command, ['--version']))
  const missing = missingTools(compiler)
  if (missing.length > 0) throw new Error(needs(missing))
  const nodeGyp = findNodeGyp()

  process.stderr.write(`compiling for ${process.platform}-${process.arch}: about a minute ...\n`)
  try {
    await compile(nodeGyp, compiler, signal)
    install()
  } finally {
    rmSync(join(source, 'build'), { recursive: true, force: true })
  }
  process.stdout.write(`${target}\n`)
}

function assertWritable(): void {
  if (!existsSync(join(source, 'binding.gyp')))
    throw new Error(`'${source}' has no binding.gyp: install millrace again`)
  try {
    accessSync(root, constants.W_OK)
    accessSync(source, constants.W_OK)
  } catch (cause) {
    throw new Error(
      `the package's folder '${root}' is not writable: build as its owner, and before node_modules becomes part of a ` +
        'read-only image',
      { cause },
    )
  }
}

/** What compiling takes beside node-gyp, by what is said to whom has not got it. */
function missingTools(compiler: string | undefined): string[] {
  const missing: string[] = []
  if (compiler === undefined)
    missing.push(`a C++ compiler (${compilers.join(', ')}; CXX names another)`)
  else if (!knowsCxx20(compiler))
    missing.push(
      `a newer C++ compiler than '${compiler}', which has no C++20 (GCC 11, Clang 14, Xcode 14; CXX names another)`,
    )
  if (!succeeds(process.env['MAKE'] ?? 'make', ['--version'])) missing.push('make')
  const { PYTHON, npm_config_python: npmPython } = process.env
  const pythons = [npmPython, PYTHON, 'python3', 'python'].filter((name) => name !== undefined)
  const recent = ['-c', 'import sys; sys.exit(sys.version_info < (3, 6))']
  if (!pythons.some((command) => succeeds(command, recent))) missing.push('Python 3')
  return missing
}

/** @param command may bring arguments, as CXX="ccache g++" does */
function succeeds(command: string, args: readonly string[], input = ''): boolean {
  const [program = '', ...first] = command.split(' ')
  return spawnSync(program, [...first, ...args], { input, timeout: 60_000 }).status === 0
}

function knowsCxx20(compiler: string): boolean {
  const program = '#include <concepts>\nstatic_assert(__cplusplus >= 202002L);\n'
  return succeeds(compiler, ['-std=c++20', '-fsyntax-only', '-x', 'c++', '-'], program)
}

function needs(missing: readonly string[]): string {
  const installation =
    process.platform === 'darwin'
      ? 'xcode-select --install'
      : existsSync('/etc/alpine-release')
        ? 'apk add g++ make python3 linux-headers'
        : 'apt-get install g++ make python3 (Debian, Ubuntu), dnf install gcc-c++ make python3 (Fedora)'
  return `building takes ${missing.join(', ')}: ${installation}`
}

/** How node-gyp is started: the one of this project, that of npm, one that is installed, or one that npx fetches. */
function findNodeGyp(): readonly string[] {
  const script = [() => nodeGypBeside(root), () => nodeGypBeside(process.cwd()), nodeGypOfNpm]
    .map((find) => find())
    .find((file) => file !== undefined)
  if (script !== undefined) return [process.execPath, script]
  // What Yarn puts there by that name looks for one among the project's dependencies, and that was looked for.
  const yarn = process.env['npm_config_user_agent']?.startsWith('yarn/') === true
  if (!yarn && onPath('node-gyp') !== undefined) return ['node-gyp']
  if (onPath('npx') !== undefined) return ['npx', '--yes', 'node-gyp@12']
  throw new Error(
    'building takes node-gyp, which comes with npm: install npm, or npm install --global node-gyp',
  )
}

function nodeGypBeside(folder: string): string | undefined {
  try {
    return createRequire(join(folder, 'package.json')).resolve('node-gyp/bin/node-gyp.js')
  } catch {
    return undefined
  }
}

/** npm tells those that it starts (`npx millrace build`); otherwise its own is beside Node, or where `npm` leads. */
function nodeGypOfNpm(): string | undefined {
  const prefix = dirname(dirname(realpathSync(process.execPath)))
  const npm = onPath('npm')
  return [
    process.env['npm_config_node_gyp'],
    join(prefix, 'lib/node_modules/npm/node_modules/node-gyp/bin/node-gyp.js'),
    join(prefix, 'share/nodejs/node-gyp/bin/node-gyp.js'),
    npm && join(dirname(realpathSync(npm)), '../node_modules/node-gyp/bin/node-gyp.js'),
  ].find((file) => file !== undefined && existsSync(file))
}

/** Where the PATH leads with that name. */
function onPath(program: string): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter)
  return folders.map((folder) => join(folder, program)).find((file) => existsSync(file))
}

async function compile(
  [program = '', ...first]: readonly string[],
  compiler: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  const child = spawn(program, [...first, 'rebuild', '--release', ...headers()], {
    cwd: source,
    env: { ...environment(), CXX: compiler },
    stdio: ['ignore', 'pipe', 'pipe'],
    signal,
  })
  const said: Buffer[] = []
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (chunk: Buffer) => said.push(chunk))
  const code = await new Promise<number | null>((ended, failed) => {
    child.once('error', failed)
    child.once('close', ended)
  })
  if (code === 0) return
  process.stderr.write(Buffer.concat(said))
  throw new Error(
    'compiling failed: what node-gyp said is above; docs/install.md knows the usual reasons',
  )
}

/** Node's headers, where they came with Node: then there is nothing to download. */
function headers(): string[] {
  const prefix = dirname(dirname(realpathSync(process.execPath)))
  const { npm_config_nodedir: given } = process.env
  if (given !== undefined || !existsSync(join(prefix, 'include/node/node_api.h'))) return []
  return [`--nodedir=${prefix}`]
}

/** What is built is for this process, whatever npm's settings say of the machines that it installs for. */
function environment(): NodeJS.ProcessEnv {
  const foreign = /^npm_config_(?:arch|target_arch|platform|target|runtime|build_from_source)$/iu
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !foreign.test(name)))
}

/** A file that does not load replaces none. */
function install(): void {
  const made = join(source, 'build/Release/millrace.node')
  const fresh = `${target}.${process.pid}`
  mkdirSync(dirname(target), { recursive: true })
  copyFileSync(made, fresh)
  try {
    const program =
      'try { process.dlopen({ exports: {} }, process.argv[1]) } catch ({ message }) { console.log(message); process.exitCode = 1 }'
    const { status, stdout } = spawnSync(process.execPath, ['--eval', program, fresh], {
      encoding: 'utf8',
    })
    if (status !== 0) throw new Error(`what was compiled does not load: ${stdout.trim()}`)
    renameSync(fresh, target)
  } finally {
    rmSync(fresh, { force: true })
  }
}
