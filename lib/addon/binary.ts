// Finds the compiled addon of this machine and runtime.

import { MillraceError } from '../errors.js'

// Importing a builtin costs a module that is the first to do it 2 ms; this costs nothing.
const { existsSync, readFileSync } = process.getBuiltinModule('node:fs')

/**
 * The addon below `root`. A tree that compiled its own is the common case of development, and loading that
 * file by its name takes a third of the time that `require` and the search of node-gyp-build do.
 *
 * `PREBUILDS_ONLY` leaves out what was compiled here, `npm_config_build_from_source` what was not.
 */
export function findAddon(root: string): unknown {
  const compiled = `${root}/build/Release/millrace.node`
  const { PREBUILDS_ONLY: prebuilt, npm_config_build_from_source: fromSource } = process.env
  const own = fromSource === 'true' || fromSource === 'millrace'
  if (own || (prebuilt === undefined && existsSync(compiled))) {
    const module = { exports: {} }
    process.dlopen(module, compiled)
    return module.exports
  }
  return withLibc(() => {
    const { createRequire } = process.getBuiltinModule('node:module')
    const require = createRequire(import.meta.url)
    const search = require('node-gyp-build') as { resolve(root: string): string }
    return require(assertTrusted(search.resolve(root), root)) as unknown
  })
}

/** node-gyp-build takes every system but Alpine for glibc; it believes LIBC, which it reads when it is loaded. */
function withLibc<T>(search: () => T): T {
  const before = process.env['LIBC']
  if (before !== undefined || process.platform !== 'linux') return search()
  process.env['LIBC'] = libc()
  try {
    return search()
  } finally {
    delete process.env['LIBC']
  }
}

/** The C library that this process runs on: that of the runtime, whatever else is installed. */
export function libc(): 'glibc' | 'musl' {
  try {
    return libcIn(readFileSync('/proc/self/maps', 'latin1'))
  } catch {
    return existsSync('/etc/alpine-release') ? 'musl' : 'glibc' // without /proc
  }
}

/** musl is one file, the loader: ld-musl-<arch>.so.1, or libc.so that it leads to; glibc's ends in .so.6. */
export function libcIn(maps: string): 'glibc' | 'musl' {
  return /\/(?:ld-musl-[^/]*|libc\.musl-[^/]*|libc\.so)$/mu.test(maps) ? 'musl' : 'glibc'
}

/**
 * node-gyp-build lets an environment variable (MILLRACE_PREBUILD) lead it anywhere. What is loaded into this
 * process is part of the package, or lies beside the program that runs it.
 */
function assertTrusted(file: string, root: string): string {
  const path = process.getBuiltinModule('node:path')
  const trusted = [path.resolve(root), path.dirname(process.execPath)]
  if (trusted.some((folder) => file.startsWith(folder + path.sep))) return file
  throw new Error(`'${file}' is not part of this package; unset MILLRACE_PREBUILD`)
}

/** Says in one sentence what to do when there is no binary for this machine. Exported for its test. */
export function load(
  platform: string,
  architecture: string,
  find: (root: string) => unknown,
): unknown {
  // Only for a message: to tell the C library costs more than to load the addon.
  const here = () =>
    `${platform}-${architecture}${platform === 'linux' ? ` (${libc()})` : ''}, Node ${process.version}`
  if (platform !== 'linux' && platform !== 'darwin') {
    throw new MillraceError(
      'ERR_MILLRACE_UNSUPPORTED_PLATFORM',
      `millrace runs on Linux and macOS, not on ${here()}; on Windows use it inside WSL 2`,
    )
  }
  const root = `${import.meta.dirname}/../..`
  try {
    return find(root)
  } catch (cause) {
    throw new MillraceError(
      'ERR_MILLRACE_UNSUPPORTED_PLATFORM',
      `millrace has no working binary for ${here()}; with a C++20 compiler installed, build one: ` +
        'npm explore millrace -- node-gyp rebuild',
      { cause },
    )
  }
}
