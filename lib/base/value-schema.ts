// Schemas that say not only what the bytes of a channel are called, but how values become bytes and bytes values. A
// `struct()` is one. Channels know this interface alone: who loads them does not load structures.

import { invalidArgument, MillraceError } from '../errors.js'
import type { ByteSource } from './bytes.js'
import { fingerprint, show, type Schema, type SchemaOptions } from './options.js'

/** A schema that is a number and nothing else: what is sent and received stays bytes. */
export interface OpaqueSchema extends Schema {
  /** None: what has one is taken for a {@link ValueSchema}. */
  readonly write?: undefined
}

/**
 * A schema by which a channel sends and receives values of one size; a `struct()` is one.
 *
 * `Input` is what can be written, `View` the bytes where they lie, with a property per field, `Value` what is left
 * without memory behind it.
 */
export interface ValueSchema<Input, View, Value> extends Schema {
  /** Bytes of every value. */
  readonly size: number
  /** For messages. */
  readonly name?: string | undefined
  /** Writes a whole value; throws if it is none. */
  write(memory: Uint8Array, value: Input, offset?: number): void
  /** A value of its own. */
  read(memory: Uint8Array, offset?: number): Value
  /** The value where it lies. */
  view(memory: Uint8Array, offset?: number): View
  /** Puts a view elsewhere. */
  move(view: View, memory: Uint8Array, offset?: number): View
}

/** As channels hold it, which do not know what the values are. */
export type AnyValueSchema = ValueSchema<unknown, unknown, unknown>

const methods = ['write', 'read', 'view', 'move'] as const

/**
 * The schema option, if it is one for values; `undefined`: a number only, or none at all.
 *
 * @throws MillraceError `INVALID_ARGUMENT` (neither)
 */
export function valuesOf(options: SchemaOptions): AnyValueSchema | undefined {
  fingerprint(options)
  const schema = options.schema as AnyValueSchema | OpaqueSchema | undefined
  if (schema?.write === undefined) return undefined
  const lacking = methods.find((method) => typeof schema[method] !== 'function')
  if (lacking !== undefined) {
    throw invalidArgument(
      `a schema of values must have the methods ${methods.join(', ')}, as a struct() has; ` +
        `this one has no ${lacking}`,
    )
  }
  if (!Number.isSafeInteger(schema.size) || schema.size < 1) {
    throw invalidArgument(
      `the size of a schema must be a whole number of bytes, not ${show(schema.size)}`,
    )
  }
  return schema
}

/** Is it bytes, and not a value? Text is bytes, and shared memory as well, which is refused elsewhere. */
export function isBytes(given: unknown): given is ByteSource {
  if (typeof given === 'string') return true
  if (typeof given !== 'object' || given === null) return false
  if (ArrayBuffer.isView(given)) return true
  // A field may be called so, too.
  if ((given as { readonly byteLength?: unknown }).byteLength === undefined) return false
  return Object.prototype.toString.call(given).endsWith('ArrayBuffer]')
}

/** `title` is the schema's name, for messages. */
export function titleOf({ name }: AnyValueSchema): string {
  return name ?? 'a value of its schema'
}

/** Bytes that were given, or have come, are not those of one value. */
export function wrongSize(
  schema: AnyValueSchema,
  what: string,
  length: number,
  cure: string,
): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_SCHEMA',
    `${what} has ${String(length)} bytes, and ${titleOf(schema)} has ${String(schema.size)}; ${cure}`,
  )
}
