// The writing side of a cell.

import { disposeInEveryContext } from '../base/disposal.js'
import { ifAllowed } from '../base/borrowing.js'
import { bytesOf, type ByteSource } from '../base/bytes.js'
import { closedError, invalidArgument, MillraceError } from '../errors.js'
import { closeIt, onLeaving } from '../addon/leaving.js'
import { Outcome } from '../addon/outcome.js'
import type { NativeCellWriter } from '../addon/cell.js'
import { factsOf, inspected, inspection, jsonOf, type Inspecting } from '../base/inspection.js'
import { tellClosed, tellOpened } from '../base/life.js'
import { checkOptions, flag, show } from '../base/options.js'
import { isPromise } from '../base/promised.js'
import type { Bytes } from '../base/view-constructor.js'
import { mostByWords } from './slot-layout.js'
import { SlotWriter } from './slot-writer.js'
import { inOrder } from './slots.js'

/** What can be written: bytes as they are, a string as UTF-8. */
export type CellSource = ByteSource

/** Options of {@link CellWriter.update}. */
export interface UpdateOptions {
  /** Does it start as the newest value? Default true. */
  readonly copy?: boolean | undefined
}

/**
 * The writer of a cell, from `Cell.writer`; there is one at a time. Beside bytes it writes values of type `Value`, if it was
 * opened with a `struct()` as `schema`; every value of the cell is one then, and `update` shows a `View` of it.
 */
export class CellWriter<Value = never, View = Bytes> {
  /** The name it was opened by. */
  readonly name: string
  /** Bytes of the largest value. */
  readonly maxBytes: number
  /** Places for values. */
  readonly slots: number
  /** @internal */
  protected readonly native: NativeCellWriter
  /** Once two short values were written that may be written in JavaScript; not any more after closing. */
  #inWords: SlotWriter | undefined
  #wantsWords: boolean
  #isFirst = true
  /** Of the places for values, by their offset; made at first use. */
  readonly #views = new Map<number, Bytes>()
  #buffer: ArrayBuffer | undefined
  /** @internal Is somebody else's code running, which must find the cell as it is? */
  protected updating = false
  #closed = false
  readonly #unknow: () => void

  /** @internal */
  constructor(name: string, native: NativeCellWriter, timestamps: boolean) {
    this.name = name
    this.#wantsWords = inOrder && !timestamps
    this.maxBytes = native.maxBytes
    this.slots = native.slots
    this.native = native
    this.#unknow = onLeaving(this, closeIt)
    tellOpened(this)
  }

  /** Has this side been closed? */
  get closed(): boolean {
    return this.#closed
  }

  /** Of the newest value; 0 before the first. */
  get version(): number {
    return this.native.version()
  }

  /**
   * Is anybody reading? Two system calls.
   *
   * @throws MillraceError `CORRUPT` (the memory was shortened)
   */
  get hasReaders(): boolean {
    const error = this.native.damage()
    if (error !== undefined) {
      this.close()
      throw error
    }
    return this.native.hasReaders()
  }

  /**
   * Replaces the value by a copy of `value` and returns its version: 1 for the first, then one more each
   * time. Never waits; readers that do are woken. With a structure as `schema`: its value, a view of it, or the bytes of
   * exactly one.
   *
   * @throws MillraceError `TOO_LARGE` (more than `maxBytes`), `SCHEMA` (not the bytes of one value), `CLOSED`,
   *   `INVALID_ARGUMENT`, `BUSY` (inside `update`)
   */
  write(value: CellSource | Value): number {
    this.assertNotUpdating()
    const version = this.#inWords?.write(value as ArrayBufferView) ?? 0
    return version > 0 ? version : this.#writeNatively(value as CellSource)
  }

