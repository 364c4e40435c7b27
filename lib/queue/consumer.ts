// The consuming side of an SPSC queue.

import type { PlainBuffer } from '../base/view-constructor.js'
import { block, readBlocking, type BlockingOptions } from '../base/blocking.js'
import { targetOf } from '../base/bytes.js'
import { MillraceError, timeoutError } from '../errors.js'
import { leaving } from '../addon/leaving.js'
import { Outcome } from '../addon/outcome.js'
import type { NativeQueueConsumer } from '../addon/queue.js'
import { readWait, type WaitOptions } from '../base/options.js'
import { iterate, type Iteration, type IterationOptions } from '../base/iteration.js'
import { fairly } from '../base/fairness.js'
import { inspected, inspection, type Inspecting } from '../base/inspection.js'
import { readinessOf, selectable, type Readiness } from '../base/selectable.js'
import { receiving, traced } from '../base/tracing.js'
import type { Attempt } from '../base/waiter.js'
import { popCopy, targetTooSmall } from './copying.js'
import { checkDrain, refusePromise } from './drain-callback.js'
import type { HeldMessage } from './held-message.js'
import type { HeldMessages } from './held-messages.js'
import { checkTargets } from './packed.js'
import { recordBytes } from './record-bytes.js'
import { recordHeaderBytes } from './ring-layout.js'
import type { RingReader } from './ring-reader.js'
import { QueueSide, type QueueTuning } from './side.js'
import { TimeBudget } from './time-budget.js'
import { rings } from './working-parts.js'

/**
 * The receiving side of a queue, from `SpscQueue.consumer`. `Value` is what is popped, `View` what `drain` shows: bytes,
 * unless it was opened with a `struct()` as `schema`. Then each message is a value of it; one of another length stays in the
 * queue, and is refused with `ERR_MILLRACE_SCHEMA`, by every call but those that copy or show bytes: `tryPopInto`, `drainRaw`,
 * `take` and its kin.
 */
export class QueueConsumer<Value = PlainBuffer, View = Uint8Array> extends QueueSide<
  NativeQueueConsumer,
  RingReader
