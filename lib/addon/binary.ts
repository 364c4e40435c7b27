// Finds the compiled addon of this machine and runtime, by what this process is and by nothing that it inherited: npm hands
// every setting of a project (arch, platform, build_from_source) to the programs that it starts.

import { isThere, loadFailure, unsupportedPlatform } from './load-failure.js'

// Importing a builtin costs a module that is the first to do it 2 ms; this costs nothing.
const { readFileSync } = process.getBuiltinModule('node:fs')

interface NodeGypBuild {
  resolve(root: string): string
}

/** What node-gyp-build believes about the machine, if it is set, before it looks at the machine. */
const misleading = ['npm_config_arch', 'npm_config_platform', 'ARM_VERSION', 'LIBC']

/**
 * The addon below `root`. A tree that compiled its own is the common case of development, and loading that
 * file by its name takes a third of the time that `require` and the search of node-gyp-build do.
 *
 * `PREBUILDS_ONLY` leaves out what was compiled here; `npm_config_build_from_source=millrace`, which names this package,
 * what was not.
 */
export function findAddon(root: string): unknown {
  const compiled = `${root}/build/Release/millrace.node`
  const { PREBUILDS_ONLY: prebuilt, npm_config_build_from_source: fromSource } = process.env
  if (fromSource === 'millrace' || (prebuilt === undefined && isThere(compiled))) {
    const module = { exports: {} }
    process.dlopen(module, compiled)
    return module.exports
  }
  assertTrusted(root)
  const { createRequire } = process.getBuiltinModule('node:module')
  const require = createRequire(import.meta.url)
  return require(undisturbed(() => searcher(require).resolve(root))) as unknown
}

/**
 * node-gyp-build follows MILLRACE_PREBUILD anywhere. What is loaded into this process is part of the package, or lies
 * beside the program that runs it.
 */
function assertTrusted(root: string): void {
  const elsewhere = process.env['MILLRACE_PREBUILD']
  if (elsewhere === undefined || elsewhere === '') return
  const path = process.getBuiltinModule('node:path')
  const own = path.resolve(root)
  if (`${path.resolve(elsewhere)}${path.sep}`.startsWith(own + path.sep)) return
  throw new Error(`'${elsewhere}' is not part of this package; unset MILLRACE_PREBUILD`)
}

/**
 * A node-gyp-build of our own. It looks at the environment once, when it is loaded: another package may have loaded it
 * before, and those that come later shall not get what it found under our conditions.
 */
function searcher(require: NodeJS.Require): NodeGypBuild {
  const entry = require.resolve('node-gyp-build')
  const folder = entry.slice(0, entry.lastIndexOf('/') + 1)
  const { cache } = require
  const others = Object.entries(cache).filter(([file]) => file.startsWith(folder))
  const forget = () => {
    for (const file of Object.keys(cache))
      if (file.startsWith(folder)) Reflect.deleteProperty(cache, file)
  }
  forget()
  try {
    return require(entry) as NodeGypBuild
  } finally {
    forget()
    Object.assign(cache, Object.fromEntries(others))
  }
}

/**
 * Searches with the truth in the environment. node-gyp-build takes every system but Alpine for glibc; it believes LIBC,
 * which it reads when it is loaded.
 */
function undisturbed<T>(search: () => T): T {
  const { env } = process
  const before = misleading.map((name) => [name, env[name]] as const)
  for (const [name, value] of before) if (value !== undefined) Reflect.deleteProperty(env, name)
  if (process.platform === 'linux') env['LIBC'] = libc()
  try {
    return search()
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) Reflect.deleteProperty(env, name)
      else env[name] = value
    }
  }
}

/** The C library that this process runs on: that of the runtime, whatever else is installed. */
export function libc(): 'glibc' | 'musl' {
  try {
    return libcIn(readFileSync('/proc/self/maps', 'latin1'))
  } catch {
    return reportedLibc() // without /proc, or not allowed to look there
  }
}

/** musl is one file, the loader: ld-musl-<arch>.so.1, or libc.so that it leads to; glibc's ends in .so.6. */
export function libcIn(maps: string): 'glibc' | 'musl' {
  return /\/(?:ld-musl-[^/]*|libc\.musl-[^/]*|libc\.so)$/mu.test(maps) ? 'musl' : 'glibc'
}

/** What the runtime reports about itself. Takes a hundred times as long as to look, and asks for no file. */
export function reportedLibc(): 'glibc' | 'musl' {
  try {
    const { header } = process.report.getReport() as { header: Record<string, unknown> }
    return header['glibcVersionRuntime'] === undefined ? 'musl' : 'glibc'
  } catch {
    return isThere('/etc/alpine-release') ? 'musl' : 'glibc'
  }
}

/** Loads the addon, or says in one sentence why that cannot be and what to do. Exported for its test. */
export function load(
  platform: string,
  architecture: string,
  find: (root: string) => unknown,
): unknown {
  // Only for a message: to tell the C library costs more than to load the addon.
  const here = () =>
    `${platform}-${architecture}${platform === 'linux' ? ` (${libc()})` : ''}, Node ${process.version}`
  if (platform !== 'linux' && platform !== 'darwin') throw unsupportedPlatform(here())
  const root = `${import.meta.dirname}/../..`
  try {
    return find(root)
  } catch (cause) {
    throw loadFailure(cause, root, here())
  }
}
