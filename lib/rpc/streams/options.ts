// What connections are opened with.

import { checkOptions, wholeNumber } from '../../base/options.js'
import type { GivenStreams } from './connection.js'

/** Options of a connection; each side says them for itself. */
export interface ConnectionOptions {
  /** Items of one stream that may have come and not been taken; then its sender waits. Default 16. */
  readonly windowItems?: number | undefined
  /**
   * The same in bytes; default 262 144. An item that is longer passes, with less than half of that beside it.
   */
  readonly windowBytes?: number | undefined
  /** The longest item, input or result as it is encoded, sent or received; default 67 108 864. Longer ones are `ERR_MILLRACE_TOO_LARGE`. */
  readonly maxBytes?: number | undefined
  /** Calls and streams that may be on their way at a time; one more is `ERR_MILLRACE_BUSY`. Default 1024. */
  readonly maxStreams?: number | undefined
}

/** @internal */
export const connectionNames = ['windowItems', 'windowBytes', 'maxBytes', 'maxStreams'] as const

/**
 * @internal
 * @throws MillraceError `INVALID_ARGUMENT`
 */
export function readConnection(given: ConnectionOptions | undefined): GivenStreams {
  const options = checkOptions(given, connectionNames)
  return {
    window: {
      items: wholeNumber(options, 'windowItems', 16, [1, 65_536]),
      bytes: wholeNumber(options, 'windowBytes', 262_144, [1, 2 ** 30]),
    },
    maxBytes: wholeNumber(options, 'maxBytes', 2 ** 26, [1, 2 ** 30]),
    maxStreams: wholeNumber(options, 'maxStreams', 1024, [1, 65_536]),
  }
}
