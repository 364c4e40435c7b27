// The writing side of a cell whose schema says how values become bytes. A value is written to memory of the writer's own
// first: one that is refused half way leaves nothing behind, whatever its getters do.

import { bytesOf } from '../base/bytes.js'
import { isPromise } from '../base/promised.js'
import { isBytes, titleOf, wrongSize, type AnyValueSchema } from '../base/value-schema.js'
import { invalidArgument, MillraceError } from '../errors.js'
import type { NativeCellWriter } from '../addon/cell.js'
import { CellWriter, type CellSource, type UpdateOptions } from './writer.js'

export class ValueWriter<Value, View> extends CellWriter<Value, View> {
  readonly #schema: AnyValueSchema
  readonly #size: number
  /** The value on its way; made at first use, as the next one. */
  #draft: Uint8Array | undefined
  /** Where the view is between two updates, so that one that was kept writes to no value. */
  #nowhere: Uint8Array | undefined
  #view: unknown

  constructor(name: string, native: NativeCellWriter, timestamps: boolean, schema: AnyValueSchema) {
    super(name, native, timestamps)
    this.#schema = schema
    this.#size = schema.size
  }

  override write(value: CellSource | Value): number {
    this.assertNotUpdating()
    if (isBytes(value)) return super.write(this.#judged(bytesOf(value, 'a value')))
    if (this.closed) throw this.closedError()
    const draft = (this.#draft ??= new Uint8Array(this.#size))
    // The getters of a value are anybody's code.
    this.updating = true
    try {
      this.#schema.write(draft, value)
    } finally {
      this.updating = false
    }
    return super.write(draft)
  }

  /** Text that happened to have the right length would be taken for a value. */
  override writeJson(): number {
    throw new MillraceError(
      'ERR_MILLRACE_SCHEMA',
      `cell '${this.name}' carries ${titleOf(this.#schema)}, and JSON is none; pass the value to write(), or open the ` +
        'cell without a structure',
    )
  }

  override update(fill: (view: View) => unknown, options?: UpdateOptions): number {
    const schema = this.#schema
    return this.updateBytes((bytes, before) => {
      if (before === undefined) bytes.fill(0, 0, this.#size)
      else if (before !== this.#size && options?.copy !== false) throw this.#nothingToUpdate(before)
      const nowhere = (this.#nowhere ??= new Uint8Array(this.#size))
      const view = (this.#view ??= schema.view(nowhere))
      schema.move(view, bytes)
      try {
        if (isPromise(fill(view as View))) {
          throw invalidArgument(
            'the function given to update must be done when it returns, and this one has returned a promise; wait ' +
              'first, then update',
          )
        }
      } finally {
        schema.move(view, nowhere)
      }
      return this.#size
    }, options)
  }

  #judged(bytes: Uint8Array): Uint8Array {
    if (bytes.length === this.#size) return bytes
    throw wrongSize(
      this.#schema,
      'the value',
      bytes.length,
      `write one, as a value or as its bytes; to write other bytes to cell '${this.name}', open it with ` +
        '{ schema: { fingerprint } } of this schema',
    )
  }

  #nothingToUpdate(length: number): MillraceError {
    return wrongSize(
      this.#schema,
      `the newest value of cell '${this.name}'`,
      length,
      'an earlier writer has stated no schema: replace it with write(), or with update(fill, { copy: false })',
    )
  }
}
