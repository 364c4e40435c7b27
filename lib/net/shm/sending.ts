// The sending half of a channel over shared memory. What is as long as a piece at most is pushed as it is; of a longer message the
// pieces follow each other, and nobody else sends in between.

import { bytesOf, type ByteSource } from '../../base/bytes.js'
import { fairly } from '../../base/fairness.js'
import { readWait, type WaitOptions } from '../../base/options.js'
import { closedError, invalidArgument, MillraceError, timeoutError } from '../../errors.js'
import type { QueueProducer } from '../../queue/producer.js'
import { Line, type Limits } from '../waits.js'
import { isMark, Mark, markBytes, markOf } from './marks.js'

/** What the halves ask of the channel. */
export interface Whole {
  readonly title: string
  /** Why there is nothing more, if it is over. */
  over(): Error | undefined
  /** What a queue says, as a channel says it. */
  asOurs(error: unknown): unknown
}

export class Sending {
  readonly #whole: Whole
  readonly #producer: QueueProducer
  readonly #pieceBytes: number
  /** The longest that is sent as it is. */
  readonly #shortBytes: number
  readonly maxBytes: number
  /** Those who wait for others that send in pieces. */
  readonly #line = new Line<void>((ms) => this.#late(ms))
  #inPieces = false
  /** Pushes that wait for room. */
  #waiting = 0
  readonly #idle = new Line<void>((ms) => this.#late(ms))
  #ended = false

  constructor(whole: Whole, producer: QueueProducer, maxBytes: number) {
    this.#whole = whole
    this.#producer = producer
    this.maxBytes = maxBytes
    this.#pieceBytes = producer.capacity / 4
    this.#shortBytes = Math.min(this.#pieceBytes, maxBytes)
  }

  get ended(): boolean {
    return this.#ended
  }

  send(message: ByteSource, options: WaitOptions | undefined): Promise<void> {
    try {
      const wait = options === undefined ? undefined : readWait(options)
      const bytes = message instanceof Uint8Array ? message : bytesOf(message, 'the message')
      this.#assertSends()
      if (this.#isShort(bytes)) {
        if (!this.#inPieces && this.#line.size === 0) {
          if (this.#producer.tryPush(bytes)) return fairly(undefined)
          return this.#push(bytes, wait)
        }
      } else this.#assertLength(bytes.length)
      return this.#sendInTurn(bytes, wait ?? {})
    } catch (error) {
      return Promise.reject(this.#whole.asOurs(error))
    }
  }

  trySend(message: ByteSource): boolean {
    try {
      const bytes = message instanceof Uint8Array ? message : bytesOf(message, 'the message')
      this.#assertSends()
      if (this.#isShort(bytes)) {
        return !this.#inPieces && this.#line.size === 0 && this.#producer.tryPush(bytes)
      }
      this.#assertLength(bytes.length)
      if (this.#inPieces || this.#line.size > 0 || this.#waiting > 0) return false
      // The bytes are the caller's again at once. What comes of it, later calls tell.
      this.#sendInTurn(Buffer.from(bytes), {}).catch(() => undefined)
      return true
    } catch (error) {
      throw this.#whole.asOurs(error)
    }
  }

  /** Resolves when nobody sends any more. */
  async settled(limits: Limits): Promise<void> {
    while (this.#inPieces || this.#line.size > 0 || this.#waiting > 0) await this.#idle.wait(limits)
  }

  /** There will be nothing more. */
  end(): void {
    this.#ended = true
    this.#producer.close()
  }

  abort(error: Error): void {
    this.#ended = true
    this.#line.rejectAll(error)
    this.#producer.abort(error)
  }

  #isShort(bytes: Uint8Array): boolean {
    const { length } = bytes
    return length <= this.#shortBytes && (length !== markBytes || !isMark(bytes))
  }

  #assertSends(): void {
    const over = this.#whole.over()
    if (over !== undefined) throw over
    if (this.#ended) throw closedError(`the sending side of ${this.#whole.title}`)
  }

  #assertLength(length: number): void {
    if (length <= this.maxBytes) return
    throw new MillraceError(
      'ERR_MILLRACE_TOO_LARGE',
      `a message of ${String(length)} bytes is longer than the other side of ${this.#whole.title} takes, which is ` +
        `${String(this.maxBytes)} bytes: send it in parts, or let that side have a larger maxBytes`,
    )
  }

  async #push(bytes: Uint8Array, limits: Limits | undefined): Promise<void> {
    this.#waiting++
    try {
      await this.#producer.push(bytes, limits)
    } catch (error) {
      throw this.#whole.asOurs(error)
    } finally {
      this.#waiting--
      this.#tellIdle()
    }
  }

  async #sendInTurn(bytes: Uint8Array, limits: Limits): Promise<void> {
    const { length } = bytes
    if (this.#inPieces || this.#line.size > 0) await this.#line.wait(limits)
    this.#inPieces = true
    let begun = false
    try {
      this.#assertSends()
      if (bytes.length !== length)
        throw invalidArgument('the message lost its memory while it waited to be sent')
      if (this.#isShort(bytes)) {
        await this.#producer.push(bytes, limits)
        return
      }
      await this.#producer.push(markOf(Mark.long, length), limits)
      begun = true
      await this.#until(this.#sendPieces(bytes), limits)
    } catch (error) {
      throw this.#whole.asOurs(error)
    } finally {
      if (!begun) this.#next()
    }
  }

  /** What has begun goes whole: time and signal only end the wait for it. */
  async #until(sent: Promise<void>, limits: Limits): Promise<void> {
    const line = new Line<void>((ms) => this.#late(ms))
    try {
      await Promise.race([sent, line.wait(limits)])
    } finally {
      line.resolveAll()
    }
  }

  async #sendPieces(bytes: Uint8Array): Promise<void> {
    try {
      for (let at = 0; at < bytes.length; at += this.#pieceBytes) {
        await this.#producer.push(bytes.subarray(at, at + this.#pieceBytes))
      }
    } finally {
      this.#next()
    }
  }

  #next(): void {
    const { first } = this.#line
    this.#inPieces = first !== undefined
    if (first === undefined) this.#tellIdle()
    else first.resolve()
  }

  #tellIdle(): void {
    if (!this.#inPieces && this.#line.size === 0 && this.#waiting === 0) this.#idle.resolveAll()
  }

  #late(ms: number): Error {
    return timeoutError(
      `room in ${this.#whole.title}`,
      ms,
      'the other side receives too little: see whether it is stopped, or allow more time',
    )
  }
}
