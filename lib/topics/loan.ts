// Room for a message that is not published yet, to be written in place.

import { disposeInEveryContext } from '../base/disposal.js'
import type { LoanFillOptions } from '../base/fill-loan.js'
import type { FillSource } from '../base/fill.js'
import { fairly } from '../base/fairness.js'
import { inspected, inspection, jsonOf, type Inspecting } from '../base/inspection.js'
import { readWait, wholeNumber, type Wait, type WaitOptions } from '../base/options.js'
import type { Bytes } from '../base/view-constructor.js'
import { MillraceError } from '../errors.js'

/** @internal Whose loan it is. */
export interface Lender {
  readonly name: string
  readonly title: string
  readonly closed: boolean
  /** For how many it was; undefined: there is no place for it now. */
  publishLoan(loan: number, length: number, headers: Uint8Array): number | undefined
  /** What `attempt` finds when there is a place. */
  whenRoom(attempt: () => number | undefined, wait: Wait): Promise<number>
  cancelLoan(loan: number): void
  assertOpen(): void
  /** It was published or cancelled. */
  ended(loan: TopicLoan): void
  /** Calls back when its owner closes, before the memory goes; until the function that is returned is called. */
  onClose(callback: () => void): () => void
}

/**
 * The memory of a message to be: write to `bytes`, then `publish`. It takes up room in the bus from the beginning, so it is given
 * back by `cancel()`, or at the end of its `using` block, if it is not published. A loan that the program lost gives it back when it
 * is garbage collected, with a warning of the process (`MILLRACE_LOAN_FORGOTTEN`, once for each handle).
 */
export class TopicLoan {
  /** What the message will be about. */
  readonly subject: string
  /** Bytes that were asked for. */
  readonly length: number
  readonly #lender: Lender
  readonly #bytes: Bytes
  readonly #headers: Uint8Array
  /** Not any more after the publish. */
  #loan: number | undefined
  /** Of those who fill it. */
  readonly #stops = new Set<() => void>()

  /** @internal */
  constructor(lender: Lender, loan: number, subject: string, bytes: Bytes, headers: Uint8Array) {
    this.#lender = lender
    this.#loan = loan
    this.subject = subject
    this.#bytes = bytes
    this.#headers = headers
    this.length = bytes.length
  }

  /**
   * The memory itself. It is not cleared: what is not written is published as it was there before, of older messages.
   *
   * @throws MillraceError `RELEASED` (it was published or cancelled), `CLOSED`
   */
  get bytes(): Bytes {
    this.#open()
    return this.#bytes
  }

  /** Was it published or cancelled? */
  get ended(): boolean {
    return this.#loan === undefined
  }

  /**
   * Publishes the message: the first `length` bytes, by default all. Resolves with the number of subscribers it was for. There is
   * room for its bytes already; it waits as long as a subscriber lags behind as far as it may, and the loan stays open.
   *
   * @throws MillraceError (as rejection) `INVALID_ARGUMENT`, `ABORTED`, `TIMEOUT` (in all of these it stays open), `RELEASED`,
   *   `CLOSED`, `CORRUPT`
   */
  publish(length?: number, options?: WaitOptions): Promise<number> {
    try {
      const wait = readWait(options)
      const matched = this.tryPublish(length)
      if (matched !== undefined) return fairly(matched)
      return this.#lender.whenRoom(() => this.tryPublish(length), wait)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** As `publish`, if there is a place for it now; otherwise undefined, and the loan stays open. Never blocks. */
  tryPublish(length?: number): number | undefined {
    const loan = this.#open()
    const most = this.#bytes.length
    const bytes = wholeNumber({ length }, 'length', most, [0, most])
    this.#stopFilling()
    const matched = this.#lender.publishLoan(loan, bytes, this.#headers)
    if (matched !== undefined) this.#end()
    return matched
  }

  /**
   * Fills it from a pipe, a socket, a file or a stream, from its start on, until the source ends. Resolves with how many bytes came: what
   * `publish(length)` takes. What is a pipe is read straight into the memory. Publishing or cancelling it ends that.
   *
   * @throws MillraceError (as rejection) `TOO_LARGE` (the source has more), `ABORTED`, `CLOSED` (it ended meanwhile), `RELEASED`,
   *   `INVALID_ARGUMENT`; in the first two it stays open
   */
  async fillFrom(source: FillSource, options?: LoanFillOptions): Promise<number> {
    const { bytes } = this
    const { fillLoan } = require('../base/fill-loan.js') as typeof import('../base/fill-loan.js')
    const onEnd = (stop: () => void): (() => void) => {
      this.#stops.add(stop)
      const forget = this.#lender.onClose(stop)
      return () => {
        this.#stops.delete(stop)
        forget()
      }
    }
    return await fillLoan(
      { title: `this loan of ${this.#lender.title}`, bytes, onEnd },
      source,
      options,
    )
  }

  /** Gives the room back. Once is enough; more does nothing. */
  cancel(): void {
    const loan = this.#loan
    this.#end()
    if (loan !== undefined && !this.#lender.closed) this.#lender.cancelLoan(loan)
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
    return inspection('TopicLoan', how, () => ({
      topics: this.#lender.name,
      subject: this.subject,
      length: this.length,
      state: this.ended ? 'ended' : this.#lender.closed ? 'void' : 'open',
    }))
  }

  #end(): void {
    if (this.#loan === undefined) return
    this.#loan = undefined
    this.#stopFilling()
    this.#lender.ended(this)
  }

  /** The memory is somebody else's in a moment. */
  #stopFilling(): void {
    for (const stop of [...this.#stops]) stop()
  }

  #open(): number {
    if (this.#loan === undefined) {
      throw new MillraceError(
        'ERR_MILLRACE_RELEASED',
        `this loan of ${this.#lender.title} was published or cancelled; ask for another`,
      )
    }
    this.#lender.assertOpen()
    return this.#loan
  }
}
