// One value of a cell, as it was read.

import { inspected, inspection, type Inspecting } from '../base/inspection.js'
import { wrongSize, type AnyValueSchema } from '../base/value-schema.js'
import type { PlainBuffer } from '../base/view-constructor.js'
import { MillraceError } from '../errors.js'

/** One value, copied out of the cell. `Value` is what its bytes say, if the reader has a `struct()` as `schema`. */
export class CellValue<Value = unknown> {
  /** A copy: yours to keep and to change. */
  readonly bytes: PlainBuffer
  /** 1 for the first value, then one more each time. */
  readonly version: number
  /** When it was written: nanoseconds of `monotonicNow()`; 0n if its writer keeps no `timestamps`. */
  readonly timestamp: bigint
  readonly #cell: string
  readonly #schema: AnyValueSchema | undefined
  /** What was read out of the bytes; a value of a schema may be anything, `undefined` too. */
  #read: { readonly value: unknown } | undefined

  /** @internal */
  constructor(
    cell: string,
    bytes: PlainBuffer,
    version: number,
    timestamp: bigint,
    schema?: AnyValueSchema,
  ) {
    this.#cell = cell
    this.#schema = schema
    this.bytes = bytes
    this.version = version
    this.timestamp = timestamp
  }

  /** For `JSON.stringify`: what `console.log` shows, but how many bytes there are instead of what they say. Never throws. */
  toJSON(): object {
    const { version, timestamp, bytes } = this
    return {
      cell: this.#cell,
      version,
      timestamp: String(timestamp),
      byteLength: bytes.byteLength,
    }
  }

  /** @internal What `console.log` shows. */
  [inspected](...how: Inspecting): string {
    return inspection('CellValue', how, () => {
      const { version, timestamp, bytes } = this
      const isValue = bytes.length === this.#schema?.size
      const content = isValue ? { value: this.value } : { bytes }
      return { cell: this.#cell, version, timestamp, ...content }
    })
  }

  /**
   * What the bytes say by the structure that the reader was given as `schema`: a plain object of its own, made at the first
   * look. `undefined` without one.
   *
   * @throws MillraceError `SCHEMA` (the bytes are not those of one value; the message has both lengths)
   */
  get value(): Value {
    const schema = this.#schema
    if (schema === undefined) return undefined as Value
    if (this.#read === undefined) {
      const { length } = this.bytes
      if (length !== schema.size) {
        throw wrongSize(
          schema,
          `value ${String(this.version)} of cell '${this.#cell}'`,
          length,
          'its writer has stated no schema, or lies: find it, and look at the bytes',
        )
      }
      this.#read = { value: schema.read(this.bytes) }
    }
    return this.#read.value as Value
  }

  /** The bytes as UTF-8, as `write` of a string made them. */
  text(): string {
    return this.bytes.toString('utf8')
  }

  /**
   * What `writeJson` was given. The type is the caller's claim: nothing looks whether the value fits.
   *
   * @throws MillraceError `SCHEMA` (the bytes are no JSON)
   */
  // eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- as JSON.parse, but typed by its caller
  json<T = unknown>(): T {
    try {
      return JSON.parse(this.text()) as T
    } catch (cause) {
      throw new MillraceError(
        'ERR_MILLRACE_SCHEMA',
        `value ${String(this.version)} of cell '${this.#cell}' is no JSON; write it with writeJson, or read its bytes`,
        { cause },
      )
    }
  }
}
