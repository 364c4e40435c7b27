// Finds the compiled addon of this machine and runtime.

import { MillraceError } from './base/errors.js'

// Importing a builtin costs a module that is the first to do it 2 ms; this costs nothing.
const { createRequire } = process.getBuiltinModule('node:module')
const { fileURLToPath } = process.getBuiltinModule('node:url')

const require = createRequire(import.meta.url)

/**
 * The addon below `root`. A tree that compiled its own is the common case of development, and asking for
 * that file by its name takes a third of the time that the search of node-gyp-build does.
 */
export function findAddon(root: string): unknown {
  if (process.env['PREBUILDS_ONLY'] === undefined) {
    try {
      return require(`${root}build/Release/millrace.node`)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw error
    }
  }
  return (require('node-gyp-build') as (root: string) => unknown)(root)
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
    return find(fileURLToPath(new URL('..', import.meta.url)))
  } catch (cause) {
    throw new MillraceError(
      'ERR_MILLRACE_UNSUPPORTED_PLATFORM',
      `millrace has no working binary for ${here}; with a C++20 compiler installed, build one: ` +
        'npm rebuild millrace --build-from-source',
      { cause },
    )
  }
}
