// Room for the payload of a job that is not pushed yet, to be written in place.

import { disposeInEveryContext } from '../base/disposal.js'
import type { LoanFillOptions } from '../base/fill-loan.js'
import type { FillSource } from '../base/fill.js'
import { inspected, inspection, jsonOf, type Inspecting } from '../base/inspection.js'
import { checkOptions, wholeNumber } from '../base/options.js'
import type { Bytes } from '../base/view-constructor.js'
import { MillraceError } from '../errors.js'
import { jobNames, type JobOptions } from './options.js'

/** @internal Whose loan it is. */
export interface Lender {
  readonly name: string
  isClosed(): boolean
  /** True if it was pushed, false if its id was known. `judged`: the options are right. */
  pushLoan(loan: number, length: number, options: JobOptions, judged: () => void): boolean
  cancelLoan(loan: number): void
  assertOpen(): void
  /** It was pushed or cancelled. */
  ended(loan: WorkLoan): void
  /** Calls back when its owner closes, before the memory goes; until the function that is returned is called. */
  onClose(callback: () => void): () => void
}

/**
 * @internal Room that a program lost (the code between `loan` and `push` threw) would be taken as long as its handle is open. So
 * it is given back when the loan is collected, with all that shows its memory.
 */
export class LoanWatch {
  readonly #registry: FinalizationRegistry<number>
  readonly #ofBytes = new WeakMap<object, WorkLoan>()

  /** `forgotten`: may hold no loan. */
  constructor(forgotten: (loan: number) => void) {
    this.#registry = new FinalizationRegistry(forgotten)
  }

  add(loan: WorkLoan, index: number, bytes: object): void {
    this.#registry.register(loan, index, loan)
    this.#ofBytes.set(bytes, loan)
  }

  end(loan: WorkLoan): void {
    this.#registry.unregister(loan)
  }
}

/** What became of a push. */
export interface PushResult {
  /** Was its `id` pushed before, within the queue's `dedupWindow`? Then nothing was added. */
  readonly duplicate: boolean
}

/** @internal */
export const pushed: PushResult = Object.freeze({ duplicate: false })
/** @internal */
export const duplicate: PushResult = Object.freeze({ duplicate: true })

/** What becomes of a loan. */
export interface LoanPushOptions extends JobOptions {
  /** Bytes of the payload, from the start of the loan on. Default: all of it. */
  readonly length?: number | undefined
}

const loanPushNames = ['length', ...jobNames] as const

/**
 * The memory of a job to be: write to `bytes`, then `push`. It takes up room in the queue from the beginning, so it is given back
 * by `cancel()`, or at the end of its `using` block, if it is not pushed. A loan that the program lost gives it back when it is
 * garbage collected, with a warning of the process (`MILLRACE_LOAN_FORGOTTEN`, once for each handle).
 */
export class WorkLoan {
  /** Bytes that were asked for. */
  readonly length: number
  readonly #lender: Lender
  readonly #bytes: Bytes
  /** Not any more after the push. */
  #loan: number | undefined
  /** Of those who fill it. */
  readonly #stops = new Set<() => void>()

  /** @internal */
  constructor(lender: Lender, loan: number, bytes: Bytes) {
    this.#lender = lender
    this.#loan = loan
    this.#bytes = bytes
    this.length = bytes.length
  }

  /**
   * The memory itself. It is not cleared: what is not written is pushed as it was there before, of older jobs.
   *
   * @throws MillraceError `RELEASED` (it was pushed or cancelled), `CLOSED`
   */
  get bytes(): Bytes {
    this.#open()
    return this.#bytes
  }

  /** Was it pushed or cancelled? */
  get ended(): boolean {
    return this.#loan === undefined
  }

  /**
   * Pushes the job. Never blocks: there is room already.
   *
   * @throws MillraceError `INVALID_ARGUMENT` (it stays open), `RELEASED`, `CLOSED`; `TOO_LARGE` (it stays open: `id` and `group`
   *   together are longer than 240 bytes, or than what the largest payload leaves); `BUSY` (it stays open: another process is
   *   stopped in the middle of a push with an `id` or a `group`); with durability `disk` `SYSTEM` or `NO_SPACE` (it stays open:
   *   the disk has failed)
   */
  push(options?: LoanPushOptions): PushResult {
    const loan = this.#open()
    const { length: given, ...job } = checkOptions(options, loanPushNames)
    const length = wholeNumber({ length: given }, 'length', this.length, [0, this.length])
    const isNew = this.#lender.pushLoan(loan, length, job, () => {
      this.#stopFilling()
    })
    this.#end()
    return isNew ? pushed : duplicate
  }

  /**
   * Fills it from a pipe, a socket, a file or a stream, from its start on, until the source ends. Resolves with how many bytes came: what
   * `push({ length })` takes. What is a pipe is read straight into the memory. Pushing or cancelling it ends that, and so does closing the
   * queue.
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
    const title = `this loan of work queue '${this.#lender.name}'`
    return await fillLoan({ title, bytes, onEnd }, source, options)
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
    return inspection('WorkLoan', how, () => ({
      queue: this.#lender.name,
      length: this.length,
      state: this.ended ? 'ended' : this.#lender.isClosed() ? 'void' : 'open',
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
        `this loan of work queue '${this.#lender.name}' was pushed or cancelled; ask for another`,
      )
    }
    this.#lender.assertOpen()
    return this.#loan
  }
}
