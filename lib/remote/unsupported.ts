// What cannot be had over a connection.

import { MillraceError } from '../errors.js'

/** `what` needs an answer at once, or the memory itself; `cure`: what to do instead. */
export function unsupported(what: string, cure: string): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_UNSUPPORTED',
    `${what} cannot be had over a connection: ${cure}`,
  )
}

/** `stats`, which counts in shared memory: there is none here. */
export function uncounted(title: string): MillraceError {
  return unsupported(
    `\`stats\` of ${title}, which counts in shared memory,`,
    'say it where that is shared; an engine has figures of its own',
  )
}
