// What the handles have in common that have one peer at the other side.

import { peerStates, type PeerState } from '../addon/peer.js'
import { timeoutError, type MillraceError } from '../errors.js'
import type { NativeWaiter } from '../addon/waiter.js'
import { Handle } from './handle.js'
import type { Tuning } from './options.js'

interface NativePeerWaiter extends NativeWaiter {
  /** An index of `peerStates`. */
  peer(): number
  peerPid(): number
  /** Makes the death of the peer wake us. False: there is none, or its death cannot be heard. */
  watchPeer(): boolean
}

export abstract class PeerHandle<Native extends NativePeerWaiter> extends Handle<Native> {
  /** @internal */
  protected constructor(name: string, title: string, native: Native, tuning: Tuning) {
    // Somebody who is not there, or has left, cannot die.
    const watch = () => native.watchPeer() || native.peer() !== peerStates.indexOf('attached')
    super(name, title, native, watch, tuning)
  }

  /**
   * The other side, which to a reader is the writer: `absent` (nobody came yet), `attached`, `closed` (left in
   * good order), `failed` (left saying so; of queues and frames) or `gone` (died). Two system calls.
   *
   * @throws MillraceError `CORRUPT` (the memory was shortened)
   */
  get peer(): PeerState {
    this.assertWhole()
    return peerStates[this.native.peer()] ?? 'absent'
  }

  /** @internal Why a wait for the other side was too long: what `role` has not done, or that nobody is there to do it. */
  protected whyLate(role: string, omission: string): string {
    return this.peer === 'attached'
      ? `its ${role} (process ${String(this.peerPid)}) ${omission}: find out why, or allow more time`
      : `it had no ${role}: start one, or allow more time`
  }

  /** @internal The error of a wait for somebody at the other side that was too long. */
  protected noPeerInTime(what: string, timeout: number): MillraceError {
    return timeoutError(what, timeout, 'start one, or allow more time')
  }

  /**
   * Process id of the other side (of its last holder), 0 if there was none. One system call.
   *
   * @throws MillraceError `CORRUPT` (the memory was shortened)
   */
  get peerPid(): number {
    this.assertWhole()
    return this.native.peerPid()
  }
}