> {
  /** What `drainRaw` shows. */
  #whole: Buffer | undefined
  #draining = false
  /** Made with the first message that is taken. */
  #held: HeldMessages | undefined
  /** Set when `drain` runs and when a message is taken: what asks only for this costs every message as little as it can. */
  #unusual = false
  /** What callbacks of `drain` have returned from, and was not released yet. */
  #doneBytes = 0
  #done = 0
  /** What a callback has in hand. */
  #inHandBytes = 0

  /** @internal */
  constructor(name: string, native: NativeQueueConsumer, tuning: QueueTuning) {
    super(name, 'consumer', native, tuning)
  }

  /**
   * The next message as a Buffer of its own (with a `struct()` as `schema`: as a plain object), or `undefined` if there
   * is none now. Never blocks.
   *
   * The Buffer shares its memory with nothing: it can be kept, transferred and cloned for what it is. Above 64 bytes it
   * takes 0.2 to 0.5 µs to make; `tryPopInto`, `drain` and `drainRaw` make none.
   *
   * @throws MillraceError `CLOSED`, `CORRUPT`, `BUSY` (inside `drain`), `SCHEMA`
   */
  tryPop(): Value | undefined {
    return this.#popBytes() as Value | undefined
  }

  #popBytes(): PlainBuffer | undefined {
    if (this.holds()) return this.#found(this.#held!.pop())
    const ring = this.ring ?? (this.closed ? undefined : this.ringIfAny())
    if (ring === undefined) return this.#popByCalls()
    const message = ring.pop()
    if (typeof message !== 'number') return message
    return message === Outcome.wouldBlock ? undefined : this.#popByCalls()
  }

  #popInto(target: Uint8Array, offset: number): number {
    const ring = this.ring ?? (this.closed ? undefined : this.ringIfAny())
    return ring !== undefined ? ring.popInto(target, offset) : this.native.popInto(target, offset)
  }

  /**
   * Copies the next message to the start of `target` and returns its length, or -1 if there is none now.
   * No allocation.
   *
   * @throws MillraceError `TOO_LARGE` (the message does not fit and stays; `nextLength` tells its size),
   *   `CLOSED`, `CORRUPT`, `INVALID_ARGUMENT`
   */
  tryPopInto(target: ArrayBufferView): number {
    const behind = this.holds()
    const bytes = targetOf(target)
    const length = behind ? this.#held!.popInto(bytes) : this.#popInto(bytes, 0)
    if (length >= Outcome.wouldBlock) return length
    throw this.#notPopped(length, bytes, behind)
  }

  /** What `tryPopInto` throws. */
  #notPopped(outcome: number, target: Uint8Array, behind: boolean): MillraceError {
    if (outcome === Outcome.tooLarge) return targetTooSmall(this.nextLength, target)
    return behind ? this.#corrupt() : this.fail(outcome)
  }

  /**
   * Copies messages to `target`, one after the other, and the bytes of each to `lengths`: as many as are there now and fit
   * into both, by one native call. Returns how many.
   *
   * @throws MillraceError `TOO_LARGE` (the first does not fit and stays), `CLOSED`, `CORRUPT`, `BUSY` (inside `drain`, or
   *   while messages are held), `INVALID_ARGUMENT`
   */
  tryPopPacked(target: ArrayBufferView, lengths: Uint32Array): number {
    checkTargets(target, lengths)
    if (this.holds()) throw this.#busy('messages are held; release them first')
    const count = this.native.tryPopPacked(target, lengths)
    if (count >= 0) return count
    if (count === Outcome.wouldBlock) return 0
    throw this.#notPopped(count, targetOf(target), false)
  }

  /**
   * Length of the next message in bytes, or -1 if there is none now. One system call.
   *
   * @throws MillraceError `CLOSED`, `CORRUPT`
   */
  get nextLength(): number {
    this.assertWhole()
    const length = this.native.nextLength()
    if (length >= Outcome.wouldBlock) return length
    throw this.fail(length)
  }

  /**
   * The next message, waiting for it without blocking the event loop; `undefined` when the producer has
   * closed and everything is read (a new producer may follow: see `waitForPeer`).
   *
   * @throws MillraceError (as rejection) `PEER_FAILED` (the producer gave up, by `abort()` or by ending with another exit
   *   code than 0, and everything it published is read; the message says why), `PEER_GONE` (it died, likewise), `CLOSED`,
   *   `CORRUPT`, `ABORTED`, `TIMEOUT`, `SCHEMA`
   */
  pop(options?: WaitOptions): Promise<Value | undefined> {
    try {
      const wait = readWait(options)
      if (!this.waits.occupied) {
        const message = this.tryPop()
        if (message !== undefined) return fairly(message)
      }
      if (!receiving.yes) return this.#wait(this.#attempt, wait)
      return traced().tracePopWait(this.name, () => this.#wait(this.#attempt, wait))
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /**
   * The next message, blocking this thread: spins, then sleeps on a futex. For Workers; on the main
   * thread it stops the event loop. Result and errors as `pop`, thrown; `BUSY` while `pop` calls wait.
   */
  popSync(options?: BlockingOptions): Value | undefined {
    const given = readBlocking(options)
    this.assertNotDraining()
    return this.#block(this.#attempt, given)
  }

  /**
   * The next message, held where it lies instead of copied, or `undefined` if there is none now. Never blocks. It stays in
   * the ring, and takes up its room, until it is released: `using message = queue.tryTake()`.
   *
   * Several may be held, and released in any order. What comes behind them can be taken, popped and drained meanwhile, in
   * order; its room comes back when the older ones are released.
   *
   * What was not released when this side closes or its process dies is received again by the next consumer; so is what was
   * popped behind it.
   *
   * @throws MillraceError `CLOSED`, `CORRUPT`, `BUSY` (inside `drain`), `UNSUPPORTED_RUNTIME`
   */
  tryTake(): HeldMessage | undefined {
    this.assertNotDraining()
    if (this.nothingYet()) return undefined
    const ring = this.ringForSure()
    this.#unusual = true
    return this.#found((this.#held ??= new (rings().HeldMessages)(this, ring)).take())
  }

  /**
   * As `tryTake`, waiting for the message without blocking the event loop; `undefined` when the producer has closed and
   * everything is taken. Calls are served in order, together with those of `pop`. Whoever waits with messages in hand may wait
   * for a producer that waits for their room: after a second the process is warned (`MILLRACE_MESSAGES_HELD`, once), if half
   * of the ring is held or more.
   *
   * A message that was lost without a release counts as consumed when it is garbage collected, with a warning of the process
   * (`MILLRACE_MESSAGE_FORGOTTEN`, once).
   *
   * @throws MillraceError (as rejection) as `pop`, and `UNSUPPORTED_RUNTIME`
   *
   * @example
   * ```ts
   * for (;;) {
   *   const message = await queue.take()
   *   if (message === undefined) break
   *   await store(message.bytes) // where it lies in the ring: nothing is copied
   *   message.release() // had this process died before, the next consumer would receive it again
   * }
   * ```
   */
  take(options?: WaitOptions): Promise<HeldMessage | undefined> {
    try {
      const wait = readWait(options)
      if (!this.waits.occupied) {
        const message = this.tryTake()
        if (message !== undefined) return fairly(message)
      }
      return this.#wait(this.#takeAttempt, wait)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /**
   * As `take`, blocking this thread: see `popSync`. Nobody else in this thread can release what is held meanwhile.
   */
  takeSync(options?: BlockingOptions): HeldMessage | undefined {
    const given = readBlocking(options)
    this.assertNotDraining()
    return this.#block(this.#takeAttempt, given)
  }

  /**
   * Calls `callback` for each message that is there now, at most `max`, with a view of the shared memory
   * itself: nothing is copied. The view is valid only during the call; with a `struct()` as `schema` it is one view of
   * that structure, moved from message to message, and a call allocates nothing. Returning `false` stops after
   * that message. Returns the number of messages taken.
   *
   * Without `max` it also stops after about 5 ms (not before 16 messages), because the event loop stands
   * still meanwhile: what is left stays in the queue, and `readable` resolves at once. With `max`, which may be
   * `Infinity`, it takes its time.
   *
   * If the callback throws, the message it was given stays in the queue and the error goes to the caller. So it does when the
   * callback returns a promise, as an `async` function does: with `INVALID_ARGUMENT`.
   *
   * @throws MillraceError `CLOSED`, `CORRUPT`, `BUSY` (inside another `drain`), `SCHEMA`,
   *   `UNSUPPORTED_RUNTIME`, `INVALID_ARGUMENT`
   */
  drain(callback: (message: View) => unknown, max?: number): number {
    checkDrain(callback, max)
    this.assertNotDraining()
    if (this.nothingYet()) return 0
    const { buffer } = this.ringForSure()
    return this.walk((at, length) => callback(new Uint8Array(buffer, at, length) as View), max)
  }

  /**
   * As `drain`, without making a view of each message: `callback` gets one Buffer over the whole ring, and the
   * place and length of the message in it. For small messages at high rates. What lies elsewhere in that
   * Buffer is none of the callback's business: messages to come, and room that the producer is writing to.
   */
  drainRaw(
    callback: (ring: Buffer, offset: number, length: number) => unknown,
    max?: number,
  ): number {
    checkDrain(callback, max)
    this.assertNotDraining()
    if (this.nothingYet()) return 0
    const whole = (this.#whole ??= Buffer.from(this.ringForSure().buffer))
    return this.walk((at, length) => callback(whole, at, length), max)
  }

  /** @internal Calls `visit` for each message, and gives the memory of those it was called for back. */
  protected walk(
    visit: (offset: number, length: number) => unknown,
    max: number | undefined,
  ): number {
    const ring = this.ringForSure()
    let left = this.#held?.available() ?? ring.available()
    if (left <= 0) {
      if (left < 0) throw this.#corrupt()
      return 0
    }
    const budget = max === undefined ? new TimeBudget() : undefined
    const most = max ?? Infinity
    const chunk = this.capacity / 4
    let offset = ring.offset
    let taken = 0
    let unreleasedBytes = 0
    let unreleased = 0
    this.#draining = this.#unusual = true
    try {
      while (left > 0 && taken + unreleased < most) {
        const length = ring.lengthAt(offset, left)
        if (length < 0) throw this.#corrupt()
        const bytes = recordBytes(length)
        this.#doneBytes = unreleasedBytes
        this.#done = unreleased
        this.#inHandBytes = bytes
        const verdict = visit(offset + recordHeaderBytes, length)
        if (typeof verdict === 'object' && verdict !== null) refusePromise(verdict, this.name)
        if (this.closed) return taken + unreleased + 1
        left -= bytes
        offset += bytes
        unreleasedBytes += bytes
        unreleased++
        if (unreleasedBytes >= chunk) {
          // Room for the producer while we go on.
          this.#release(ring, unreleasedBytes, unreleased)
          offset = ring.offset
          taken += unreleased
          unreleasedBytes = unreleased = 0
        }
        if (verdict === false || budget?.spent() === true) break
      }
    } finally {
      this.#draining = false
      if (unreleased > 0 && !this.closed) this.#release(ring, unreleasedBytes, unreleased)
      if (this.waits.occupied) this.waits.lookAgain() // waits that had to leave the messages to us
    }
    return taken + unreleased
  }

  /**
   * As for every side; inside a callback of `drain`, the message it was given counts as taken. Messages that are held and not
   * released are unread: they wait for the next consumer.
   */
  override close(options?: { readonly discard?: boolean | undefined }): void {
    this.#giveBack()
    super.close(options)
  }

  /** As for every side; the producer hears of it when the queue is full, and in `end()`. In `drain` as `close()`. */
  override abort(reason?: unknown): void {
    this.#giveBack()
    super.abort(reason)
  }

  #giveBack(): void {
    if (!this.#draining || this.ring === undefined) return
    this.#release(this.ring, this.#doneBytes + this.#inHandBytes, this.#done + 1)
  }

  /** @internal The process exits, perhaps inside a callback of `drain`: what was done before is read. */
  [leaving](): void {
    if (!this.#draining || this.#done === 0 || this.ring === undefined) return
    this.#release(this.ring, this.#doneBytes, this.#done)
  }

  /** @internal */
  protected override closeNative(): void {
    this.#held = undefined
    super.closeNative()
  }

  /**
   * Resolves when `drain` would find something; `false` when the producer has closed and all is read. Errors as `pop`.
   */
  readable(options?: WaitOptions): Promise<boolean> {
    try {
      const wait = readWait(options)
      this.assertOpen()
      if (!this.waits.occupied && this.#isReadable()) return fairly(true)
      return this.#wait((thorough) => {
        const end = this.#lookAround(thorough, () => (this.#isReadable() ? true : undefined))
        return end === null ? false : end
      }, wait)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /**
   * All messages until the producer closes, or this side does; then the loop ends. Leaving the loop closes nothing, and takes
   * nothing that was not handed out. Errors as `pop`.
   */
  messages(options?: IterationOptions): Iteration<Value> {
    const takeNow = () => (this.waits.occupied ? undefined : this.tryPop())
    return iterate({ take: (wait) => this.pop(wait), takeNow, handle: this }, options)
  }

  /** As `messages()`: `for await (const message of consumer)`. */
  [Symbol.asyncIterator](): Iteration<Value> {
    return this.messages()
  }

  /** How `select` waits for it. */
  [selectable](): Readiness {
    return readinessOf(this.waits, (thorough) => {
      this.assertOpen()
      return this.#lookAround(thorough, () => (this.#isReadable() ? 'ready' : undefined))
    })
  }

  // Made once, so that a wait costs no closure.
  readonly #next = () => this.tryPop()
  readonly #attempt = ((thorough) => this.#lookAround(thorough, this.#next)) as Attempt<
    Value | undefined
  >
  readonly #nextInPlace = () => this.tryTake()
  readonly #takeAttempt: Attempt<HeldMessage | undefined> = (thorough) =>
    this.#lookAround(thorough, this.#nextInPlace)
  readonly #late = (timeout: number): MillraceError => {
    const what = `a message in queue '${this.name}'`
    const held = this.#heldIfAny()
    return held === undefined
      ? timeoutError(what, timeout, this.whyLate('producer', 'sent none'))
      : held.lateError(what, timeout)
  }

  #wait<T>(attempt: Attempt<T>, options: WaitOptions): Promise<T> {
    const message = this.waits.wait(this.#late, attempt, options)
    return this.#heldIfAny()?.tellWhenLong(message) ?? message
  }

  #block<T>(attempt: Attempt<T>, options: BlockingOptions): T {
    if (this.waits.occupied) throw this.#busy('earlier pops are waiting; await those first')
    return block(this.waits, this.#late, options, attempt, (spin, timeout) =>
      this.native.wait(spin, timeout),
    )
  }

  /** `look`, and if there is nothing, whether there ever will be; `null` if not. */
  #lookAround<T>(thorough: boolean, look: () => T | undefined): T | null | undefined {
    // While a callback of `drain` runs nobody is served: what it has in hand comes first.
    if (this.#draining) return undefined
    const found = look()
    if (found !== undefined || !thorough) return found
    const { peer } = this
    if (peer === 'attached' || peer === 'absent') return undefined
    // It may have published between our look and its leaving.
    const last = look()
    if (last !== undefined) return last
    if (peer === 'closed') return null
    if (peer === 'failed') {
      const cure = 'everything it sent has been read: wait for another with waitForPeer(), or close'
      throw this.failedError('producer', cure)
    }
    throw this.goneError()
  }

  /** As `tryPop`, where memory cannot be borrowed, and where the addon has the last word. */
  #popByCalls(): PlainBuffer | undefined {
    const message = popCopy(this.native)
    if (typeof message !== 'number') return message
    if (message === Outcome.wouldBlock) return undefined
    throw this.fail(message)
  }

  /** @internal What `console.log` shows. */
  [inspected](...how: Inspecting): string {
    return inspection('QueueConsumer', how, () => {
      const facts = this.facts(['peer', 'peerPid'])
      if (!this.isWhole()) return facts
      const nextLength = this.native.nextLength() // the property would close what is corrupt
      return nextLength >= Outcome.wouldBlock ? { ...facts, nextLength } : facts
    })
  }

  /** @internal Nor before it is decided how large it is: by the producer, with its first message. */
  protected override ringIfAny(): RingReader | undefined {
    return this.isOpenEnded() ? undefined : super.ringIfAny()
  }

  /** @internal */
  protected override openRing(): RingReader {
    return new (rings().RingReader)(this.native)
  }

  /** @internal */
  protected nothingYet(): boolean {
    return this.ring === undefined && !this.closed && this.isOpenEnded()
  }

  /** What is held, if anything is. */
  #heldIfAny(): HeldMessages | undefined {
    return this.#held !== undefined && this.#held.count > 0 ? this.#held : undefined
  }

  /** @internal Are messages held, behind which others have to wait for their release? Throws `BUSY` inside `drain`. */
  protected holds(): boolean {
    if (!this.#unusual) return false
    this.assertNotDraining()
    return (this.#unusual = this.#heldIfAny() !== undefined)
  }

  /** A message; `undefined` if there was none. */
  #found<T extends object>(message: T | number): T | undefined {
    if (typeof message !== 'number') return message
    if (message === Outcome.wouldBlock) return undefined
    throw this.#corrupt()
  }

  /** The next records are read: gives their memory back, or leaves that to the messages which are held before them. */
  #release(ring: RingReader, bytes: number, messages: number): void {
    const held = this.#heldIfAny()
    if (held === undefined) ring.release(bytes, messages)
    else held.pass(bytes, messages)
  }

  /** JavaScript met what cannot be. */
  #corrupt(): MillraceError {
    this.native.markCorrupt()
    return this.fail(Outcome.corrupt)
  }

  /** Is something there? Also true of what is found to be corrupt, which the next call tells. */
  #isReadable(): boolean {
    const ring = this.ringIfAny()
    return (ring !== undefined ? ring.available() : this.native.available()) !== 0
  }

  /** @internal */
  protected assertNotDraining(): void {
    if (this.#draining) throw this.#busy('it is being drained; return from the callback first')
  }

  #busy(why: string): MillraceError {
    return new MillraceError('ERR_MILLRACE_BUSY', `queue '${this.name}' is busy: ${why}`)
  }
}
