// The producing side of a queue whose messages are records. A claim is room in the ring for one message of them: the fields
// are written where the consumer reads them, by one array that is put there, and the message is published as any other.

import type { NativeQueueProducer } from '../addon/queue.js'
import { Outcome } from '../addon/outcome.js'
import { doApart } from '../base/apart.js'
import { bytesOf } from '../base/bytes.js'
import { fairly } from '../base/fairness.js'
import { inspected, inspection, type Inspecting } from '../base/inspection.js'
import { readWait, show, type Tuning, type WaitOptions } from '../base/options.js'
import { notRecords, put, type MovableRecords, type RecordSchema } from '../base/record-schema.js'
import { isBytes, titleOf } from '../base/value-schema.js'
import { invalidArgument, MillraceError } from '../errors.js'
import type { ArrayViewOf } from '../struct/definition.js'
import type { FieldType, Of } from '../struct/field-type.js'
import { checkMessages, eachAsBytes } from './message-list.js'
import { QueueProducer, type MessageSource } from './producer.js'
import { recordBytes } from './record-bytes.js'
import { recordHeaderBytes } from './ring-layout.js'
import type { RingWriter } from './ring-writer.js'

/** The records of one message, each an object with all fields. */
export type RecordsInput<S extends FieldType> = readonly Of<S, 'input'>[]

type Step<Result> = (producer: RecordProducer<FieldType>, count: number | undefined) => Result
/** What claims and what commits: in an array, so that neither becomes part of the loop that writes records (apart.ts). */
let steps: readonly [claim: Step<number>, commit: Step<void>]

/**
 * The sending side of a queue of records, from `RecordQueue.producer`. Each message is one record or many. They are
 * written into the ring itself, between `claim` and `commit`, or given as objects to the calls that every queue has.
 * Bytes must be those of whole records: others are refused with `ERR_MILLRACE_SCHEMA`.
 */
export class RecordProducer<S extends FieldType> extends QueueProducer<RecordsInput<S>> {
  /**
   * The records that are claimed: none, unless a claim is open. It is one object for all claims, and so is the view that
   * `records.at(i)` gives; neither is of use after `commit`: `at` throws `RELEASED`, and a view that was kept a `RangeError`.
   *
   * The memory still holds what was there before, older records for instance: write every field that is committed.
   */
  readonly records: ArrayViewOf<S>
  /** How many records a claim is for that does not say how many. */
  readonly batch: number
  readonly #schema: RecordSchema
  readonly #records: MovableRecords
  readonly #size: number
  /** 0 as long as it was not asked for. */
  #most = 0
  #over: DataView | undefined
  /** Where the record of the ring is that was claimed, and for how many of ours. */
  #at = 0
  #claimed = 0

  /** @internal */
  constructor(
    name: string,
    native: NativeQueueProducer,
    tuning: Tuning,
    { schema, records }: { readonly schema: RecordSchema; readonly records: MovableRecords },
    batch: number,
  ) {
    super(name, native, tuning)
    this.batch = batch
    this.records = records as unknown as ArrayViewOf<S>
    this.#schema = schema
    this.#records = records
    this.#size = schema.size
  }

