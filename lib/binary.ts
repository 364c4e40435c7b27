// Finds the compiled addon of this machine and runtime.

import { MillraceError } from './base/errors.js'

// Importing a builtin costs a module that is the first to do it 2 ms; this costs nothing.
const { existsSync } = process.getBuiltinModule('node:fs')

/**
 * The addon below `root`. A tree that compiled its own is the common case of development, and loading that
 * file by its name takes a third of the time that `require` and the search of node-gyp-build do.
 */
export function findAddon(root: string): unknown {
  const compiled = `${root}/build/Release/millrace.node`
  if (process.env['PREBUILDS_ONLY'] === undefined && existsSync(compiled)) {
    const module = { exports: {} }
    process.dlopen(module, compiled)
    return module.exports
  }
  const { createRequire } = process.getBuiltinModule('node:module')
  const require = createRequire(import.meta.url)
  const search = require('node-gyp-build') as { resolve(root: string): string }
  return require(assertTrusted(search.resolve(root), root))
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
  const here = `${platform}-${architecture}, Node ${process.version}`
  if (platform !== 'linux' && platform !== 'darwin') {
    throw new MillraceError(
      'ERR_MILLRACE_UNSUPPORTED_PLATFORM',
      `millrace runs on Linux and macOS, not on ${here}; on Windows use it inside WSL 2`,
    )
  }
  try {
    return find(`${import.meta.dirname}/..`)
  } catch (cause) {
    throw new MillraceError(
      'ERR_MILLRACE_UNSUPPORTED_PLATFORM',
      `millrace has no working binary for ${here}; with a C++20 compiler installed, build one: ` +
        'npm rebuild millrace --build-from-source',
      { cause },
    )
  }
}
