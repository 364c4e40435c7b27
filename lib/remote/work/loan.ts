// Room for a job that is pushed elsewhere: memory of this process.

import { disposeInEveryContext } from '../../base/disposal.js'
import type { LoanFillOptions } from '../../base/fill-loan.js'
import type { FillSource } from '../../base/fill.js'
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
  /** Of those who fill it. */
  readonly #stops = new Set<() => void>()

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
    this.cancel()
    return this.#lender.push(bytes.subarray(0, length), job)
  }

  async fillFrom(source: FillSource, options?: LoanFillOptions): Promise<number> {
    const bytes = this.#open()
    const { fillLoan } =
      require('../../base/fill-loan.js') as typeof import('../../base/fill-loan.js')
    const onEnd = (stop: () => void): (() => void) => {
      this.#stops.add(stop)
      return () => this.#stops.delete(stop)
    }
    return await fillLoan(
      { title: `this loan of work queue '${this.#name}'`, bytes, onEnd },
      source,
      options,
    )
  }

  cancel(): void {
    this.#bytes = undefined
    for (const stop of [...this.#stops]) stop()
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
