// Room for a message that is published elsewhere: memory of this process.

import { disposeInEveryContext } from '../../base/disposal.js'
import type { LoanFillOptions } from '../../base/fill-loan.js'
import type { FillSource } from '../../base/fill.js'
import { inspected, inspection, jsonOf, type Inspecting } from '../../base/inspection.js'
import { wholeNumber, type WaitOptions } from '../../base/options.js'
import type { Bytes } from '../../base/view-constructor.js'
import { closedError, MillraceError } from '../../errors.js'
import type { TopicLoan } from '../../topics/loan.js'
import { unsupported } from '../unsupported.js'

interface Lender {
  isClosed(): boolean
  publish(bytes: Uint8Array, wait: WaitOptions | undefined): Promise<number>
}

type Face = Pick<TopicLoan, keyof TopicLoan>

/** A {@link TopicLoan} whose bytes are sent when it is published. */
export class RemoteTopicLoan implements Face {
  readonly subject: string
  readonly length: number
  readonly #name: string
  readonly #lender: Lender
  #bytes: Bytes | undefined
  /** Of those who fill it. */
  readonly #stops = new Set<() => void>()

  constructor(name: string, subject: string, length: number, lender: Lender) {
    this.#name = name
    this.subject = subject
    this.length = length
    this.#lender = lender
    this.#bytes = new Uint8Array(length)
  }

  get bytes(): Bytes {
    return this.#open()
  }
  get ended(): boolean {
    return this.#bytes === undefined
  }

  async publish(length?: number, options?: WaitOptions): Promise<number> {
    const bytes = this.#open()
    const used = wholeNumber({ length }, 'length', this.length, [0, this.length])
    const matched = await this.#lender.publish(bytes.subarray(0, used), options)
    this.#bytes = undefined
    return matched
  }

  tryPublish(): never {
    throw unsupported(`tryPublish() of a loan of topics '${this.#name}'`, 'await publish()')
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
      { title: `this loan of topics '${this.#name}'`, bytes, onEnd },
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
    return inspection('TopicLoan', how, () => ({
      topics: this.#name,
      subject: this.subject,
      length: this.length,
      state: this.ended ? 'ended' : this.#lender.isClosed() ? 'void' : 'open',
    }))
  }

  #open(): Bytes {
    if (this.#bytes === undefined) {
      throw new MillraceError(
        'ERR_MILLRACE_RELEASED',
        `this loan of topics '${this.#name}' was published or cancelled; ask for another`,
      )
    }
    if (this.#lender.isClosed()) throw closedError(`topics '${this.#name}'`)
    return this.#bytes
  }
}
