// A struct() as a codec: one size, no text to parse, C on the other side if one likes.

import { invalidArgument, MillraceError } from '../errors.js'
import { show } from '../base/options.js'
import type { Codec } from './types.js'

/** What a codec needs of a `struct()`. */
export interface CodecStruct<Input = never, Value = unknown> {
  /** Bytes of a value. */
  readonly size: number
  /** Differs where the layout differs. */
  readonly fingerprint: bigint
  /** For messages. */
  readonly name?: string | undefined
  /** Writes a value at `offset`, 0 by default. */
  write(memory: Uint8Array, value: Input, offset?: number): void
  /** The value at `offset`, 0 by default, as a plain object. */
  read(memory: Uint8Array, offset?: number): Value
}

/** What can be sent of a struct. */
export type StructIn<Type> = Type extends CodecStruct<infer Input, infer _Value> ? Input : never
/** What is received of it: plain objects. */
export type StructOut<Type> = Type extends CodecStruct<infer _Input, infer Value> ? Value : never

/**
 * The codec of a definition, whose values are plain objects. Two that are laid out differently have different names.
 *
 * @throws MillraceError `INVALID_ARGUMENT`
 */
export function structCodec<Type extends CodecStruct>(
  definition: Type,
): Codec<StructIn<Type>, StructOut<Type>> {
  if (!isStruct(definition)) {
    throw invalidArgument(`the definition must be a struct(), not ${show(definition)}`)
  }
  const { size, fingerprint } = definition
  const writable = definition as unknown as CodecStruct<unknown, StructOut<Type>>
  return {
    name: `struct:${fingerprint.toString(16)}`,
    encode(value) {
      const bytes = new Uint8Array(size)
      writable.write(bytes, value)
      return bytes
    },
    encodeInto(value, target) {
      if (target.length < size) return undefined
      writable.write(target, value)
      return size
    },
    decode(bytes) {
      if (bytes.length === size) return writable.read(bytes)
      throw new MillraceError(
        'ERR_MILLRACE_SCHEMA',
        `what came has ${String(bytes.length)} bytes, and ${definition.name ?? 'the struct'} has ${String(size)}: see that ` +
          'both sides have the same definition',
      )
    },
  }
}

/** Has it what a `struct()` has? */
export function isStruct(given: unknown): given is CodecStruct {
  if (typeof given !== 'object' || given === null) return false
  const { size, fingerprint, write, read } = given as Partial<CodecStruct>
  return (
    Number.isSafeInteger(size) &&
    typeof fingerprint === 'bigint' &&
    typeof write === 'function' &&
    typeof read === 'function'
  )
}
