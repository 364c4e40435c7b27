// A message as a subscriber has it: its facts, and its bytes: copied if it is small, otherwise where they lie.

import { disposeInEveryContext } from '../base/disposal.js'
import { inspected, inspection, jsonOf, type Inspecting } from '../base/inspection.js'
import type { Bytes, PlainBuffer } from '../base/view-constructor.js'
import { MillraceError } from '../errors.js'
import type { Headers } from './headers.js'

/** @internal Where the bytes of messages are. */
export interface Store {
  /** For messages: "topics 'x'". */
  readonly title: string
  readonly closed: boolean
  closedError(): MillraceError
  /** Of a message in place. */
  view(message: TopicMessage, offset: number, length: number): Bytes
  copyOut(offset: number, target: Uint8Array): void
  headers(bytes: Uint8Array): Headers
  /** It is needed no more. */
  release(message: TopicMessage, pin: number): void
}

const none: Headers = Object.freeze({})

/**
 * A message of a bus. Up to 512 bytes `bytes` is a copy, which is the program's; of longer ones it is the memory of the bus, where
 * nothing was copied, valid until the message is released: `for await (using message of subscription)`.
 */
export class TopicMessage {
  /** What it is about. */
  readonly subject: string
  /** Its place in the order of all messages of the bus, the same for all subscribers. */
  readonly index: number
  /** Bytes of the payload. */
  readonly length: number
  /** How many messages of this subscription were overwritten between the one before and this one: with `overwrite-oldest`. */
  readonly missed: number
  readonly #store: Store
  readonly #publishedAt: number
  readonly #offset: number
  /** What it was copied to; undefined: it lies in the bus. */
  readonly #copied: ArrayBuffer | undefined
  readonly #headersLength: number
  /** -1: none, or given back. */
  #pin: number
  #released = false
  #bytes: Bytes | undefined
  #headers: Headers | undefined

  /** @internal */
  constructor(
    store: Store,
    subject: string,
    index: number,
    length: number,
    missed: number,
    publishedAt: number,
    offset: number,
    copied: ArrayBuffer | undefined,
    headersLength: number,
    pin: number,
  ) {
    this.#store = store
    this.subject = subject
    this.index = index
    this.length = length
    this.missed = missed
    this.#publishedAt = publishedAt
    this.#offset = offset
    this.#copied = copied
    this.#headersLength = headersLength
    this.#pin = pin
  }

  /** When it was published, in milliseconds since 1970, with fractions. */
  get publishedAt(): number {
    return this.#publishedAt
  }

  /**
   * The payload, as a plain Uint8Array: no Buffer. Of a message longer than 512 bytes it is the memory of the bus: do not keep it
   * beyond `release`, and change nothing in it. When the bus closes, such views become empty. Small messages that came together
   * share the ArrayBuffer that they were copied to.
   *
   * @throws MillraceError `RELEASED`; `CLOSED`, of a message that lies in the bus
   */
  get bytes(): Bytes {
    if (this.#bytes === undefined) {
      this.#assertHeld()
      this.#bytes =
        this.#copied === undefined
          ? this.#store.view(this, this.#offset, this.length)
          : new Uint8Array(this.#copied, this.#offset, this.length)
    } else if (this.#pin >= 0 || this.#released) {
      this.#assertHeld()
    }
    return this.#bytes
  }

  /** A copy of the payload with memory of its own. Works in every runtime. Errors as `bytes`. */
  copy(): PlainBuffer {
    this.#assertHeld()
    const copy = Buffer.allocUnsafeSlow(this.length)
    if (this.#copied === undefined) this.#store.copyOut(this.#offset, copy)
    else copy.set(this.bytes)
    return copy
  }

  /** The payload as text (UTF-8). Errors as `bytes`. */
  text(): string {
    const { buffer, byteOffset, length } = this.bytes
    return Buffer.from(buffer, byteOffset, length).toString()
  }

  /**
   * What was published with it; an empty object if there is nothing.
   *
   * @throws MillraceError as `bytes`; `CORRUPT` (a publisher has written what are no headers)
   */
  get headers(): Headers {
    if (this.#headersLength === 0) return none
    if (this.#headers !== undefined) return this.#headers
    this.#assertHeld()
    const at = this.#offset + ((this.length + 7) & ~7)
    let bytes: Uint8Array
    if (this.#copied === undefined) {
      bytes = Buffer.allocUnsafeSlow(this.#headersLength)
      this.#store.copyOut(at, bytes)
    } else {
      bytes = new Uint8Array(this.#copied, at, this.#headersLength)
    }
    return (this.#headers = this.#store.headers(bytes))
  }

  /** Was it given back? */
  get released(): boolean {
    return this.#released
  }

  /** @internal Does it lie in the bus? */
  get pinned(): number {
    return this.#pin
  }

  /** @internal The view that was given out. */
  get shown(): object | undefined {
    return this.#bytes
  }

  /** Gives it back: its memory may be reused. Once is enough; more does nothing. */
  release(): void {
    if (this.#released) return
    this.#released = true
    if (this.#pin < 0) return
    const pin = this.#pin
    this.#pin = -1
    this.#bytes = undefined
    this.#store.release(this, pin)
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
    return inspection('TopicMessage', how, () => ({
      subject: this.subject,
      index: this.index,
      length: this.length,
      missed: this.missed,
      released: this.#released,
    }))
  }

  #assertHeld(): void {
    if (this.#released) {
      throw new MillraceError(
        'ERR_MILLRACE_RELEASED',
        `this message of ${this.#store.title} was released; its memory may hold another one by now: take what you need before`,
      )
    }
    if (this.#copied === undefined && this.#store.closed) throw this.#store.closedError()
  }
}
