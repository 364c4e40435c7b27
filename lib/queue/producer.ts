// The producing side of an SPSC queue.

import { block, readBlocking, type BlockingOptions } from '../base/blocking.js'
import { bytesOf, type ByteSource } from '../base/bytes.js'
import { invalidArgument, MillraceError, timeoutError } from '../errors.js'
import { Outcome } from '../addon/outcome.js'
import type { NativeQueueProducer } from '../addon/queue.js'
import type { FillSource } from '../base/fill.js'
import { readWait, show, type Wait, type WaitOptions } from '../base/options.js'
import { sending, traced } from '../base/tracing.js'
import { fairly } from '../base/fairness.js'
import { inspected, inspection, type Inspecting } from '../base/inspection.js'
import type { FillFromOptions } from './fill-from.js'
import { checkMessages, eachAsBytes, refusedAt } from './message-list.js'
import { readPacking } from './packed.js'
import { recordBytes } from './record-bytes.js'
import { RingReservation, type Reservation, type Reserver } from './reservation.js'
import { recordHeaderBytes } from './ring-layout.js'
import type { RingWriter } from './ring-writer.js'
import { QueueSide, type QueueTuning } from './side.js'
import { rings } from './working-parts.js'

/** What can be sent: bytes in any container, or a string (sent as UTF-8). */
export type MessageSource = ByteSource

/**
 * The sending side of a queue, from `SpscQueue.producer`. Beside bytes it sends values of type `Value`, if it was opened
 * with a `struct()` as `schema`; every message is one value then, written straight into the ring. Bytes must be those of one
 * value: others are refused with `ERR_MILLRACE_SCHEMA`, by every call that sends.
 */
export class QueueProducer<Value = never> extends QueueSide<NativeQueueProducer, RingWriter> {
  /** To be called before the memory goes. */
  #onClose: Set<() => void> | undefined
  /** @internal Whoever has room for a message that is not yet sent: an open reservation. Nobody else sends meanwhile. */
  protected holder: object | undefined

  /** @internal */
  constructor(name: string, native: NativeQueueProducer, tuning: QueueTuning) {
    super(name, 'producer', native, tuning)
  }

  /**
   * Sends a message if there is room now. Never blocks. Also returns false while earlier `push` calls
   * are waiting: messages keep their order. A value is not looked at, and not refused, before there is room.
   *
   * @throws MillraceError `TOO_LARGE`, `INVALID_ARGUMENT`, `SCHEMA`, `CLOSED`, `BUSY` (a reservation is open), `CORRUPT`
   */
  tryPush(message: MessageSource | Value): boolean {
    this.assertFree()
    if (this.waits.occupied) return false
    return this.#pushNow(asBytes(message as MessageSource))
  }

