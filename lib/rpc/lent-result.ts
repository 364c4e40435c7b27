// The result of a call where it lies.

import { disposeInEveryContext } from '../base/disposal.js'
import { inspected, inspection, jsonOf, type Inspecting } from '../base/inspection.js'
import type { Bytes, PlainBuffer } from '../base/view-constructor.js'
import { MillraceError } from '../errors.js'

/** @internal Whose result it is. */
export interface ResultOwner {
  isClosed(): boolean
  assertOpen(): void
  /** It is done with. */
  releaseResult(result: CallResult, slot: number): void
}

/**
 * The result of a call with `inPlace: true`: its bytes where they lie, until `release()` or the end of its `using` block. Until then it
 * takes up the room of a call and of its bytes. One that the program lost is released when it is garbage collected, with a warning of the
 * process (`MILLRACE_LOAN_FORGOTTEN`, once for each handle).
 */
export class CallResult {
  /** Bytes. */
  readonly length: number
  readonly #what: string
  readonly #owner: ResultOwner
  readonly #bytes: Bytes
  /** Below zero: the bytes are this process's own. */
  readonly #slot: number
  #released = false

  /** @internal */
  constructor(owner: ResultOwner, what: string, bytes: Bytes, slot: number) {
    this.#owner = owner
    this.#what = what
    this.#bytes = bytes
    this.#slot = slot
    this.length = bytes.length
  }

  /**
   * The bytes: nothing was copied, unless there are few of them (4 KiB), or they came over a connection, or the runtime shows no
   * memory (Electron). A plain Uint8Array, no Buffer. Do not keep it beyond the release: views read whatever comes to lie there then. When
   * the client closes, all views become empty.
   *
   * @throws MillraceError `RELEASED`, `CLOSED`
   */
  get bytes(): Bytes {
    if (this.#released) {
      throw new MillraceError(
        'ERR_MILLRACE_RELEASED',
        `this result of ${this.#what} was released: copy() what is needed longer`,
      )
    }
    if (this.#slot >= 0) this.#owner.assertOpen()
    return this.#bytes
  }

  /** Was it released? */
  get released(): boolean {
    return this.#released
  }

  /** A copy of the bytes, which can be kept. Errors as `bytes`. */
  copy(): PlainBuffer {
    const { bytes } = this
    const copy = Buffer.allocUnsafeSlow(bytes.length)
    copy.set(bytes)
    return copy
  }

  /** Gives the room back. Once is enough; more does nothing. */
  release(): void {
    if (this.#released) return
    this.#released = true
    if (this.#slot >= 0 && !this.#owner.isClosed()) this.#owner.releaseResult(this, this.#slot)
  }

  /** What `using` calls at the end of its block: `release()`. */
  [Symbol.dispose](): void {
    this.release()
  }

  static {
    disposeInEveryContext(this.prototype)
  }

  /** For `JSON.stringify`: what `console.log` shows, without the bytes. Never throws. */
  toJSON(): object {
    return jsonOf(this)
  }

  /** @internal What `console.log` shows. */
  [inspected](...how: Inspecting): string {
    return inspection('CallResult', how, () => ({
      of: this.#what,
      length: this.length,
      state: this.#released
        ? 'released'
        : this.#slot >= 0 && this.#owner.isClosed()
          ? 'void'
          : 'held',
    }))
  }
}
