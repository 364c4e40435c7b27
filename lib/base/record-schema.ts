// Schemas of records: values of one size that lie one after another, many in a message. A `struct()` is one. As with
// value-schema.ts, channels know this interface alone: who loads them does not load structures.

import { invalidArgument, MillraceError } from '../errors.js'
import { show, type Schema } from './options.js'
import { titleOf, valuesOf, type AnyValueSchema } from './value-schema.js'

/** @internal Puts an array of records elsewhere. */
export const put = Symbol('put')

/** @internal Makes an array of records that can be put over a ring, and shows none as yet. */
export const overRing = Symbol('overRing')

/** @internal Records one after another, as `array()` of a struct() makes them. */
export interface MovableRecords {
  readonly length: number
  assign(values: ArrayLike<unknown>): void
  toArray(): unknown[]
  /**
   * Shows the `length` records from `at` on, a multiple of 8; who calls has checked that they are there. Over nothing: what
   * was shown is refused from then on. To be called before the memory is taken away, too. Allocates nothing.
   */
  [put](over: DataView | undefined, at: number, length: number): void
}

/** @internal As channels hold it. */
export interface RecordSchema extends AnyValueSchema {
  array(memory: Uint8Array): MovableRecords
  [overRing](): MovableRecords
}

/**
 * @internal The record option, and an array of such records that shows none as yet.
 *
 * @throws MillraceError `INVALID_ARGUMENT`
 */
export function readRecord(record: unknown): {
  readonly schema: RecordSchema
  readonly records: MovableRecords
} {
  if (record !== undefined) {
    const schema = valuesOf({ schema: record as Schema }) as RecordSchema | undefined
    if (schema !== undefined && overRing in schema) return { schema, records: schema[overRing]() }
  }
  throw invalidArgument(
    `record must be a struct(), what each record of a message is, not ${show(record)}`,
  )
}

/** @internal Bytes that were given, or have come, are not those of some records. */
export function notRecords(
  schema: RecordSchema,
  what: string,
  length: number,
  cure: string,
): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_SCHEMA',
    `${what} has ${String(length)} bytes, which are no records of ${titleOf(schema)}, each of ` +
      `${String(schema.size)} bytes; ${cure}`,
  )
}
