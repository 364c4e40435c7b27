// The libraries of engines: optional peers, loaded when an address first names the engine.

import { MillraceError } from '../errors.js'

/**
 * What the package exports.
 *
 * @throws MillraceError `MISSING_PEER`
 */
export function loadPeer(name: string, what: string): unknown {
  return found(name, what, (require) => require(name) as unknown)
}

/**
 * The file that stands for the package.
 *
 * @throws MillraceError `MISSING_PEER`
 */
export function fileOfPeer(name: string, what: string): string {
  return found(name, what, (require) => require.resolve(name))
}

function found<T>(name: string, what: string, ask: (require: NodeJS.Require) => T): T {
  const { createRequire } = process.getBuiltinModule('node:module')
  try {
    return ask(createRequire(import.meta.url))
  } catch (cause) {
    throw new MillraceError(
      'ERR_MILLRACE_MISSING_PEER',
      `${what} need the package ${name}, which could not be loaded: npm install ${name}`,
      { cause },
    )
  }
}
