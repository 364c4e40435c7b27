// Room for a job that is pushed elsewhere: memory of this process.

import { disposeInEveryContext } from '../../base/disposal.js'
import { inspected, inspection, jsonOf, type Inspecting } from '../../base/inspection.js'
import { checkOptions, wholeNumber } from '../../base/options.js'
import type { Bytes } from '../../base/view-constructor.js'
import { closedError, MillraceError } from '../../errors.js'
import type { LoanPushOptions, PushResult, WorkLoan } from '../../work/loan.js'
import { jobNames, type JobOptions } from '../../work/options.js'

interface Lender {
  isClosed(): boolean
  push(bytes: Uint8Array, options: JobOptions): Promise<PushResult>
}

type Face = Omit<Pick<WorkLoan, keyof WorkLoan>, 'push'>

/** A {@link WorkLoan} whose `push` returns a promise. */
export class RemoteLoan implements Face {
  readonly length: number
  readonly #name: string
  readonly #lender: Lender
  #bytes: Bytes | undefined

  constructor(name: string, length: number, lender: Lender) {
    this.#name = name
    this.#lender = lender
    this.length = length
    this.#bytes = new Uint8Array(length)
  }

  get bytes(): Bytes {
    return this.#open()
  }

  get ended(): boolean {
    return this.#bytes === undefined
  }

  /** Pushes the job; resolves when it is in the queue. */
  push(options?: LoanPushOptions): Promise<PushResult> {
    const bytes = this.#open()
    const { length: given, ...job } = checkOptions(options, ['length', ...jobNames])
    const length = wholeNumber({ length: given }, 'length', this.length, [0, this.length])
    this.#bytes = undefined
    return this.#lender.push(bytes.subarray(0, length), job)
  }

  cancel(): void {
    this.#bytes = undefined
  }

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
      queue: this.#name,
      length: this.length,
      state: this.ended ? 'ended' : this.#lender.isClosed() ? 'void' : 'open',
    }))
  }

  #open(): Bytes {
    if (this.#bytes === undefined) {
      throw new MillraceError(
        'ERR_MILLRACE_RELEASED',
        `this loan of work queue '${this.#name}' was pushed or cancelled; ask for another`,
      )
    }
    if (this.#lender.isClosed()) throw closedError(`work queue '${this.#name}'`)
    return this.#bytes
  }
}
