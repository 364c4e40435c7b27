// A channel as calls and streams go over it.

import { turnIsDue } from '../base/fairness.js'
import { startTurn } from '../base/time.js'
import type { Channel } from './channel.js'

/** A channel as `connectOver` and `serveOver` of `millrace/rpc` take it: their `FrameChannel`. It closes with them. */
export class ChannelFrames {
  /** The longest frame that can be sent, in bytes. */
  readonly maxFrame: number
  readonly #channel: Channel
  /** Is there something to stay alive for, and is it allowed? */
  #holds = true
  #mayHold = true

  /** `most`: frames are no longer than that, so that a long message holds up nobody else's. */
  constructor(channel: Channel, most = 65_536) {
    this.#channel = channel
    this.maxFrame = Math.min(channel.traits.maxBytes, most)
  }

  /** The process at the other side, if it is known. */
  get peerPid(): number | undefined {
    return this.#channel.peer.pid
  }

  /** Where the other side is. */
  get address(): string {
    return this.#channel.address
  }

  /** As `Channel.trySend`. */
  trySend(frame: Uint8Array): boolean {
    return this.#channel.trySend(frame)
  }

  /** As `Channel.send`. */
  send(frame: Uint8Array): Promise<void> {
    return this.#channel.send(frame)
  }

  /** Calls `arrived` for each frame, until the other side closes. */
  async receive(arrived: (frame: Uint8Array) => void): Promise<void> {
    const channel = this.#channel
    for (;;) {
      const frame = await channel.receive()
      if (frame === undefined) return
      arrived(frame)
      for (;;) {
        const next = turnIsDue() ? undefined : channel.tryReceive()
        if (next === undefined) break
        arrived(next)
      }
      if (channel.closed) return
      if (turnIsDue()) {
        await new Promise<void>((resolve) => {
          startTurn(resolve)
        })
      }
    }
  }

  /** Closes the channel. */
  close(): void {
    void this.#channel.close()
  }

  /** Keeps the process alive, or lets it end. */
  hold(alive: boolean): void {
    this.#holds = alive
    this.#holdLoop()
  }

  /** @internal May it be kept alive at all? */
  mayHold(may: boolean): void {
    this.#mayHold = may
    this.#holdLoop()
  }

  #holdLoop(): void {
    if (this.#holds && this.#mayHold) this.#channel.ref()
    else this.#channel.unref()
  }
}
