// What codecs say of what they cannot carry, or cannot read.

import { invalidArgument, MillraceError } from '../errors.js'

/** A value that has no bytes. */
export function notEncoded(codec: string, why: string, cause?: unknown): MillraceError {
  return invalidArgument(`the value cannot be sent by the codec '${codec}': ${why}`, cause)
}

/** Bytes that are no value. */
export function notDecoded(codec: string, cause: unknown): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_SCHEMA',
    `what came is nothing that the codec '${codec}' has written: see that both sides say the same codec`,
    { cause },
  )
}
