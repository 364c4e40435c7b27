// Structured clones, as V8 writes them: Map, Set, Date, BigInt, typed arrays, errors, cycles. Both ends are the same engine.

import { notDecoded, notEncoded } from './failure.js'
import type { Codec } from './types.js'

/**
 * Values as `v8.serialize` writes them: what `structuredClone` takes, and Buffers stay Buffers. Ten times as slow as the others for
 * small values (docs/codecs.md).
 *
 * Throws `INVALID_ARGUMENT` for a function, a symbol, a `SharedArrayBuffer`.
 */
export const structured: Codec = {
  name: 'structured',
  encode(value) {
    try {
      return v8().serialize(value)
    } catch (error) {
      throw notEncoded('structured', error instanceof Error ? error.message : String(error), error)
    }
  },
  decode(bytes) {
    try {
      // V8 makes typed arrays as views of its input where they are long: the input is a copy, which belongs to them.
      return v8().deserialize(Buffer.from(bytes)) as unknown
    } catch (error) {
      throw notDecoded('structured', error)
    }
  },
}

/** Only when it is used: not every process loads it. */
function v8(): typeof import('node:v8') {
  return process.getBuiltinModule('node:v8')
}
