// The producing side of a queue whose schema says how values become bytes. Values are written where the consumer reads them;
// only those that have to wait for room are written to memory of their own first, as they are their owner's again.

import { bytesOf } from '../base/bytes.js'
import { fairly } from '../base/fairness.js'
import { readWait, type Tuning, type WaitOptions } from '../base/options.js'
import { isBytes, wrongSize, type AnyValueSchema } from '../base/value-schema.js'
import { Outcome } from '../addon/outcome.js'
import type { NativeQueueProducer } from '../addon/queue.js'
import { checkMessages, eachAsBytes, refusedAt } from './message-list.js'
import { QueueProducer, type MessageSource } from './producer.js'
import { recordBytes } from './record-bytes.js'
import { recordHeaderBytes } from './ring-layout.js'
import type { RingWriter } from './ring-writer.js'

export class ValueProducer<Value> extends QueueProducer<Value> {
  readonly #schema: AnyValueSchema
  readonly #size: number
  /** What each takes of the ring. */
  readonly #record: number

  constructor(name: string, native: NativeQueueProducer, tuning: Tuning, schema: AnyValueSchema) {
    super(name, native, tuning)
    this.#schema = schema
    this.#size = schema.size
    this.#record = recordBytes(schema.size)
  }

  override tryPush(message: MessageSource | Value): boolean {
    if (isBytes(message)) return super.tryPush(this.toBytes(message))
    this.assertFree()
    if (this.waits.occupied) return false
    const ring = this.ring ?? this.ringIfAny()
    if (ring === undefined) return super.tryPush(this.toBytes(message))
    const at = ring.reserve(this.#record)
    if (at < 0) {
      if (at !== Outcome.wouldBlock) throw this.fail(at)
      this.#assertFits()
      return false
    }
    this.#write(ring, at, message)
    ring.publish(this.#record, 1)
    return true
  }

  override tryPushBatch(messages: readonly (MessageSource | Value)[]): number {
    checkMessages(messages)
    this.assertFree()
    if (this.waits.occupied) return 0
    const ring = this.ring ?? this.ringIfAny()
    if (ring === undefined) return super.tryPushBatch(this.#allToBytes(messages))
    const count = this.#roomFor(ring, messages.length)
    this.#writeSome(ring, messages, count)
    return count
  }

  override async pushBatch(
    messages: readonly (MessageSource | Value)[],
    options?: WaitOptions,
  ): Promise<void> {
    const wait = readWait(options)
    checkMessages(messages)
    this.assertFree()
    const ring = this.ring ?? this.ringIfAny()
    const count = messages.length
    const isRoom =
      ring !== undefined && !this.waits.occupied && this.#roomFor(ring, count) === count
    // All are written before one is sent: a value that is refused stops them all.
    if (!isRoom) return super.pushBatch(this.#allToBytes(messages), wait)
    this.#writeSome(ring, messages, count)
    return fairly(undefined)
  }

  /** @internal */
  override toBytes(message: MessageSource | Value): Uint8Array {
    if (isBytes(message)) {
      const bytes = bytesOf(message, 'a message')
      this.judgeLength(bytes.length)
      return bytes
    }
    const bytes = new Uint8Array(this.#size)
    this.#schema.write(bytes, message)
    return bytes
  }

  /** @internal */
  protected override judgeLength(length: number): void {
    if (length === this.#size) return
    throw wrongSize(
      this.#schema,
      'the message',
      length,
      `send one at a time, as a value or as its bytes; to send other bytes on queue '${this.name}', open it with ` +
        '{ schema: { fingerprint } } of this schema',
    )
  }

  #allToBytes(messages: readonly (MessageSource | Value)[]): Uint8Array[] {
    return eachAsBytes(messages, (message) => this.toBytes(message))
  }

  #assertFits(): void {
    if (this.#size > this.maxMessage) throw this.fail(Outcome.tooLarge, this.#size)
  }

  /** How many of `wanted` there is room for. */
  #roomFor(ring: RingWriter, wanted: number): number {
    this.#assertFits()
    const needed = wanted * this.#record
    if (needed <= this.capacity && ring.reserve(needed) >= 0) return wanted
    const room = ring.room()
    if (room < 0) throw this.fail(room)
    return Math.min(wanted, Math.floor(room / this.#record))
  }

  #writeSome(ring: RingWriter, messages: readonly (MessageSource | Value)[], count: number): void {
    if (count === 0) return
    const at = ring.reserve(count * this.#record)
    if (at < 0) throw this.fail(at)
    let i = 0
    try {
      for (; i < count; i++) this.#write(ring, at + i * this.#record, messages[i]!)
    } catch (error) {
      throw refusedAt(i, error)
    }
    ring.publish(count * this.#record, count)
  }

  /** Makes the record at that place, of which nobody knows yet. */
  #write(ring: RingWriter, at: number, message: MessageSource | Value): void {
    // The getters of a value are anybody's code.
    this.holder = this
    try {
      if (isBytes(message)) ring.bytes.set(this.toBytes(message), at + recordHeaderBytes)
      else this.#schema.write(ring.bytes, message, at + recordHeaderBytes)
    } catch (error) {
      this.assertOpen() // a getter may have closed this side, and so taken the memory away
      throw error
    } finally {
      this.holder = undefined
    }
    this.assertOpen()
    ring.putHeader(at, this.#size)
  }
}