  #writeNatively(value: CellSource): number {
    const bytes = bytesOf(value, 'a value')
    const version = this.native.write(bytes)
    if (version > 0) {
      if (this.#wantsWords && bytes.length <= mostByWords && ArrayBuffer.isView(value)) {
        this.#wrote(value)
      }
      return version
    }
    if (version === Outcome.tooLarge) {
      throw new MillraceError(
        'ERR_MILLRACE_TOO_LARGE',
        `a value of ${String(bytes.byteLength)} bytes does not fit cell '${this.name}', whose limit is ` +
          `${String(this.maxBytes)} bytes; create it with a larger maxBytes`,
      )
    }
    throw this.closedError()
  }

  /** Perhaps the same bytes come again. A program that writes but once need not pay for that. */
  #wrote(value: ArrayBufferView): void {
    if (this.#inWords === undefined) {
      if (this.#isFirst) {
        this.#isFirst = false
        return
      }
      const buffer = ifAllowed(() => (this.#buffer ??= this.native.buffer()))
      this.#wantsWords = buffer !== undefined
      if (buffer === undefined) return
      this.#inWords = new SlotWriter(this.native, buffer)
    }
    this.#inWords.wrote(value)
  }

  /**
   * Replaces the value by `value` as JSON; readers get it back with `json()`. Otherwise as `write`.
   *
   * @throws MillraceError as `write`; `INVALID_ARGUMENT` also for what JSON cannot say (`undefined`, a function, a
   *   bigint, a circle); `SCHEMA` if the cell carries the values of a structure
   */
  writeJson(value: unknown): number {
    let text: unknown
    let cause: unknown
    try {
      text = JSON.stringify(value)
    } catch (error) {
      cause = error
    }
    if (typeof text === 'string') return this.write(text)
    throw new MillraceError('ERR_MILLRACE_INVALID_ARGUMENT', `JSON cannot say ${show(value)}`, {
      cause,
    })
  }

  /**
   * Replaces the value by what `fill` makes of it, in place: `fill` gets `maxBytes` of the shared memory
   * itself, which start as the newest value, and readers get them when it returns. It may return the new
   * length in bytes; without one the length stays as it was (`maxBytes` if there was no value yet). If it
   * throws, nothing has happened. Returns the version.
   *
   * `copy: false` leaves out the copy of the newest value, for a `fill` that writes every byte: what is
   * there then is some older value. The view is valid only during the call.
   *
   * With a structure as `schema`, `fill` gets a view of it in place of the bytes, all zeroes if there was no value yet, and
   * what it returns does not count.
   *
   * @throws MillraceError `CLOSED`, `INVALID_ARGUMENT` (the returned length; a promise), `BUSY` (inside `update`),
   *   `SCHEMA` (the newest value is none of the structure, and would have been copied), `UNSUPPORTED_RUNTIME`
   *   (Electron: use `write`)
   */
  update(
    fill: (view: View) => number | undefined | void, // eslint-disable-line @typescript-eslint/no-invalid-void-type -- a function that returns nothing
    options?: UpdateOptions,
  ): number {
    return this.updateBytes(fill as (bytes: Bytes) => unknown, options)
  }

  /** @internal `before` is the length of the newest value, `undefined` if there is none. */
  protected updateBytes(
    fill: (bytes: Bytes, before: number | undefined) => unknown,
    options: UpdateOptions | undefined,
  ): number {
    const given = checkOptions(options, ['copy'])
    const copy = given.copy === undefined || flag(given, 'copy')
    this.assertNotUpdating()
    if (this.closed) throw this.closedError()
    this.#buffer ??= this.native.buffer()
    const offset = this.native.begin()
    const view = this.#viewAt(this.#buffer, offset)
    const before = this.version === 0 ? undefined : this.native.length()
    if (copy) this.native.copyNewest()
    this.updating = true
    let length: unknown
    try {
      length = fill(view, before)
    } finally {
      this.updating = false
    }
    length ??= before ?? this.maxBytes
    const version = Number.isInteger(length)
      ? this.native.publish(length as number)
      : Outcome.invalid
    if (version > 0) return version
    if (version === Outcome.closed) throw this.closedError()
    throw invalidArgument(
      `update must return a whole number of bytes up to ${String(this.maxBytes)}, or nothing` +
        (isPromise(length)
          ? ', no promise: the view is valid only during the call; await first, then update'
          : ''),
    )
  }

  /**
   * Leaves the cell. Readers keep the value, and are told that no more will come. The last one to leave
   * removes the cell, unless it is to be kept.
   */
  close(): void {
    if (this.#closed) return
    this.#closed = true
    this.#unknow()
    this.#inWords = undefined
    this.#wantsWords = false
    this.#buffer = undefined
    this.#views.clear()
    this.native.close()
    tellClosed(this)
  }

  /** What `using` calls at the end of its block: `close()`. */
  [Symbol.dispose](): void {
    this.close()
  }

  static {
    disposeInEveryContext(this.prototype)
  }

  /** For `JSON.stringify`: what `console.log` shows. Never throws. */
  toJSON(): object {
    return jsonOf(this)
  }

  /** @internal What `console.log` shows. */
  [inspected](...how: Inspecting): string {
    return inspection('CellWriter', how, () =>
      factsOf(this, ['name', 'maxBytes', 'slots'], ['version', 'hasReaders'], this.native.whole()),
    )
  }

  #viewAt(buffer: ArrayBuffer, offset: number): Bytes {
    const known = this.#views.get(offset)
    if (known !== undefined) return known
    const view = new Uint8Array(buffer, offset, this.maxBytes)
    this.#views.set(offset, view)
    return view
  }

  /** @internal */
  protected assertNotUpdating(): void {
    if (!this.updating) return
    throw new MillraceError(
      'ERR_MILLRACE_BUSY',
      `cell '${this.name}' is being written; return from the function given to update, or the getter of a value, first`,
    )
  }

  /** @internal */
  protected closedError(): MillraceError {
    return closedError(`the writer of cell '${this.name}'`)
  }
}
