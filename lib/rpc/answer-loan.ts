// Room for the result of a handler, to be written in place.

import type { LoanFillOptions } from '../base/fill-loan.js'
import type { FillSource } from '../base/fill.js'
import { inspected, inspection, jsonOf, type Inspecting } from '../base/inspection.js'
import { assertLength } from './lending.js'
import type { Bytes } from '../base/view-constructor.js'
import { MillraceError } from '../errors.js'

/**
 * The memory of a result to be, from `context.loan(length)`: write to `bytes`, then return the loan from the handler, or `bytes`, or a
 * part of them. It needs no `using`: if the handler throws, or returns something else, its room is given back with the answer.
 */
export class AnswerLoan {
  /** Bytes that were asked for. */
  readonly length: number
  readonly #what: string
  readonly #bytes: Bytes
  readonly #cancel: () => void
  #given: number
  #ended = false
  #ends: Set<() => void> | undefined

  /** @internal `cancel`: gives the room back. */
  constructor(what: string, bytes: Bytes, cancel: () => void) {
    this.#what = what
    this.#bytes = bytes
    this.#cancel = cancel
    this.length = this.#given = bytes.length
  }

  /**
   * The memory itself. It is not cleared: what is not written is sent as it was there before, of older calls.
   *
   * @throws MillraceError `RELEASED` (it was cancelled, or the call was answered)
   */
  get bytes(): Bytes {
    this.#open()
    return this.#bytes
  }

  /** Was it cancelled, or the call answered? */
  get ended(): boolean {
    return this.#ended
  }

  /** The result is the first so many bytes of it, not all: `return loan.first(n)`. Errors as `bytes`, and `INVALID_ARGUMENT`. */
  first(length: number): this {
    this.#open()
    this.#given = assertLength(length, this.length)
    return this
  }

  /**
   * Fills it from a pipe, a socket, a file or a stream, from its start on, until the source ends. Resolves with how many bytes came: what
   * `first` takes. Errors as those of `CallLoan.fillFrom`.
   */
  async fillFrom(source: FillSource, options?: LoanFillOptions): Promise<number> {
    const { bytes } = this
    const { fillLoan } = require('../base/fill-loan.js') as typeof import('../base/fill-loan.js')
    const onEnd = (told: () => void): (() => void) => {
      const ends = (this.#ends ??= new Set())
      ends.add(told)
      return () => ends.delete(told)
    }
    return await fillLoan({ title: `this loan for ${this.#what}`, bytes, onEnd }, source, options)
  }

  /** Gives the room back; then another loan can be had. Once is enough; more does nothing. */
  cancel(): void {
    if (this.#ended) return
    this.#end()
    this.#cancel()
  }

  /** For `JSON.stringify`: what `console.log` shows, without the bytes. Never throws. */
  toJSON(): object {
    return jsonOf(this)
  }

  /** @internal What `console.log` shows. */
  [inspected](...how: Inspecting): string {
    return inspection('AnswerLoan', how, () => ({
      for: this.#what,
      length: this.length,
      state: this.#ended ? 'ended' : 'open',
    }))
  }

  /** @internal The call is answered, or about to be. */
  static over(loan: AnswerLoan): void {
    if (!loan.#ended) loan.#end()
  }

  /**
   * @internal How many bytes from its start on are the result, if the handler has returned the loan, or a part of its memory, which is put
   * to its start then; undefined: something else.
   */
  static givenBy(loan: AnswerLoan, value: unknown): number | undefined {
    if (loan.#ended) return undefined
    if (value === loan) return loan.#given
    if (!(value instanceof Uint8Array)) return undefined
    const bytes = loan.#bytes
    const from = value.byteOffset - bytes.byteOffset
    if (value.buffer !== bytes.buffer || from < 0 || from + value.length > bytes.length) {
      return undefined
    }
    if (from > 0) bytes.copyWithin(0, from, from + value.length)
    return value.length
  }

  /** @internal What goes over a connection: the loan's bytes if it is one, otherwise the value. */
  static valueOf(value: unknown): unknown {
    if (!(value instanceof AnswerLoan)) return value
    value.#open()
    return value.#bytes.subarray(0, value.#given)
  }

  #end(): void {
    this.#ended = true
    for (const told of [...(this.#ends ?? [])]) told()
  }

  #open(): void {
    if (!this.#ended) return
    throw new MillraceError(
      'ERR_MILLRACE_RELEASED',
      `this loan for ${this.#what} was cancelled, or its call was answered; ask for another`,
    )
  }
}
