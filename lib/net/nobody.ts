// Nobody listens: the same of every transport.

import { MillraceError } from '../errors.js'

/** `cause`: what the system said. */
export function nobody(address: string, cause: unknown): MillraceError {
  const { syscall, errno } = (cause ?? {}) as NodeJS.ErrnoException
  return new MillraceError(
    'ERR_MILLRACE_UNREACHABLE',
    `nobody listens at '${address}': start the process that does, or see that the address is right`,
    { cause, path: address, syscall, errno: errno === undefined ? undefined : Math.abs(errno) },
  )
}
