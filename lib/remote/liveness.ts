// Whether a connection keeps its process alive: while somebody waits for something of it, as in this machine's memory. What goes over it
// in the background (a subscription that nobody asks, the news of leases) does not.

import type { FrameChannel } from '../rpc/streams/channel.js'

export class Liveness {
  #hold: ((alive: boolean) => void) | undefined
  #waiting = 0
  #alive = true

  /** Of the connection that there is now. */
  attach(hold: (alive: boolean) => void): void {
    this.#hold = hold
    this.#tell()
  }

  /** Somebody waits, until {@link ended}. */
  begun(): void {
    if (++this.#waiting === 1) this.#tell()
  }

  ended(): void {
    if (--this.#waiting === 0) this.#tell()
  }

  /** Do those who wait count? */
  keepAlive(alive: boolean): void {
    this.#alive = alive
    this.#tell()
  }

  #tell(): void {
    this.#hold?.(this.#alive && this.#waiting > 0)
  }
}

/** The same channel, of which others say what it holds. */
export function unheld(frames: FrameChannel): FrameChannel {
  return {
    maxFrame: frames.maxFrame,
    get peerPid() {
      return frames.peerPid
    },
    address: frames.address,
    trySend: (frame) => frames.trySend(frame),
    send: (frame) => frames.send(frame),
    receive: (arrived) => frames.receive(arrived),
    close: () => {
      frames.close()
    },
  }
}
