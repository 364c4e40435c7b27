// Frames that come over a connection of ours. Their bytes are written to the slot as they arrive; while no slot is free nothing is read, and so
// whoever sends waits.

import type { Channel } from '../../net/channel.js'
import { Joining } from './joining.js'
import { answerOf, helloOf } from './link.js'
import { readPart } from './part.js'
import type { FrameTarget } from './target.js'

/** Bytes of frames that are not taken go here; nobody reads it. */
const rubbishBytes = 65_536

export class LinkTaking {
  readonly channel: Channel
  readonly #target: FrameTarget
  readonly #way: Joining
  #rubbish: Uint8Array | undefined

  /** `over`: nobody waits for a slot any more. */
  constructor(channel: Channel, target: FrameTarget, over: AbortSignal) {
    this.channel = channel
    this.#target = target
    this.#way = new Joining(
      target,
      () => target.tryLoan() ?? target.loan(over),
      (ordinal, outcome) => {
        // Who sends waits for the answers of few frames: there is room for them.
        channel.send(answerOf(ordinal, outcome)).catch(() => undefined)
      },
    )
  }

  /** Is a frame half there? */
  get isOpen(): boolean {
    return this.#way.isOpen
  }

  /** What is half there does not become whole any more. */
  abandon(): void {
    this.#way.abandon()
  }

  /** Says what is taken, and takes it until the other side ends that, or, between two frames, `isOver` says so. */
  async run(isOver: () => boolean): Promise<void> {
    const { channel } = this
    await channel.send(helloOf(this.#target.slotBytes))
    while (!isOver() || this.isOpen) {
      const head = await channel.receive()
      if (head === undefined) return
      const read = readPart(head)
      if (read?.at !== head.length) {
        this.#target.count('damaged')
        return
      }
      const { part } = read
      const room = await this.#way.room(part)
      const length = await channel.receiveInto(room ?? this.#rubbishOf(part.length))
      if (length !== part.length) return
      if (room !== undefined) this.#way.placed(part)
    }
  }

  #rubbishOf(length: number): Uint8Array {
    if (this.#rubbish === undefined || this.#rubbish.length < length) {
      this.#rubbish = new Uint8Array(Math.max(length, rubbishBytes))
    }
    return this.#rubbish.subarray(0, length)
  }
}
