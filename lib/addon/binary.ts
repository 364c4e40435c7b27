// Finds the compiled addon of this machine and runtime, by what this process is and by nothing that it inherited: npm hands
// every setting of a project (arch, platform, build_from_source) to the programs that it starts.

import { MillraceError, type ErrorCode } from '../errors.js'

// Importing a builtin costs a module that is the first to do it 2 ms; this costs nothing.
const { closeSync, existsSync, openSync, readFileSync, readSync } =
  process.getBuiltinModule('node:fs')

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
    return loaded(compiled)
  }
  const shipped = shippedBinary(root)
  if (shipped !== undefined) return loaded(shipped)
  const { search } = require('./search.js') as typeof import('./search.js')
  return search(root, import.meta.url, process.platform === 'linux' ? libc() : undefined)
}

/**
 * The binary that the package brings for this process, if nothing speaks for another one. Its name is known, and to search
 * for it takes as long as everything else.
 */
function shippedBinary(root: string): string | undefined {
  const { platform, arch, env } = process
  const another = env['MILLRACE_PREBUILD']
  if (another !== undefined && another !== '') return undefined
  // Whatever was compiled here goes first; for arm there is a binary for each version of the processor.
  if ((env['PREBUILDS_ONLY'] ?? '') === '' && isThere(`${root}/build`)) return undefined
  const flavour = platform === 'linux' ? `.${libc()}` : ''
  const file = `${root}/prebuilds/${platform}-${arch}/millrace${flavour}.node`
  return isThere(file) ? file : undefined
}

function loaded(file: string): unknown {
  const module = { exports: {} }
  process.dlopen(module, file)
  return module.exports
}

/** Also under Node's permission model, which throws at questions that are not allowed. */
function isThere(file: string): boolean {
  try {
    return existsSync(file)
  } catch {
    return false
  }
}

/** The C library that this process runs on: that of the runtime, whatever else is installed. */
export function libc(): 'glibc' | 'musl' {
  try {
    return libcOf(startOf('/proc/self/exe')) ?? libcIn(readFileSync('/proc/self/maps', 'latin1'))
  } catch {
    return reportedLibc() // without /proc, or not allowed to look there
  }
}

/** By the loader that a program asks for, at its start. That takes a tenth of the time that the maps of the process take. */
export function libcOf(program: string): 'glibc' | 'musl' | undefined {
  const loader = /\/ld-(musl|linux)[^/\0]*\.so\.\d+\0/u.exec(program)?.[1]
  return loader === undefined ? undefined : loader === 'musl' ? 'musl' : 'glibc'
}

function startOf(file: string): string {
  const descriptor = openSync(file, 'r')
  try {
    const start = Buffer.alloc(4096)
    return start.toString('latin1', 0, readSync(descriptor, start))
  } finally {
    closeSync(descriptor)
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
  if (platform !== 'linux' && platform !== 'darwin')
    throw failure(why().unsupportedPlatform(here()))
  const root = process.getBuiltinModule('node:path').resolve(import.meta.dirname, '../..')
  try {
    return find(root)
  } catch (cause) {
    throw failure(why().loadFailure(cause, root, here(), isThere), cause)
  }
}

function why() {
  return require('./load-failure.js') as typeof import('./load-failure.js')
}

function failure([code, message]: readonly [ErrorCode, string], cause?: unknown): MillraceError {
  return new MillraceError(code, message, cause === undefined ? {} : { cause })
}
