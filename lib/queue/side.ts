// What the producer and the consumer of a queue have in common: closing, the peer's state, the ring.

import { closedError, corruptError, isRefusal, MillraceError, peerFailedError } from '../errors.js'
import { Outcome } from '../addon/outcome.js'
import type { NativeQueueSide } from '../addon/queue.js'
import { reasonText } from '../base/failure.js'
import { factsOf } from '../base/inspection.js'
import { tellGone } from '../base/life.js'
import { checkOptions, flag, readWait, type Tuning, type WaitOptions } from '../base/options.js'
import { PeerHandle } from '../base/peer-handle.js'
import { recordHeaderBytes } from './ring-layout.js'

/** How a side waits, and whether it counts how long messages take. */
export interface QueueTuning extends Tuning {
  readonly stats?: boolean
}

export abstract class QueueSide<
  Native extends NativeQueueSide,
  Ring extends object,
> extends PeerHandle<Native> {
  /** Messages of earlier sessions that opening with `fresh` has dropped; without it 0. */
  readonly discarded: number
  /** @internal The ring, once it was used in JavaScript; not any more after closing. */
  protected ring: Ring | undefined
  /** 0 as long as it is not decided, or not known that it is. */
  #capacity: number
  #discard = false
  /** Set by `abort()`: why. */
  #failure: string | undefined
  #refused = false

  /** @internal */
  protected constructor(
    name: string,
    role: 'producer' | 'consumer',
    native: Native,
    tuning: QueueTuning,
  ) {
    super(name, `the ${role} of queue '${name}'`, native, tuning)
    try {
      this.#capacity = native.settle(false)
    } catch (error) {
      native.close(false)
      throw error
    }
    this.discarded = native.discarded
    if (tuning.stats === true) latency()[role](this, native as never)
  }

  /**
   * Bytes of the ring. If neither side has said how many, and nothing was sent, that is open: who asks decides it, for the
   * default. 0 if this side was closed before.
   */
  get capacity(): number {
    return (this.#capacity ||= this.#settle(true))
  }

  /** Longest message in bytes: the capacity less 8. Decides the capacity like that. */
  get maxMessage(): number {
    return Math.max(this.capacity - recordHeaderBytes, 0)
  }

  /** @internal Is the capacity open as yet? Then nothing was sent. */
  protected isOpenEnded(): boolean {
    return (this.#capacity ||= this.#settle(false)) === 0
  }

  /** What a peer decided that lies is `CORRUPT`, and closes this side as everything does that is. */
  #settle(needed: boolean): number {
    try {
      return this.native.settle(needed)
    } catch (error) {
      if ((error as MillraceError).code === 'ERR_MILLRACE_CORRUPT')
        this.leave(error as MillraceError)
      throw error
    }
  }

  /** Resolves as soon as somebody has the other side. Rejects `ABORTED`, `TIMEOUT`, `CLOSED`. */
  async waitForPeer(options?: WaitOptions): Promise<void> {
    const wait = readWait(options)
    this.assertOpen()
    await this.waits.waitAside(
      (timeout) => this.noPeerInTime(`a peer on queue '${this.name}'`, timeout),
      (thorough) => (thorough && this.peer === 'attached' ? true : undefined),
      wait,
    )
  }

  /**
   * Leaves the queue in good order; pending waits of this side reject with `CLOSED`, views of the ring become empty.
   * The other side sees `closed` once it has read everything. The last one to leave removes the queue,
   * unless messages are unread: those wait for the next consumer. With `discard` it drops them; said by whoever leaves before,
   * it changes nothing.
   */
  override close(options?: { readonly discard?: boolean | undefined }): void {
    this.#discard = flag(checkOptions(options, ['discard']), 'discard')
    super.close()
  }

  /**
   * Leaves the queue as `close()` does, and tells the other side that this one has failed: after the last message its waits
   * and loops reject with `PEER_FAILED`, where they would end. That is what a program does that cannot go on, so that
   * nobody takes a part for the whole; `close()`, and so `using`, says that all is well, also while an error is on its way.
   * The next one to take this side starts without that mark.
   *
   * `reason` is for people: an error (its message), text, or whatever was thrown. The first 200 bytes of its UTF-8 reach the
   * other side. Closed already: does nothing.
   */
  abort(reason?: unknown): void {
    if (this.closed) return
    this.#failure = reasonText(reason)
    super.close()
  }

  /** @internal Turns a negative outcome of a native call into an error. Would-block is none. */
  protected fail(outcome: number, length?: number): MillraceError {
    if (outcome === Outcome.tooLarge) {
      return new MillraceError(
        'ERR_MILLRACE_TOO_LARGE',
        `a message of ${String(length)} bytes does not fit queue '${this.name}', whose limit is ` +
          `${String(this.maxMessage)} bytes; create it with a larger capacity, or send it in parts`,
      )
    }
    if (outcome === Outcome.corrupt) {
      const error = corruptError(`queue '${this.name}'`)
      this.leave(error)
      return error
    }
    return closedError(this.title)
  }

  /** @internal */
  protected override closeNative(): void {
    this.ring = undefined
    if (this.#failure === undefined) this.native.close(this.#discard)
    else this.native.abort(this.#failure)
  }

  /** @internal The other side died: what waits for it will wait in vain. */
  protected goneError(): MillraceError {
    tellGone(this, this.peerPid)
    return new MillraceError(
      'ERR_MILLRACE_PEER_GONE',
      `the process at the other side of queue '${this.name}' (pid ${String(this.peerPid)}) died; ` +
        'its side can be taken again at once: wait for that with waitForPeer(), or close',
    )
  }

  /** @internal The other side left saying that it failed. `cure` follows what it said. */
  protected failedError(who: string, cure: string): MillraceError {
    const title = `the ${who} of queue '${this.name}'`
    return peerFailedError(title, this.peerPid, this.native.peerReason(), cure)
  }

  /** @internal The other side left in good order while we waited for it to make room. */
  protected leftError(): MillraceError {
    return new MillraceError(
      'ERR_MILLRACE_CLOSED',
      `the consumer of queue '${this.name}' has closed; wait for another with waitForPeer(), or close`,
    )
  }

  /** @internal What `console.log` shows: these properties, and the capacity if it is decided. */
  protected facts(changing: readonly (keyof this)[]): object {
    const isWhole = this.isWhole()
    const isKnown = isWhole && !this.isOpenEnded()
    return factsOf<this>(this, isKnown ? ['name', 'capacity'] : ['name'], changing, isWhole)
  }

  /** @internal The ring, or nothing where memory cannot be borrowed. */
  protected ringIfAny(): Ring | undefined {
    if (this.#refused) return undefined
    try {
      return this.ringForSure()
    } catch (error) {
      if (!isRefusal(error)) throw error
      this.#refused = true
      return undefined
    }
  }

  /** @internal The ring; throws `CLOSED`, and `UNSUPPORTED_RUNTIME` where memory cannot be borrowed. */
  protected ringForSure(): Ring {
    if (this.ring !== undefined) return this.ring
    this.assertOpen()
    return (this.ring = this.openRing())
  }

  /** @internal */
  protected abstract openRing(): Ring
}

/** What counts how long messages take, loaded by whoever opens a queue with `stats`. */
function latency(): typeof import('./latency.js') {
  return require('./latency.js') as typeof import('./latency.js')
}
