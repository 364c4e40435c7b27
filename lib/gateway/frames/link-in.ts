// Frames of the gateways that connect here. The bytes of a frame are written to its slot as they arrive; while no slot is free nothing is
// read, and so whoever sends waits. Each connection is a way of its own.

import { MillraceError } from '../../errors.js'
import type { Channel } from '../../net/channel.js'
import type { ConnectionStatus } from '../../net/connection-status.js'
import type { Share, ShareOptions } from '../../net/share.js'
import type { Serving } from '../../remote/sharing.js'
import type { Carrier } from '../route.js'
import { Joining } from './joining.js'
import { answerOf, helloOf, linkFingerprint } from './link.js'
import { readPart } from './part.js'
import type { FrameTarget } from './target.js'

/** Bytes of frames that are not taken go here; nobody reads it. */
const rubbishBytes = 65_536

export class LinkIn implements Carrier {
  readonly guarantee = 'at-most-once'
  readonly connections: readonly ConnectionStatus[] = []
  readonly #address: string
  readonly #options: ShareOptions
  readonly #target: FrameTarget
  readonly #over = new AbortController()
  readonly #ways = new Map<Channel, Joining>()
  #rubbish = new Uint8Array(rubbishBytes)
  #stop: AbortSignal | undefined
  #share: Share | undefined
  #closing: Promise<void> | undefined

  constructor(address: string, options: ShareOptions, target: FrameTarget) {
    this.#address = address
    this.#options = options
    this.#target = target
  }

  /** Is there somebody who sends? */
  get isReady(): boolean {
    return this.#ways.size > 0
  }

  get error(): Error | undefined {
    if (this.isReady || this.#share === undefined) return this.#target.error
    return new MillraceError(
      'ERR_MILLRACE_UNREACHABLE',
      `no gateway has a connection to '${this.#share.address}': start the one that is to send frames`,
    )
  }

  async run(stop: AbortSignal): Promise<void> {
    this.#stop = stop
    const { share: shared } =
      require('../../remote/sharing.js') as typeof import('../../remote/sharing.js')
    const share = await shared(this.#address, this.#options, {
      ...{ kind: 'frames', fingerprint: linkFingerprint },
      serve: (_frames, channel) => this.#serve(channel),
    })
    this.#share = share
    await this.#target.flow.until(() => share.closed, stop)
    // Nobody else may come; those that are there end when what they have begun is whole.
    this.#closing = share.close()
  }

  async settled(): Promise<void> {
    await this.#target.flow.empty(this.#over.signal)
  }

  async close(): Promise<void> {
    this.#over.abort()
    for (const [channel, way] of this.#ways) if (way.isOpen) channel.destroy()
    await (this.#closing ?? this.#share?.close())
    this.#target.close()
  }

  #serve(channel: Channel): Serving {
    const way = new Joining(
      this.#target,
      () => this.#target.tryLoan() ?? this.#target.loan(this.#over.signal),
      (ordinal, outcome) => {
        // Who sends waits for the answers of few frames: there is room for them.
        channel.send(answerOf(ordinal, outcome)).catch(() => undefined)
      },
    )
    this.#ways.set(channel, way)
    const close = (): void => {
      if (!way.isOpen) void channel.close()
    }
    const ended = this.#receive(channel, way)
      .catch(() => undefined)
      .then(async () => {
        this.#ways.delete(channel)
        way.abandon()
        await channel.close()
      })
    return { ended, close }
  }

  async #receive(channel: Channel, way: Joining): Promise<void> {
    await channel.send(helloOf(this.#target.slotBytes))
    while (this.#stop?.aborted !== true || way.isOpen) {
      const head = await channel.receive()
      if (head === undefined) return
      const read = readPart(head)
      if (read?.at !== head.length) {
        this.#target.count('damaged')
        return
      }
      const { part } = read
      const room = await way.room(part)
      const target = room ?? this.#rubbishOf(part.length)
      const length = await channel.receiveInto(target)
      if (length !== part.length) return
      if (room !== undefined) way.placed(part)
    }
  }

  #rubbishOf(length: number): Uint8Array {
    if (this.#rubbish.length < length) this.#rubbish = new Uint8Array(length)
    return this.#rubbish.subarray(0, length)
  }
}
