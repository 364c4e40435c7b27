// JSON: what every language reads. What it would leave out or change without a word, and what it cannot carry at all, are two
// things: as everybody who uses JSON expects, undefined properties go and Dates become text; a BigInt or a cycle is an error.

import { notDecoded, notEncoded } from './failure.js'
import type { Codec } from './types.js'

/**
 * Values as `JSON.stringify` writes them. `undefined` alone, which is no JSON, is no bytes at all, so that functions without an
 * argument or a result need none.
 *
 * Throws `INVALID_ARGUMENT` for what JSON cannot carry: a BigInt, a cycle, a function or symbol in the place of the value.
 */
export const json: Codec = {
  name: 'json',
  encode: (value) => Buffer.from(textOf(value)),
  encodeInto(value, target) {
    const text = textOf(value)
    const { length } = text
    // A UTF-16 unit is one to three bytes.
    if (length > target.length) return undefined
    if (length * 3 > target.length && Buffer.byteLength(text) > target.length) return undefined
    if (utf8Write !== undefined) return utf8Write.call(target, text, 0, target.length)
    return asBuffer(target).write(text)
  },
  decode(bytes) {
    if (bytes.length === 0) return undefined
    try {
      const text =
        utf8Slice === undefined
          ? asBuffer(bytes).toString()
          : utf8Slice.call(bytes, 0, bytes.length)
      return JSON.parse(text) as unknown
    } catch (error) {
      throw notDecoded('json', error)
    }
  },
}

/** What Buffers write and read text by, if it can be had: any Uint8Array will do for it, and to make a Buffer of one takes time. */
const { utf8Write, utf8Slice } = Buffer.prototype as {
  readonly utf8Write?: (this: Uint8Array, text: string, at: number, length: number) => number
  readonly utf8Slice?: (this: Uint8Array, start: number, end: number) => string
}

function asBuffer({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength)
}

/** As it is: its declaration knows no `undefined`. */
const stringify: (value: unknown) => string | undefined = JSON.stringify

function textOf(value: unknown): string {
  if (value === undefined) return ''
  let text: string | undefined
  try {
    text = stringify(value)
  } catch (error) {
    throw notEncoded('json', whyNot(error), error)
  }
  if (text !== undefined) return text
  throw notEncoded('json', `JSON knows no ${typeof value}`)
}

function whyNot(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  if (/bigint/i.test(message)) {
    return 'JSON knows no BigInt; send it as text, or use the codec structured or msgpack'
  }
  if (/circular|cyclic/i.test(message)) {
    return 'it contains itself, and JSON has no references; send parts of it, or use the codec structured'
  }
  return message
}
