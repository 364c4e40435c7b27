// The consuming side of an SPSC queue.

import { block, type BlockingOptions } from '../base/blocking.js'
import { MillraceError } from '../base/errors.js'
import { Outcome, type NativeQueueConsumer } from '../base/native.js'
import type { Tuning, WaitOptions } from '../base/options.js'
import { paced } from '../base/pace.js'
import { QueueSide, recordBytes, recordHeaderBytes } from './side.js'

/** Popped messages up to a quarter of this are cut from one allocation, as Buffer does it. */
const slabBytes = 64 * 1024

/** How long a `drain` that was not told how much to take may keep the event loop waiting, in milliseconds. */
const sliceMs = 5
/** It takes so many at least, and looks at the clock as rarely. */
const leastSlice = 16

/** What a wait for a message can end with besides a message. */
const ended = Symbol('ended')

/** The receiving side of a queue, from `SpscQueue.consumer`. */
export class QueueConsumer extends QueueSide<NativeQueueConsumer> {
  #slab = Buffer.alloc(0)
  #slabUsed = 0
  #draining = false
  /** What a callback of `drain` has been given so far, and was not released yet. */
  #inHandBytes = 0
  #inHand = 0

  /** @internal */
  constructor(name: string, native: NativeQueueConsumer, tuning: Tuning) {
    super(name, 'consumer', native, tuning)
  }

  /**
   * The next message as a Buffer of its own, or `undefined` if there is none now. Never blocks.
   *
   * @throws MillraceError `CLOSED`, `CORRUPT`, `BUSY` (inside `drain`)
   */
  tryPop(): Buffer | undefined {
    this.#assertNotDraining()
    const slab = this.#slab
    const at = this.#slabUsed
    const length = this.native.popInto(slab, at)
    if (length >= 0) {
      this.#slabUsed = at + ((length + 7) & ~7)
      return slab.subarray(at, at + length)
    }
    if (length === Outcome.wouldBlock) return undefined
    if (length === Outcome.tooLarge) return this.#popFresh()
    // An alignment gap may have passed the slab's end.
    if (length === Outcome.invalid) return this.#popFresh()
    throw this.fail(length)
  }

  /**
   * Copies the next message to the start of `target` and returns its length, or -1 if there is none now.
   * No allocation.
   *
   * @throws MillraceError `TOO_LARGE` (the message does not fit and stays; `nextLength` tells its size),
   *   `CLOSED`, `CORRUPT`, `INVALID_ARGUMENT`
   */
  tryPopInto(target: ArrayBufferView): number {
    this.#assertNotDraining()
    const length = this.native.popInto(target, 0)
    if (length >= Outcome.wouldBlock) return length
    if (length === Outcome.tooLarge) {
      throw new MillraceError(
        'ERR_MILLRACE_TOO_LARGE',
        `the next message has ${String(this.nextLength)} bytes, the target ` +
          `${String(target.byteLength)}; pass a larger target (maxMessage always fits)`,
      )
    }
    if (length === Outcome.invalid) {
      throw new MillraceError(
        'ERR_MILLRACE_INVALID_ARGUMENT',
        'the target must be a Buffer, a typed array or a DataView',
      )
    }
    throw this.fail(length)
  }

  /** Length of the next message in bytes, or -1 if there is none now. */
  get nextLength(): number {
    const length = this.native.nextLength()
    if (length >= Outcome.wouldBlock) return length
    throw this.fail(length)
  }