  /** Records of the longest message. Decides the capacity, as `maxMessage` does. */
  get maxBatch(): number {
    return Math.floor(this.maxMessage / this.#size)
  }

  /**
   * Claims room for up to `count` records, and puts `records` there; returns how many there is room for now, 0 if there is
   * none. Never blocks. Nothing else can be sent until `commit`. Returns 0, too, while earlier calls wait for room: messages
   * keep their order. A process that dies with a claim has sent nothing of it.
   *
   * @throws MillraceError `BUSY` (a claim or a reservation is open), `TOO_LARGE` (no record fits into this queue), `CLOSED`,
   *   `CORRUPT`, `INVALID_ARGUMENT`, `UNSUPPORTED_RUNTIME`
   */
  claim(count?: number): number {
    return doApart(steps[0], this as RecordProducer<FieldType>, count)
  }

  /**
   * Claims room for `count` records, waiting for it without blocking the event loop; resolves with `count`. By default
   * that is `batch`, or `maxBatch` if that is less. Calls are served in order, together with those of `push`.
   *
   * @throws MillraceError (as rejection) as `push` and `claim`; `TOO_LARGE` if more than `maxBatch` are asked for
   */
  async claimWhenFree(count?: number, options?: WaitOptions): Promise<number> {
    const wait = readWait(options)
    if (count !== undefined) checkCount(count, 1)
    this.assertFree()
    const ring = this.ringForSure()
    const most = this.#fitting()
    const wanted = count ?? Math.min(this.batch, most)
    if (wanted > most) throw this.fail(Outcome.tooLarge, wanted * this.#size)
    if (!this.waits.occupied && this.#claimNow(ring, wanted)) return await fairly(wanted)
    return await this.waits.wait(
      this.full,
      (thorough) => {
        if (this.holder !== undefined) return undefined
        if (this.#claimNow(ring, wanted)) return wanted
        if (thorough) this.checkConsumer()
        return undefined
      },
      wait,
    )
  }

  /**
   * Sends the first `count` of the records that are claimed (default: all) as one message. `commit(0)` sends nothing, and
   * gives the room back. Never blocks.
   *
   * @throws MillraceError `RELEASED` (nothing is claimed), `INVALID_ARGUMENT` (more than are claimed: the claim stays),
   *   `CLOSED`
   */
  commit(count?: number): void {
    doApart(steps[1], this as RecordProducer<FieldType>, count)
  }

  /** As for every queue. Records that are not looked at before there is room for all of them. */
  override tryPush(message: MessageSource | RecordsInput<S>): boolean {
    if (isBytes(message)) return super.tryPush(this.toBytes(message))
    const count = this.#countOf(message)
    this.assertFree()
    if (this.waits.occupied) return false
    const ring = this.ring ?? this.ringIfAny()
    if (ring === undefined) return super.tryPush(this.toBytes(message))
    if (count > this.#fitting()) throw this.fail(Outcome.tooLarge, count * this.#size)
    const at = ring.reserve(recordBytes(count * this.#size))
    if (at === Outcome.wouldBlock) return false
    if (at < 0) throw this.fail(at)
    this.#lay(ring, at, count)
    try {
      this.#records.assign(message) // the getters of a value are anybody's code
    } catch (error) {
      this.assertOpen() // one may have closed this side, and so taken the memory away
      throw error
    } finally {
      this.#giveBack()
    }
    this.#publish(this.ringForSure(), at, count)
    return true
  }

  override tryPushBatch(messages: readonly (MessageSource | RecordsInput<S>)[]): number {
    return super.tryPushBatch(this.#allToBytes(messages))
  }

  override async pushBatch(
    messages: readonly (MessageSource | RecordsInput<S>)[],
    options?: WaitOptions,
  ): Promise<void> {
    await super.pushBatch(this.#allToBytes(messages), options)
  }

  override tryPushPacked(
    bytes: ArrayBufferView,
    lengths: number | Uint32Array,
    count?: number,
  ): number {
    if (lengths instanceof Uint32Array) {
      for (const length of lengths.subarray(0, count)) this.judgeLength(length)
    }
    return super.tryPushPacked(bytes, lengths, count)
  }

  /** @internal */
  protected override toBytes(message: MessageSource | RecordsInput<S>): Uint8Array {
    if (isBytes(message)) {
      const bytes = bytesOf(message, 'a message')
      this.judgeLength(bytes.length)
      return bytes
    }
    const bytes = new Uint8Array(this.#countOf(message) * this.#size)
    this.#schema.array(bytes).assign(message)
    return bytes
  }

  /** @internal */
  protected override judgeLength(length: number): void {
    if (length > 0 && length % this.#size === 0) return
    throw notRecords(this.#schema, 'the message', length, 'send one whole record, or several')
  }

  /** @internal */
  protected override assertFree(): void {
    if (this.#claimed === 0) {
      super.assertFree()
      return
    }
    throw new MillraceError(
      'ERR_MILLRACE_BUSY',
      `${String(this.#claimed)} records are claimed in queue '${this.name}'; send them with commit(), or give ` +
        'their room back with commit(0)',
    )
  }

  /** @internal */
  protected override closeNative(): void {
    this.#giveBack()
    this.#over = undefined
    super.closeNative()
  }

  static {
    steps = [
      (producer, count) => producer.#claimUpTo(count),
      (producer, count) => {
        if (producer.#claimed === 0) producer.#refuseCommit(count)
        else producer.#send(count)
      },
    ]
  }

  #claimUpTo(count = this.batch): number {
    checkCount(count)
    this.assertFree()
    this.assertOpen()
    if (this.waits.occupied || count === 0) return 0
    const ring = this.ring ?? this.ringForSure()
    const wanted = Math.min(count, this.#fitting())
    if (this.#claimNow(ring, wanted)) return wanted
    const room = ring.room()
    if (room < 0) throw this.fail(room)
    const fitting = Math.min(wanted, Math.floor((room - recordHeaderBytes) / this.#size))
    return fitting > 0 && this.#claimNow(ring, fitting) ? fitting : 0
  }

  #send(count = this.#claimed): void {
    if (!(Number.isInteger(count) && count >= 0 && count <= this.#claimed)) {
      const most = String(this.#claimed)
      throw invalidArgument(
        `count must be a whole number up to the ${most} records claimed, not ${show(count)}`,
      )
    }
    this.#giveBack()
    if (count > 0) this.#publish(this.ringForSure(), this.#at, count)
    if (this.waits.occupied) this.waits.lookAgain() // others may have come while it was open
  }

  #claimNow(ring: RingWriter, count: number): boolean {
    const at = ring.reserve(recordBytes(count * this.#size))
    if (at === Outcome.wouldBlock) return false
    if (at < 0) throw this.fail(at)
    this.#lay(ring, at, count)
    this.#at = at
    this.#claimed = count
    return true
  }

  /** Puts `records` behind the header of the record at that place, of which nobody knows yet. */
  #lay(ring: RingWriter, at: number, count: number): void {
    this.#over ??= new DataView(ring.bytes.buffer)
    this.holder = this
    this.#records[put](this.#over, at + recordHeaderBytes, count)
  }

  /** What was shown is not shown any more, whoever kept it. */
  #giveBack(): void {
    if (this.holder === this) this.holder = undefined
    this.#claimed = 0
    this.#records[put](undefined, 0, 0)
  }

  /** As any message: ring.ts has the order of these stores, and why the look behind them is safe. */
  #publish(ring: RingWriter, at: number, count: number): void {
    const length = count * this.#size
    ring.putHeader(at, length)
    ring.publish(recordBytes(length), 1)
  }

  #refuseCommit(count: number | undefined): void {
    this.assertOpen()
    if (count === 0) return // what a claim says that found no room
    if (count !== undefined) checkCount(count)
    throw new MillraceError(
      'ERR_MILLRACE_RELEASED',
      `no records are claimed in queue '${this.name}'; claim() them first, and commit them once`,
    )
  }

  /** `maxBatch`, which must not be 0. */
  #fitting(): number {
    this.#most ||= this.maxBatch
    if (this.#most === 0) throw this.fail(Outcome.tooLarge, this.#size)
    return this.#most
  }

  #countOf(message: RecordsInput<S>): number {
    if (Array.isArray(message) && message.length > 0) return message.length
    const given = Array.isArray(message) ? 'an empty one' : show(message)
    throw invalidArgument(
      `a message must be bytes, or a list of one or more records of ${titleOf(this.#schema)}, not ${given}`,
    )
  }

  #allToBytes(messages: readonly (MessageSource | RecordsInput<S>)[]): Uint8Array[] {
    checkMessages(messages)
    return eachAsBytes(messages, (message) => this.toBytes(message))
  }

  /** @internal What `console.log` shows. */
  override [inspected](...how: Inspecting): string {
    return inspection('RecordProducer', how, () => ({
      ...this.facts(['peer', 'peerPid', 'freeBytes']),
      record: titleOf(this.#schema),
      batch: this.batch,
      claimed: this.#claimed,
    }))
  }
}

function checkCount(count: number, least = 0): void {
  if (Number.isSafeInteger(count) && count >= least) return
  throw invalidArgument(`count must be a whole number of records, not ${show(count)}`)
}
