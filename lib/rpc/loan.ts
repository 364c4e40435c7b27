// Room for the argument of a call that is not made yet, to be written in place.

import type { LoanFillOptions } from '../base/fill-loan.js'
import type { FillSource } from '../base/fill.js'
import { disposeInEveryContext } from '../base/disposal.js'
import { inspected, inspection, jsonOf, type Inspecting } from '../base/inspection.js'
import { wholeNumber } from '../base/options.js'
import type { Bytes } from '../base/view-constructor.js'
import { MillraceError } from '../errors.js'
import type { CallResult } from './lent-result.js'
import { loanCallNames, readCall, type CallOptions, type GivenCall } from './options.js'

/** @internal Whose loan it is. */
export interface Lender {
  /** For messages: "store() at 'x'". */
  readonly what: string
  isClosed(): boolean
  assertOpen(): void
  /** Calls with the first `length` bytes. The loan has ended. */
  callLoan(loan: number, bytes: Bytes, length: number, given: GivenCall): Promise<unknown>
  cancelLoan(loan: number): void
  /** It was called or cancelled. */
  ended(loan: CallLoan): void
  /** Calls back when its owner closes, before the memory goes. */
  onClose(callback: () => void): () => void
}

/** What a call with a loan may take. */
export interface LoanCallOptions extends CallOptions {
  /** Bytes of the argument, from the start of the loan on. Default: all of it. */
  readonly length?: number | undefined
}

/**
 * The memory of an argument to be: write to `bytes`, then `call`. It takes up room from the beginning, so it is given back by
 * `cancel()`, or at the end of its `using` block, if nothing was called with it. A loan that the program lost gives it back when it is
 * garbage collected, with a warning of the process (`MILLRACE_LOAN_FORGOTTEN`, once for each handle).
 */
export class CallLoan<Result = unknown> {
  /** Bytes that were asked for. */
  readonly length: number
  readonly #lender: Lender
  readonly #bytes: Bytes
  /** Not any more after the call. */
  #loan: number | undefined
  #ends: Set<() => void> | undefined

  /** @internal */
  constructor(lender: Lender, loan: number, bytes: Bytes) {
    this.#lender = lender
    this.#loan = loan
    this.#bytes = bytes
    this.length = bytes.length
  }

  /**
   * The memory itself. It is not cleared: what is not written is sent as it was there before, of older calls.
   *
   * @throws MillraceError `RELEASED` (it was called or cancelled), `CLOSED`
   */
  get bytes(): Bytes {
    this.#open()
    return this.#bytes
  }

  /** Was it called or cancelled? */
  get ended(): boolean {
    return this.#loan === undefined
  }

  /**
   * Makes the call. There is room for it already. It ends the loan, whatever becomes of the call; only one that was refused for its
   * options leaves it open.
   *
   * @throws MillraceError (as rejection) `RELEASED` (it was called or cancelled), and as calls without a loan
   */
  call(options: LoanCallOptions & { readonly inPlace: true }): Promise<CallResult>
  call(options?: LoanCallOptions): Promise<Result>
  call(options?: LoanCallOptions): Promise<unknown> {
    try {
      const loan = this.#open()
      const given = readCall(options, loanCallNames)
      const length = wholeNumber({ length: options?.length }, 'length', this.length, [
        0,
        this.length,
      ])
      this.#end()
      return this.#lender.callLoan(loan, this.#bytes, length, given)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /**
   * Fills it from a pipe, a socket, a file or a stream, from its start on, until the source ends. Resolves with how many bytes came: what
   * `call({ length })` sends. What is a pipe is read straight into the memory.
   *
   * @throws MillraceError (as rejection) `TOO_LARGE` (the source has more), `ABORTED`, `CLOSED` (it ended meanwhile), `RELEASED`,
   *   `INVALID_ARGUMENT`; in the first two it stays open
   */
  async fillFrom(source: FillSource, options?: LoanFillOptions): Promise<number> {
    const { bytes } = this
    const { fillLoan } = require('../base/fill-loan.js') as typeof import('../base/fill-loan.js')
    const title = `this loan for ${this.#lender.what}`
    return await fillLoan({ title, bytes, onEnd: (told) => this.#onEnd(told) }, source, options)
  }

  /** Gives the room back. Once is enough; more does nothing. */
  cancel(): void {
    const loan = this.#loan
    this.#end()
    if (loan !== undefined && !this.#lender.isClosed()) this.#lender.cancelLoan(loan)
  }

  /** What `using` calls at the end of its block: `cancel()`. */
  [Symbol.dispose](): void {
    this.cancel()
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
    return inspection('CallLoan', how, () => ({
      for: this.#lender.what,
      length: this.length,
      state: this.ended ? 'ended' : this.#lender.isClosed() ? 'void' : 'open',
    }))
  }

  #onEnd(callback: () => void): () => void {
    const ends = (this.#ends ??= new Set())
    ends.add(callback)
    const stop = this.#lender.onClose(callback)
    return () => {
      ends.delete(callback)
      stop()
    }
  }

  /** Who fills it stops first: the memory is somebody else's in a moment. */
  #end(): void {
    if (this.#loan === undefined) return
    this.#loan = undefined
    for (const told of [...(this.#ends ?? [])]) told()
    this.#lender.ended(this)
  }

  #open(): number {
    if (this.#loan === undefined) {
      throw new MillraceError(
        'ERR_MILLRACE_RELEASED',
        `this loan for ${this.#lender.what} was called or cancelled; ask for another`,
      )
    }
    this.#lender.assertOpen()
    return this.#loan
  }
}
