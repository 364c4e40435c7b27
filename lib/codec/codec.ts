// What makes bytes of values, and values of bytes.

import { isBytes } from '../base/value-schema.js'
import { show } from '../base/options.js'
import { invalidArgument } from '../errors.js'
import { bytesCodec } from './bytes.js'
import { json } from './json.js'
import { msgpack } from './msgpack.js'
import { structured } from './structured.js'
import type { Codec } from './types.js'

export { bytesCodec } from './bytes.js'
export { json } from './json.js'
export { msgpack } from './msgpack.js'
export { structCodec, type CodecStruct, type StructIn, type StructOut } from './struct.js'
export { structured } from './structured.js'
export type { Codec } from './types.js'

/** The codecs that have a name of their own. */
export const codecs = { bytes: bytesCodec, json, msgpack, structured } as const satisfies Record<
  CodecName,
  unknown
>

/** One of the names that options take for a codec. */
export type CodecName = 'bytes' | 'json' | 'msgpack' | 'structured'

/**
 * The codec that was named, or is given. `otherwise`: what else it might be, for the message.
 *
 * @throws MillraceError `INVALID_ARGUMENT`
 */
export function codecOf(given: unknown, what = 'codec', otherwise = ''): Codec {
  if (typeof given === 'string' && Object.hasOwn(codecs, given)) {
    return codecs[given as CodecName]
  }
  if (isCodec(given)) return given
  throw invalidArgument(
    `${what} must be ${otherwise}one of ${Object.keys(codecs).join(', ')}, or an object with name, encode and decode, not ${show(given)}`,
  )
}

/** Has it what a codec has? */
export function isCodec(given: unknown): given is Codec {
  if (typeof given !== 'object' || given === null || isBytes(given)) return false
  const { name, encode, decode, encodeInto } = given as Partial<Codec>
  return (
    typeof name === 'string' &&
    name.length > 0 &&
    typeof encode === 'function' &&
    typeof decode === 'function' &&
    (encodeInto === undefined || typeof encodeInto === 'function')
  )
}
