// A message of a bus that is elsewhere: it came as a copy, which is the program's.

import { disposeInEveryContext } from '../../base/disposal.js'
import { inspected, inspection, jsonOf, type Inspecting } from '../../base/inspection.js'
import type { Bytes, PlainBuffer } from '../../base/view-constructor.js'
import { MillraceError } from '../../errors.js'
import type { Headers } from '../../topics/headers.js'
import type { TopicMessage } from '../../topics/message.js'

type Face = Omit<Pick<TopicMessage, keyof TopicMessage>, 'pinned' | 'shown'>

const none: Headers = Object.freeze({})

/** A {@link TopicMessage} with memory of its own. */
export class RemoteMessage implements Face {
  readonly subject: string
  readonly index: number
  readonly length: number
  readonly missed: number
  readonly publishedAt: number
  readonly #title: string
  readonly #bytes: Uint8Array
  readonly #headers: Headers
  #released = false

  constructor(
    title: string,
    facts: Pick<TopicMessage, 'subject' | 'index' | 'missed' | 'publishedAt'> & {
      readonly headers?: Headers | undefined
    },
    missed: number,
    bytes: Uint8Array,
  ) {
    this.#title = title
    this.subject = facts.subject
    this.index = facts.index
    this.missed = missed
    this.publishedAt = facts.publishedAt
    this.#headers = facts.headers ?? none
    this.#bytes = bytes
    this.length = bytes.length
  }

  get bytes(): Bytes {
    this.#assertHeld()
    return this.#bytes as Bytes
  }

  get headers(): Headers {
    this.#assertHeld()
    return this.#headers
  }

  copy(): PlainBuffer {
    this.#assertHeld()
    const copy = Buffer.allocUnsafeSlow(this.length)
    copy.set(this.#bytes)
    return copy
  }

  text(): string {
    const { buffer, byteOffset, length } = this.bytes
    return Buffer.from(buffer, byteOffset, length).toString()
  }

  get released(): boolean {
    return this.#released
  }

  release(): void {
    this.#released = true
  }

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
    return inspection('TopicMessage', how, () => ({
      subject: this.subject,
      index: this.index,
      length: this.length,
      missed: this.missed,
      released: this.#released,
    }))
  }

  #assertHeld(): void {
    if (!this.#released) return
    throw new MillraceError(
      'ERR_MILLRACE_RELEASED',
      `this message of ${this.#title} was released: take what you need before`,
    )
  }
}
