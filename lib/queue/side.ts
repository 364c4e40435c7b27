// What the producer and the consumer of a queue have in common: closing, the peer's state, the ring.

import { closedError, corruptError, isRefusal, MillraceError } from '../errors.js'
import { Outcome } from '../addon/outcome.js'
import type { NativeQueueSide } from '../addon/queue.js'
import { checkOptions, flag, readWait, type Tuning, type WaitOptions } from '../base/options.js'
import { PeerHandle } from '../base/peer-handle.js'
import { recordHeaderBytes } from './ring-layout.js'

export abstract class QueueSide<
  Native extends NativeQueueSide,
  Ring extends object,
> extends PeerHandle<Native> {
  /** Bytes of the ring. */
  readonly capacity: number
  /** Longest message in bytes: the capacity less 8. */
  readonly maxMessage: number
  /** @internal The ring, once it was used in JavaScript; not any more after closing. */
  protected ring: Ring | undefined
  #discard = false
  #refused = false

  /** @internal */
  protected constructor(name: string, role: string, native: Native, tuning: Tuning) {
    super(name, `the ${role} of queue '${name}'`, native, tuning)
    this.capacity = native.capacity
    this.maxMessage = native.capacity - recordHeaderBytes
  }

  /** Resolves as soon as somebody has the other side. Rejects `ABORTED`, `TIMEOUT`, `CLOSED`. */
  async waitForPeer(options?: WaitOptions): Promise<void> {
    const wait = readWait(options)
    this.assertOpen()
    await this.waits.waitAside(
      `a peer on queue '${this.name}'`,
      (thorough) => (thorough && this.peer === 'attached' ? true : undefined),
      wait,
    )
  }

  /**
   * Leaves the queue; pending waits of this side reject with `CLOSED`, views of the ring become empty.
   * The other side sees `closed` once it has read everything. The last one to leave removes the queue,
   * unless messages are unread: those wait for the next consumer. `discard` drops them.
   */
  override close(options?: { readonly discard?: boolean | undefined }): void {
    this.#discard = flag(checkOptions(options, ['discard']), 'discard')
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
    this.native.close(this.#discard)
  }

  /** @internal The other side died: what waits for it will wait in vain. */
  protected goneError(): MillraceError {
    return new MillraceError(
      'ERR_MILLRACE_PEER_GONE',
      `the process at the other side of queue '${this.name}' (pid ${String(this.peerPid)}) died; ` +
        'its side can be taken again at once: wait for that with waitForPeer(), or close',
    )
  }

  /** @internal The other side left in good order while we waited for it to make room. */
  protected leftError(): MillraceError {
    return new MillraceError(
      'ERR_MILLRACE_CLOSED',
      `the consumer of queue '${this.name}' has closed; wait for another with waitForPeer(), or close`,
    )
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
