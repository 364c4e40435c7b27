// Frames for the gateways that connect here to take them. Each connection reads the channel for itself, so a slow one, or one that breaks, keeps nobody
// else waiting: what it does not take gives way, and is counted for it alone.

import { MillraceError } from '../../errors.js'
import type { Channel } from '../../net/channel.js'
import type { ConnectionStatus } from '../../net/connection-status.js'
import type { Share, ShareOptions } from '../../net/share.js'
import type { Serving } from '../../remote/sharing.js'
import { Flow } from '../flow.js'
import type { Carrier, Counts } from '../route.js'
import { linkFingerprint } from './link.js'
import { lineOf } from './link-line.js'
import { LinkSending, type LinkOptions } from './link-sending.js'
import type { FrameSource } from './source.js'

/** One gateway that is connected. */
interface Way {
  readonly source: FrameSource
  readonly sending: LinkSending
  /** Nothing more is taken for it. */
  readonly stop: AbortController
}

/** What is on its way to one gateway, as a part of what is on its way over the route. */
class PartOf {
  readonly #counts: Counts
  #own = 0

  constructor(counts: Counts) {
    this.#counts = counts
  }

  set inFlight(count: number) {
    this.#counts.inFlight += count - this.#own
    this.#own = count
  }

  get inFlight(): number {
    return this.#own
  }
}

export class LinkOffer implements Carrier {
  readonly guarantee = 'at-most-once'
  readonly connections: readonly ConnectionStatus[] = []
  readonly #open: () => FrameSource
  readonly #options: LinkOptions
  readonly #connection: ShareOptions
  readonly #counts: Counts
  readonly #over = new AbortController()
  readonly #ways = new Map<Channel, Way>()
  /** Of ways, which come and go. */
  readonly #changes: Flow
  #share: Share | undefined
  #closing: Promise<void> | undefined
  /** Why the last one that came got nothing. */
  #error: Error | undefined

  /** `open`: a reader of the channel for one that connects. */
  constructor(
    open: () => FrameSource,
    options: LinkOptions,
    connection: ShareOptions,
    counts: Counts,
  ) {
    this.#open = open
    this.#options = options
    this.#connection = connection
    this.#counts = counts
    this.#changes = new Flow(Infinity, new PartOf(counts))
  }

  /** Is there somebody who takes, and somebody who writes the channel? */
  get isReady(): boolean {
    return [...this.#ways.values()].some(({ source }) => source.isThere)
  }

  get error(): Error | undefined {
    if (this.#share === undefined) return undefined
    for (const { source, sending } of this.#ways.values()) {
      const error = source.error ?? sending.error
      if (error !== undefined) return error
    }
    if (this.#error !== undefined || this.#ways.size > 0) return this.#error
    return new MillraceError(
      'ERR_MILLRACE_UNREACHABLE',
      `no gateway has a connection to '${this.#share.address}': start the one that is to take frames`,
    )
  }

  look(): void {
    for (const { source } of this.#ways.values()) source.look()
  }

  async run(stop: AbortSignal): Promise<void> {
    const { share: shared } =
      require('../../remote/sharing.js') as typeof import('../../remote/sharing.js')
    const share = await shared(this.#options.address, this.#connection, {
      ...{ kind: 'frames-from', fingerprint: linkFingerprint },
      serve: (_frames, channel) => this.#serve(channel),
    })
    this.#share = share
    await this.#changes.until(() => share.closed, stop)
    // Nobody else may come; those that are there end when what is on its way to them has arrived.
    for (const way of this.#ways.values()) way.stop.abort()
    this.#closing = share.close()
  }

  async settled(): Promise<void> {
    await this.#changes.until(() => this.#ways.size === 0, this.#over.signal)
  }

  async close(): Promise<void> {
    this.#over.abort()
    for (const [channel, way] of this.#ways) {
      way.stop.abort()
      channel.destroy()
    }
    await (this.#closing ?? this.#share?.close())
  }

  #serve(channel: Channel): Serving {
    const source = this.#open()
    const sending = new LinkSending(source, this.#options, this.#counts, new PartOf(this.#counts))
    const way = { source, sending, stop: new AbortController() }
    this.#ways.set(channel, way)
    const ended = this.#hand(channel, way)
      .catch((error: unknown) => {
        if (!way.stop.signal.aborted) this.#error = error as Error
      })
      .then(async () => {
        source.close()
        await channel.close()
        this.#ways.delete(channel)
        this.#changes.tell()
      })
    const close = (): void => {
      way.stop.abort()
    }
    return { ended, close }
  }

  /** Hands on what is written from now on, until `stop` or the end of the connection. */
  async #hand(channel: Channel, { source, sending, stop }: Way): Promise<void> {
    const { signal } = stop
    const line = await lineOf(channel, this.#options.address, signal)
    void line.ended.then(() => {
      stop.abort()
    })
    const { flow } = sending
    try {
      await source.open(signal)
      this.#error = undefined
      while (!signal.aborted) {
        await flow.until(() => flow.room > 0, signal)
        const frame = await source.next(signal)
        if (frame === undefined) break
        await sending.take(frame, line)
      }
    } finally {
      await flow.empty(this.#over.signal)
    }
  }
}
