// Names and addresses of commands that look at this machine's memory, and at nothing else.

import { MillraceError } from '../index.js'

/** The name, or the beginning of names: `shm://` is this machine's memory, and other addresses are not. */
export function nameHere(command: string, given: string): string {
  if (given.startsWith('shm://')) return given.slice('shm://'.length)
  if (given.includes('://')) throw onlyHere(command, given)
  return given
}

export function onlyHere(command: string, address: string): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_UNSUPPORTED',
    `'millrace ${command}' looks at the memory of this machine, and '${address}' is reached by a connection, which does not show ` +
      `what is there: run it, with the name, on the machine of the process that shares or serves it`,
  )
}
