// The front door of cells: a name, and which side of it one wants to be.

import { native } from '../addon/native.js'
import {
  access,
  checkName,
  checkOptions,
  checkSignal,
  duration,
  fingerprint,
  flag,
  readTuning,
  wholeNumber,
  type AccessOptions,
  type Schema,
  type SchemaOptions,
  type TuningOptions,
  type WaitOptions,
  accessNames,
  schemaNames,
  tuningNames,
  waitNames,
} from '../base/options.js'
import {
  titleOf,
  valuesOf,
  type AnyValueSchema,
  type OpaqueSchema,
  type ValueSchema,
} from '../base/value-schema.js'
import { invalidArgument } from '../errors.js'
import { checkPlace, nameOf, openAt, type Place } from '../place/place.js'
import { CellReader } from './reader.js'
import { CellWriter } from './writer.js'

export interface CellWriterOptions<S extends Schema = OpaqueSchema>
  extends AccessOptions, SchemaOptions<S> {
  /**
   * Bytes of the largest value, up to 1 GiB. Must be the same as that of a cell that exists. May be left out with a
   * `struct()` as `schema`: what a value of it has.
   */
  readonly maxBytes: number
  /**
   * Places for values, 2 to 1024; default 4. A reader that copies more slowly than the writer writes starts
   * again when the writer comes round to its place; more of them give it more time. Given: an existing
   * cell must have the same.
   */
  readonly slots?: number | undefined
  /**
   * The value stays when everybody has closed or died, until `Cell.unlink`. Without it the cell goes with
   * the last one on it. Default false.
   */
  readonly keep?: boolean | undefined
  /**
   * Do values tell when they were written? Default true. Without it the `timestamp` of what this writer writes is 0n, and
   * short values are written in a fraction of the time. Each writer decides for its own values.
   */
  readonly timestamps?: boolean | undefined
}

export interface CellReaderOptions<S extends Schema = OpaqueSchema>
  extends AccessOptions, SchemaOptions<S>, TuningOptions, Pick<WaitOptions, 'signal'> {
  /** Milliseconds to wait for the cell to appear; default 5000. 0 looks once. */
  readonly timeout?: number | undefined
}

/**
 * A value that one process replaces and any number of others look at: always the newest, always whole.
 *
 * The writer never waits, whatever readers do, and reading takes nothing from anybody: what came between
 * two looks is passed over. Whoever must see every value wants a queue.
 *
 * @example
 * ```ts
 * // one process
 * using position = Cell.writer('position', { maxBytes: 24 })
 * position.write(new Float64Array([x, y, z]))
 * // others
 * using reader = await Cell.reader('position')
 * for await (const { bytes, version } of reader.changes()) draw(bytes, version)
 * ```
 *
 * @namespace
 */
export const Cell = {
  /**
   * Takes the writing side; creates the cell if it does not exist, else goes on after its newest version. With a
   * `struct()` as `schema` it writes values of it, without one bytes.
   * Does not wait for readers.
   *
   * @throws MillraceError `ROLE_TAKEN` (a living writer has it; the message names its pid), `GEOMETRY`,
   *   `SCHEMA`, `INVALID_ARGUMENT`, `NO_SPACE`, `LAYOUT`, `NOT_OURS`, `CORRUPT`, `PERMISSION`,
   *   `INVALID_NAME`, `NAME_TOO_LONG`, `TIMEOUT`
   */
  writer: openWriter,

  /**
   * Reads a cell, waiting up to `timeout` for it to appear. Its writer may have left: the value stays as
   * long as anybody is on the cell, or for good with `keep`. Each attempt takes microseconds; where a process is
   * stopped in the middle of opening or closing the cell, it blocks the event loop for two seconds. With a `struct()` as
   * `schema`, what is read has a `value`.
   *
   * @throws MillraceError (as rejection) `NOT_FOUND` (not in time), `SCHEMA`, `ABORTED`, `NOT_OURS`,
   *   `LAYOUT`, `CORRUPT`, `PERMISSION`, `INVALID_NAME`, `NAME_TOO_LONG`, `INVALID_ARGUMENT`, `TIMEOUT`
   */
  reader: openReader,

  /**
   * Removes the name. Who is on the cell goes on with it; new ones get a new cell. Returns whether there
   * was one.
   *
   * @throws MillraceError `INVALID_NAME`, `NAME_TOO_LONG`, `PERMISSION`, `TIMEOUT` (a process is stopped in
   *   the middle of opening or closing it)
   */
  unlink(name: string): boolean {
    return native.unlinkChannel('c', checkName(name))
  },
} as const