  /**
   * Sends a message, waiting for room without blocking the event loop. Calls are served in order. Do not
   * change the bytes before the promise resolves; a value is written before the call returns.
   *
   * @throws MillraceError (as rejection) `TOO_LARGE`, `CLOSED` (this side, or the consumer left while
   *   the queue was full), `PEER_FAILED`, `PEER_GONE` (it gave up or died while the queue was full), `ABORTED`, `TIMEOUT`,
   *   `BUSY`
   */
  push(message: MessageSource | Value, options?: WaitOptions): Promise<void> {
    try {
      const wait = readWait(options)
      if (this.tryPush(message)) return fairly(undefined)
      const bytes = this.toBytes(message)
      const { name } = this
      return sending.yes
        ? traced().tracePushWait(name, bytes.byteLength, () => this.#pushLater(bytes, wait))
        : this.#pushLater(bytes, wait)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  #pushLater(bytes: Uint8Array, wait: Wait): Promise<void> {
    return this.waits
      .wait(this.full, (thorough) => this.#attempt(bytes, thorough), wait)
      .then(discardResult)
  }

  /**
   * Sends a message, blocking this thread: spins, then sleeps on a futex. For Workers; on the main
   * thread it stops the event loop. Errors as `push`, thrown.
   */
  pushSync(message: MessageSource | Value, options?: BlockingOptions): void {
    const given = readBlocking(options)
    this.assertFree()
    if (this.waits.occupied) throw this.#busy()
    if (this.tryPush(message)) return
    const bytes = this.toBytes(message)
    const needed = recordBytes(bytes.byteLength)
    block(
      this.waits,
      this.full,
      given,
      (thorough) => this.#attempt(bytes, thorough),
      (spin, timeout) => this.native.wait(needed, spin, timeout),
    )
  }

  /**
   * Sends as many of the messages, from the first on, as there is room for now, with one publish and at
   * most one wake-up for all. Returns how many. Values that there is no room for are not looked at. The error of a message that
   * is refused begins with its place: `messages[2]: …`.
   *
   * @throws MillraceError `TOO_LARGE`, `INVALID_ARGUMENT`, `SCHEMA` (each before anything is sent), `CLOSED`, `BUSY`, `CORRUPT`,
   *   `UNSUPPORTED_RUNTIME`
   */
  tryPushBatch(messages: readonly (MessageSource | Value)[]): number {
    this.assertFree()
    if (this.waits.occupied) return 0
    return this.#pushSome(allAsBytes(messages as readonly MessageSource[]), 0)
  }

  /**
   * Sends messages that lie one after the other in `bytes`, as many from the first on as there is room for now, by one
   * native call, with one publish and at most one wake-up for all. `lengths`: bytes of each message; a number if they are
   * alike. `count`: how many messages, default all. Returns how many were sent. Each is a message like any other at the
   * other side. For messages up to some hundred bytes; longer ones are better sent by `tryPushBatch`.
   *
   * @throws MillraceError `TOO_LARGE`, `SCHEMA` (before anything is sent), `INVALID_ARGUMENT`, `CLOSED`, `BUSY`, `CORRUPT`
   */
  tryPushPacked(bytes: ArrayBufferView, lengths: number | Uint32Array, count?: number): number {
    const packing = readPacking(bytes, lengths, count)
    this.assertFree()
    this.assertOpen()
    if (packing.count === 0) return 0
    this.judgeLength(packing.shortest)
    this.judgeLength(packing.longest)
    if (packing.longest > this.maxMessage) throw this.fail(Outcome.tooLarge, packing.longest)
    if (this.waits.occupied) return 0
    const sent = this.native.tryPushPacked(bytes, lengths, packing.count)
    if (sent < 0) throw this.fail(sent)
    return sent
  }

  /**
   * Sends all messages in order, in as few batches as there is room. Errors as `push`; if it is aborted or
   * fails while it waits, the first part may have been sent.
   */
  async pushBatch(
    messages: readonly (MessageSource | Value)[],
    options?: WaitOptions,
  ): Promise<void> {
    const wait = readWait(options)
    const all = allAsBytes(messages as readonly MessageSource[])
    this.assertFree()
    let sent = this.waits.occupied ? 0 : this.#pushSome(all, 0)
    if (sent === all.length) return fairly(undefined)
    const rest = all.slice(sent) // the list is its owner's again
    sent = 0
    await this.waits.wait(
      this.full,
      (thorough) => {
        if (this.holder !== undefined) return undefined
        sent += this.#pushSome(rest, sent)
        if (sent === rest.length) return true
        if (thorough) this.checkConsumer()
        return undefined
      },
      wait,
    )
  }

  /**
   * Space for a message of up to `length` bytes, to be written in place; `undefined` if there is no room
   * now. It is not cleared: what is not written before `commit` is sent as it was there before, of older messages. Only one
   * reservation at a time, and no other sends while it is open.
   *
   * @throws MillraceError `TOO_LARGE`, `CLOSED`, `BUSY`, `CORRUPT`, `INVALID_ARGUMENT`,
   *   `UNSUPPORTED_RUNTIME`
   */
  reserve(length: number): Reservation | undefined {
    this.assertFree()
    checkLength(length)
    return this.waits.occupied ? undefined : this.#reserveNow(length)
  }

  #reserveNow(length: number): Reservation | undefined {
    const ring = this.ringForSure()
    if (length > this.maxMessage) throw this.fail(Outcome.tooLarge, length)
    const at = ring.reserve(recordBytes(length))
    if (at === Outcome.wouldBlock) return undefined
    if (at < 0) throw this.fail(at)
    const bytes = new Uint8Array(ring.buffer, at + recordHeaderBytes, length)
    return (this.holder = new RingReservation(this.#reserver, at, bytes))
  }

  /** Made once, so that a reservation costs no closure. */
  readonly #reserver: Reserver = {
    judge: (length) => {
      this.judgeLength(length)
    },
    finish: (at, length) => {
      this.holder = undefined
      if (length >= 0) {
        const ring = this.ringForSure() // throws when this side was closed
        ring.putHeader(at, length)
        ring.publish(recordBytes(length), 1)
      }
      if (this.waits.occupied) this.waits.lookAgain() // others may have come while it was open
    },
  }

  /** Waits until a reservation of `length` bytes succeeds. Errors as `push` and `reserve`. */
  async reserveWhenFree(length: number, options?: WaitOptions): Promise<Reservation> {
    const wait = readWait(options)
    const now = this.reserve(length)
    if (now !== undefined) return await fairly(now)
    return await this.waits.wait(
      this.full,
      (thorough) => {
        if (this.holder !== undefined) return undefined
        const later = this.#reserveNow(length)
        if (later === undefined && thorough) this.checkConsumer()
        return later
      },
      wait,
    )
  }

  /**
   * Sends what comes from `source` until that ends, and resolves with the number of bytes. Waits for room where `push` would, and
   * lets the source wait meanwhile. Nobody else sends until then (`BUSY`), and the producer stays open: `end()` follows.
   *
   * The descriptor of a pipe or a socket is read straight into a reservation: nothing is copied by this process. Each read is
   * a message, of whatever length, up to 65 536 bytes or a quarter of the ring; with `messageBytes` all messages are as long, however
   * the bytes come. Chunks of streams, and files, are copied into the ring. The source is closed at the end, also when it fails.
   *
   * @throws MillraceError (as rejection) `INCOMPLETE` (with `messageBytes`: it ended in the middle of a message), `CLOSED`,
   *   `PEER_FAILED`, `PEER_GONE` (as `push`), `ABORTED`, `BUSY`, `TOO_LARGE` (`messageBytes`), `SCHEMA`, `INVALID_ARGUMENT`,
   *   `UNSUPPORTED_RUNTIME`; whatever the source fails with
   *
   * @example
   * ```ts
   * // tar c folder | node sends.js
   * import { SpscQueue } from 'millrace'
   *
   * const producer = SpscQueue.producer('upload', { fresh: true })
   * await producer.fillFrom(0) // descriptor 0: standard input
   * await producer.end()
   * ```
   */
  async fillFrom(source: FillSource, options?: FillFromOptions): Promise<number> {
    this.assertOpen()
    const { fillFrom } = require('./fill-from.js') as typeof import('./fill-from.js')
    return await fillFrom(
      this,
      {
        title: this.title,
        judge: (length) => {
          this.assertFree()
          this.judgeLength(length)
          if (length > this.maxMessage) throw this.fail(Outcome.tooLarge, length)
        },
        onClose: (callback) => {
          const callbacks = (this.#onClose ??= new Set())
          callbacks.add(callback)
          return () => callbacks.delete(callback)
        },
      },
      source,
      options,
    )
  }

  /** @internal What reads into the ring stops first. */
  protected override closeNative(): void {
    for (const callback of [...(this.#onClose ?? [])]) callback()
    super.closeNative()
  }

  /**
   * Resolves when the consumer has read everything, then closes. Rejects with `CLOSED`, `PEER_FAILED` or
   * `PEER_GONE` if the consumer leaves, gives up or dies before that (the queue stays open), `ABORTED`, `TIMEOUT`.
   */
  async end(options?: WaitOptions): Promise<void> {
    const wait = readWait(options)
    this.assertOpen()
    await this.waits.wait(
      this.#unread,
      (thorough) => {
        if (this.holder !== undefined) return undefined
        if (this.#isDrained()) return true
        if (!thorough || this.peer === 'attached') return undefined
        // It may have read the last message between our look and its leaving.
        if (this.#isDrained()) return true
        this.checkConsumer()
        return undefined
      },
      wait,
    )
    this.close()
  }

  /**
   * Free bytes of the ring; a message takes 8 more than its length, rounded up to 8. One system call.
   *
   * @throws MillraceError `CORRUPT` (the memory was shortened)
   */
  get freeBytes(): number {
    this.assertWhole()
    return Math.max(this.ring?.room() ?? this.native.room(), 0)
  }

  #isDrained(): boolean {
    const outcome = this.native.drained()
    if (outcome < 0) throw this.fail(outcome)
    return outcome === 1
  }

  #pushNow(bytes: Uint8Array): boolean {
    const ring = this.ring ?? (this.closed ? undefined : this.ringIfAny())
    const outcome = ring !== undefined ? ring.push(bytes) : this.native.tryPush(bytes)
    if (outcome === 0) return true
    if (outcome === Outcome.wouldBlock) return false
    throw this.fail(outcome, bytes.byteLength)
  }

  #attempt(bytes: Uint8Array, thorough: boolean): true | undefined {
    if (this.holder !== undefined) return undefined
    if (this.#pushNow(bytes)) return true
    if (thorough) this.checkConsumer()
    return undefined
  }

  /** @internal The error of a wait for room that was too long. */
  protected readonly full = (timeout: number): MillraceError =>
    timeoutError(
      `room in queue '${this.name}'`,
      timeout,
      this.holder === undefined
        ? this.whyLate('consumer', 'read too little of what is in it')
        : 'a reservation or claim of this producer is open: commit it, or give its room back',
    )
  /** The error of an `end` that was too long. */
  readonly #unread = (timeout: number): MillraceError =>
    timeoutError(
      `the consumer of queue '${this.name}' reading everything`,
      timeout,
      this.whyLate('consumer', 'has read too little'),
    )

  /** @internal There is no room: is there somebody who will make some? */
  protected checkConsumer(): void {
    const { peer } = this
    if (peer === 'closed') throw this.leftError()
    if (peer === 'gone') throw this.goneError()
    if (peer === 'failed') {
      throw this.failedError('consumer', 'wait for another with waitForPeer(), or close')
    }
  }

  /** @internal */
  protected assertFree(): void {
    if (this.holder !== undefined) throw this.#busy()
  }

  /** @internal The message in memory that stays as it is. */
  protected toBytes(message: MessageSource | Value): Uint8Array {
    return asBytes(message as MessageSource)
  }

  /** @internal Throws if no message of this queue has that length; up to `maxMessage`, any will do. */
  protected judgeLength(_length: number): void {
    // Bytes are what their users take them for.
  }

  #busy(): MillraceError {
    if (this.closed) return this.fail(Outcome.closed)
    return new MillraceError(
      'ERR_MILLRACE_BUSY',
      `queue '${this.name}' has an open reservation or earlier pushes are waiting; commit, abort or ` +
        'await those first',
    )
  }

  /** As `#pushSome`, where messages cannot be laid down in place (Electron): one call for each. */
  #pushEach(messages: readonly Uint8Array[], from: number): number {
    let sent = 0
    while (from + sent < messages.length && this.#pushNow(messages[from + sent]!)) sent++
    return sent
  }

  /** Lays messages down from index `from` on, as many as fit, and publishes them together. */
  #pushSome(messages: readonly Uint8Array[], from: number): number {
    this.assertOpen()
    const { maxMessage } = this
    let needed = 0
    for (let i = from; i < messages.length; i++) {
      const { length } = messages[i]!
      if (length > maxMessage) throw refusedAt(i, this.fail(Outcome.tooLarge, length))
      needed += recordBytes(length)
    }
    if (needed === 0) return 0
    const ring = this.ringIfAny()
    if (ring === undefined) return this.#pushEach(messages, from)
    let end = messages.length
    if (needed > this.capacity || ring.reserve(needed) < 0) {
      const room = ring.room()
      if (room < 0) throw this.fail(room)
      needed = 0
      for (end = from; end < messages.length; end++) {
        const more = recordBytes(messages[end]!.length)
        if (needed + more > room) break
        needed += more
      }
      if (end === from) return 0
    }
    const outcome = ring.pushMany(messages, from, end, needed)
    if (outcome < 0) throw this.fail(outcome)
    return end - from
  }

  /** @internal What `console.log` shows. */
  [inspected](...how: Inspecting): string {
    return inspection('QueueProducer', how, () => this.facts(['peer', 'peerPid', 'freeBytes']))
  }

  /** @internal */
  protected override openRing(): RingWriter {
    return new (rings().RingWriter)(this.native)
  }
}

/** Of messages that are bytes already, as most are, no new list is made. */
function allAsBytes(messages: readonly MessageSource[]): readonly Uint8Array[] {
  checkMessages(messages)
  for (const message of messages) {
    if (!(message instanceof Uint8Array) || message.length === 0) {
      return eachAsBytes(messages, asBytes)
    }
  }
  return messages as readonly Uint8Array[]
}

function checkLength(length: number): void {
  if (!Number.isSafeInteger(length) || length < 0) {
    throw invalidArgument(`length must be a whole number of bytes, not ${show(length)}`)
  }
}

const asBytes = (message: MessageSource): Uint8Array => bytesOf(message, 'a message')
const discardResult = (): void => undefined