  /**
   * The next message, waiting for it without blocking the event loop; `undefined` when the producer has
   * closed and everything is read (a new producer may follow: see `waitForPeer`).
   *
   * @throws MillraceError (as rejection) `PEER_GONE` (the producer died, and everything it published is
   *   read), `CLOSED`, `CORRUPT`, `ABORTED`, `TIMEOUT`
   */
  pop(options?: WaitOptions): Promise<Buffer | undefined> {
    try {
      if (!this.room.occupied) {
        const message = this.tryPop()
        if (message !== undefined) return paced(message)
      }
      return this.room
        .wait(`a message in queue '${this.name}'`, this.#attempt, options)
        .then(messageOrEnd)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /**
   * The next message, blocking this thread: spins, then sleeps on a futex. For Workers; on the main
   * thread it stops the event loop. Result and errors as `pop`, thrown; `BUSY` while `pop` calls wait.
   */
  popSync(options: BlockingOptions = {}): Buffer | undefined {
    if (this.room.occupied) throw this.#busy('earlier pops are waiting; await those first')
    return messageOrEnd(
      block(
        this.room,
        `a message in queue '${this.name}'`,
        options,
        this.#attempt,
        (spin, timeout) => this.native.wait(spin, timeout),
      ),
    )
  }

  /**
   * Calls `callback` for each message that is there now, at most `max`, with a view of the shared memory
   * itself: nothing is copied. The view is valid only during the call. Returning `false` stops after
   * that message. Returns the number of messages taken.
   *
   * Without `max` it also stops after about 5 ms (not before 16 messages), because the event loop stands
   * still meanwhile: what is left stays in the queue, and `readable` resolves at once. With `max`, which may be
   * `Infinity`, it takes its time.
   *
   * If the callback throws, the message it was given stays in the queue and the error goes to the caller.
   *
   * @throws MillraceError `CLOSED`, `CORRUPT`, `BUSY` (inside another `drain`), `UNSUPPORTED_RUNTIME`
   */
  drain(callback: (message: Uint8Array) => unknown, max?: number): number {
    this.#assertNotDraining()
    const { buffer, words } = this.views()
    const available = this.native.available()
    if (available <= 0) {
      if (available < 0) throw this.fail(available)
      return 0
    }
    const end = performance.now() + sliceMs
    let untilLook = max === undefined ? leastSlice : Infinity
    const most = max ?? Infinity
    this.#draining = true
    const chunk = this.capacity / 4
    let offset = this.native.nextOffset()
    let left = available
    let taken = 0
    let unreleasedBytes = 0
    let unreleased = 0
    try {
      while (left > 0 && taken + unreleased < most) {
        // Read once and judged before use: the producer can change it at any time.
        const length = words[offset / 4]!
        if (length > left - recordHeaderBytes) {
          this.native.markCorrupt()
          throw this.fail(Outcome.corrupt)
        }
        const bytes = recordBytes(length)
        this.#inHandBytes = unreleasedBytes + bytes
        this.#inHand = unreleased + 1
        const verdict = callback(new Uint8Array(buffer, offset + recordHeaderBytes, length))
        if (this.closed) return taken + unreleased + 1
        left -= bytes
        offset += bytes
        unreleasedBytes += bytes
        unreleased++
        if (unreleasedBytes >= chunk) {
          // Room for the producer while we go on.
          offset = this.native.release(unreleasedBytes, unreleased)
          taken += unreleased
          unreleasedBytes = unreleased = 0
        }
        if (verdict === false) break
        if (--untilLook === 0) {
          if (performance.now() >= end) break
          untilLook = leastSlice
        }
      }
    } finally {
      this.#draining = false
      if (unreleased > 0 && !this.closed) this.native.release(unreleasedBytes, unreleased)
    }
    return taken + unreleased
  }

  /** As for every side; inside a callback of `drain`, the message it was given counts as taken. */
  override close(options?: { readonly discard?: boolean | undefined }): void {
    if (this.#draining && !this.closed) this.native.release(this.#inHandBytes, this.#inHand)
    super.close(options)
  }

  /** Resolves when `drain` would find something; `false` when the producer has closed and all is read. */
  readable(options?: WaitOptions): Promise<boolean> {
    try {
      this.assertOpen()
      if (!this.room.occupied && this.native.available() > 0) return paced(true)
      return this.room
        .wait(
          `a message in queue '${this.name}'`,
          (thorough) => {
            const end = this.#lookAround(thorough, () =>
              this.native.available() !== 0 ? true : undefined,
            )
            return end === ended ? false : end
          },
          options,
        )
        .then((there) => there)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** All messages until the producer closes; then the loop ends. Leaving the loop closes nothing. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, void, undefined> {
    for (;;) {
      const message = await this.pop()
      if (message === undefined) return
      yield message
    }
  }

  readonly #attempt = (thorough: boolean): Buffer | typeof ended | undefined =>
    this.#lookAround(thorough, () => this.tryPop())

  /** `look`, and if there is nothing, whether there ever will be. */
  #lookAround<T>(thorough: boolean, look: () => T | undefined): T | typeof ended | undefined {
    const found = look()
    if (found !== undefined || !thorough) return found
    const { peer } = this
    if (peer === 'attached' || peer === 'absent') return undefined
    // It may have published between our look and its leaving.
    const last = look()
    if (last !== undefined) return last
    if (peer === 'closed') return ended
    throw this.goneError()
  }

  /** The slab is used up, or the message deserves memory of its own. */
  #popFresh(): Buffer | undefined {
    const length = this.native.nextLength()
    if (length < 0) {
      if (length === Outcome.wouldBlock) return undefined
      throw this.fail(length)
    }
    if (length <= slabBytes / 4) {
      this.#slab = Buffer.allocUnsafeSlow(slabBytes)
      this.#slabUsed = 0
      return this.tryPop()
    }
    const fresh = Buffer.allocUnsafeSlow(length)
    const copied = this.native.popInto(fresh, 0)
    if (copied < 0) throw this.fail(copied)
    return copied === length ? fresh : fresh.subarray(0, copied)
  }

  #assertNotDraining(): void {
    if (this.#draining) throw this.#busy('it is being drained; return from the callback first')
  }

  #busy(why: string): MillraceError {
    return new MillraceError('ERR_MILLRACE_BUSY', `queue '${this.name}' is busy: ${why}`)
  }
}

function messageOrEnd(result: Buffer | typeof ended): Buffer | undefined {
  return result === ended ? undefined : result
}
