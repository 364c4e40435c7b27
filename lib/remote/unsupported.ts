// What cannot be had over a connection.

import { MillraceError } from '../errors.js'

/** `what` needs an answer at once, or the memory itself; `cure`: what to do instead. */
export function unsupported(what: string, cure: string): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_UNSUPPORTED',
    `${what} cannot be had over a connection: ${cure}`,
  )
}
