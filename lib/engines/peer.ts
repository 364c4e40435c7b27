// The libraries of engines: optional peers, loaded when an address first names the engine.

import { MillraceError } from '../errors.js'

/**
 * What the package exports.
 *
 * @throws MillraceError `MISSING_PEER`
 */
export function loadPeer(name: string, what: string): unknown {
  const { createRequire } = process.getBuiltinModule('node:module')
  try {
    return createRequire(import.meta.url)(name) as unknown
  } catch (cause) {
    throw new MillraceError(
      'ERR_MILLRACE_MISSING_PEER',
      `${what} need the package ${name}, which could not be loaded: npm install ${name}`,
      { cause },
    )
  }
}
