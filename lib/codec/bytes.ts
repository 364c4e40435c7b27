// Bytes as they are.

import { bytesOf, type ByteSource } from '../base/bytes.js'
import type { Codec } from './types.js'

/** Bytes in any container, or text (as UTF-8), and what comes is a Buffer of its own. */
export const bytesCodec: Codec<ByteSource, Buffer> = {
  name: 'bytes',
  encode: (value) => bytesOf(value, 'the value'),
  encodeInto(value, target) {
    const bytes = bytesOf(value, 'the value')
    if (bytes.length > target.length) return undefined
    target.set(bytes)
    return bytes.length
  },
  decode(bytes) {
    // Not Buffer.from: what came can be transferred, so it shares its memory with nothing.
    const copy = Buffer.allocUnsafeSlow(bytes.length)
    copy.set(bytes)
    return copy
  },
}
