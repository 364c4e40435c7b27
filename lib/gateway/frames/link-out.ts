// Frames over a connection of ours to the gateway that takes them, which listens.

import type { Backoff } from '../../net/backoff.js'
import type { ConnectionStatus } from '../../net/connection-status.js'
import type { Session } from '../../net/session.js'
import type { RemoteOptions } from '../../net/share.js'
import type { Carrier, Counts } from '../route.js'
import { linkFingerprint } from './link.js'
import { lineOf, type LinkLine } from './link-line.js'
import { LinkSending, type LinkOptions } from './link-sending.js'
import type { FrameSource } from './source.js'

export interface LinkOutOptions extends LinkOptions {
  readonly connection: RemoteOptions | undefined
}

export class LinkOut implements Carrier {
  readonly guarantee = 'at-most-once'
  readonly #source: FrameSource
  readonly #session: Session<LinkLine>
  readonly #options: LinkOutOptions
  readonly #sending: LinkSending
  readonly #over = new AbortController()
  /** The frame that is being sent; never rejects. */
  #taking: Promise<void> = Promise.resolve()

  constructor(
    source: FrameSource,
    options: LinkOutOptions,
    backoff: Backoff | undefined,
    counts: Counts,
  ) {
    this.#source = source
    this.#options = options
    this.#sending = new LinkSending(source, options, counts)
    const { Session: Made } =
      require('../../net/session.js') as typeof import('../../net/session.js')
    const { address } = options
    this.#session = new Made<LinkLine>({
      ...{ title: `the gateway at '${address}'`, address, backoff },
      dial: (signal) => this.#dial(signal),
      opened: () => undefined,
      lost: () => ({}),
      failed: () => undefined,
    })
  }

  get connections(): readonly ConnectionStatus[] {
    return [this.#session.status]
  }

  get isReady(): boolean {
    return this.#source.isThere
  }

  get error(): Error | undefined {
    return this.#source.error ?? this.#sending.error
  }

  look(): void {
    this.#source.look()
  }

  async run(stop: AbortSignal): Promise<void> {
    const { flow } = this.#sending
    try {
      // Before the other side is there: what nobody can take meanwhile is counted.
      await this.#source.open(stop)
      while (!stop.aborted) {
        await this.#line(stop)
        await flow.until(() => flow.room > 0, stop)
        const frame = await this.#source.next(stop)
        if (frame === undefined) return
        this.#taking = this.#line(stop)
          .catch(() => undefined)
          .then((line) => this.#sending.take(frame, line))
        await this.#taking
      }
    } catch (error) {
      if (!stop.aborted) throw error
    }
  }

  async settled(): Promise<void> {
    await this.#sending.flow.empty(this.#over.signal)
  }

  async close(): Promise<void> {
    this.#over.abort()
    this.#session.close()
    // Its memory is not to go while it is being sent.
    await this.#taking
    this.#source.close()
  }

  async #line(stop: AbortSignal): Promise<LinkLine> {
    return await this.#session.ready({ signal: stop, timeout: Infinity })
  }

  async #dial(signal: AbortSignal): Promise<LinkLine> {
    const { dial } = require('../../remote/dial.js') as typeof import('../../remote/dial.js')
    const { address, connection } = this.#options
    const { channel } = await dial(address, connection ?? {}, 'frames', linkFingerprint, signal)
    return await lineOf(channel, address, signal)
  }
}
