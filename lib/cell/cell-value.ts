// One value of a cell, as it was read.

import { inspected, inspection, jsonOf, type Inspecting } from '../base/inspection.js'
import type { PlainBuffer } from '../base/view-constructor.js'
import { MillraceError } from '../errors.js'

/** One value, copied out of the cell. */
export class CellValue {
  /** A copy: yours to keep and to change. */
  readonly bytes: PlainBuffer
  /** 1 for the first value, then one more each time. */
  readonly version: number
  /** When it was written: nanoseconds of `monotonicNow()`. */
  readonly timestamp: bigint
  readonly #cell: string

  /** @internal */
  constructor(cell: string, bytes: PlainBuffer, version: number, timestamp: bigint) {
    this.#cell = cell
    this.bytes = bytes
    this.version = version
    this.timestamp = timestamp
  }

  /** For `JSON.stringify`: what `console.log` shows, but how many bytes there are instead of the bytes. Never throws. */
  toJSON(): object {
    return { ...jsonOf(this), byteLength: this.bytes.byteLength }
  }

  /** @internal What `console.log` shows. */
  [inspected](...how: Inspecting): string {
    return inspection('CellValue', how, () => {
      const { version, timestamp, bytes } = this
      return { cell: this.#cell, version, timestamp, bytes }
    })
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
