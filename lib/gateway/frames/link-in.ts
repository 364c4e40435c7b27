// Frames of the gateways that connect here. Each connection is a way of its own.

import { MillraceError } from '../../errors.js'
import type { Channel } from '../../net/channel.js'
import type { ConnectionStatus } from '../../net/connection-status.js'
import type { Share, ShareOptions } from '../../net/share.js'
import type { Serving } from '../../remote/sharing.js'
import type { Carrier } from '../route.js'
import { linkFingerprint } from './link.js'
import { LinkTaking } from './link-taking.js'
import type { FrameTarget } from './target.js'

export class LinkIn implements Carrier {
  readonly guarantee = 'at-most-once'
  readonly connections: readonly ConnectionStatus[] = []
  readonly #address: string
  readonly #options: ShareOptions
  readonly #target: FrameTarget
  readonly #over = new AbortController()
  readonly #ways = new Set<LinkTaking>()
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
    for (const way of this.#ways) if (way.isOpen) way.channel.destroy()
    await (this.#closing ?? this.#share?.close())
    this.#target.close()
  }

  #serve(channel: Channel): Serving {
    const way = new LinkTaking(channel, this.#target, this.#over.signal)
    this.#ways.add(way)
    const close = (): void => {
      if (!way.isOpen) void channel.close()
    }
    const ended = way
      .run(() => this.#stop?.aborted === true)
      .catch(() => undefined)
      .then(async () => {
        this.#ways.delete(way)
        way.abandon()
        await channel.close()
      })
    return { ended, close }
  }
}