/** Options whose schema says what values are, and so how long. */
type WithValues<Input, View> = Omit<
  CellWriterOptions<ValueSchema<Input, View, unknown>>,
  'maxBytes'
> & {
  readonly schema: ValueSchema<Input, View, unknown>
  /** Bytes of the largest value; default, and least, those of one of the schema. */
  readonly maxBytes?: number | undefined
}

const largestValue = 2 ** 30

function openWriter<Input, View>(
  place: Place,
  options: WithValues<Input, View>,
): CellWriter<Input, View>
function openWriter(place: Place, options: CellWriterOptions): CellWriter
function openWriter(
  place: Place,
  options: CellWriterOptions<Schema> | WithValues<unknown, unknown>,
): CellWriter<unknown, unknown> {
  const own = ['maxBytes', 'slots', 'keep', 'timestamps'] as const
  const given = checkOptions(options, [...accessNames, ...schemaNames, ...own])
  const values = valuesOf(given)
  const timestamps = given.timestamps === undefined || flag(given, 'timestamps')
  const cell = {
    place: checkPlace(place),
    maxBytes: readMaxBytes(given, values),
    slots: wholeNumber(given, 'slots', 0, [2, 1024]),
    keep: flag(given, 'keep'),
    timestamps,
    schema: fingerprint(given),
    ...access(given),
  }
  const name = nameOf(place)
  if (values === undefined) return new CellWriter(name, new native.CellWriter(cell), timestamps)
  const { ValueWriter } = require('./value-writer.js') as typeof import('./value-writer.js')
  return new ValueWriter(name, new native.CellWriter(cell), timestamps, values)
}

function readMaxBytes(
  given: { readonly maxBytes?: number | undefined },
  values: AnyValueSchema | undefined,
): number {
  const range = [1, largestValue] as const
  if (values === undefined) return wholeNumber({ maxBytes: 0, ...given }, 'maxBytes', 0, range)
  const { size } = values
  if (size > largestValue) {
    throw invalidArgument(
      `${titleOf(values)} has ${String(size)} bytes, and a cell carries up to ${String(largestValue)}`,
    )
  }
  const maxBytes = wholeNumber(given, 'maxBytes', size, range)
  if (maxBytes >= size) return maxBytes
  throw invalidArgument(
    `maxBytes must be at least the ${String(size)} bytes of ${titleOf(values)}, not ` +
      `${String(maxBytes)}; leave it out`,
  )
}

function openReader<Value>(
  place: Place,
  options: CellReaderOptions<ValueSchema<never, unknown, Value>> & {
    readonly schema: ValueSchema<never, unknown, Value>
  },
): Promise<CellReader<Value>>
function openReader(place: Place, options?: CellReaderOptions): Promise<CellReader>
async function openReader(place: Place, options?: CellReaderOptions<Schema>): Promise<CellReader> {
  const given = checkOptions(options, [
    ...accessNames,
    ...schemaNames,
    ...tuningNames,
    ...waitNames,
  ])
  const values = valuesOf(given)
  const wanted = { schema: fingerprint(given), ...access(given) }
  const tuning = readTuning(given)
  checkPlace(place)
  const handle = await openAt(place, (at) => new native.CellReader({ place: at, ...wanted }), {
    timeout: duration(given, 'timeout', 5000),
    signal: checkSignal(given.signal),
    missing: `cell '${nameOf(place)}' did not appear`,
    cure: 'start its writer',
  })
  return new CellReader(nameOf(place), handle, tuning, values)
}
