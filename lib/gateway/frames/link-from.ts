// Frames of a gateway that listens, and hands them on to whoever connects: for a host that nobody can connect to.

import type { Backoff } from '../../net/backoff.js'
import type { ConnectionStatus } from '../../net/connection-status.js'
import type { Line, Session } from '../../net/session.js'
import type { RemoteOptions } from '../../net/share.js'
import type { Carrier } from '../route.js'
import { linkFingerprint } from './link.js'
import { LinkTaking } from './link-taking.js'
import type { FrameTarget } from './target.js'

export interface LinkFromOptions {
  readonly address: string
  readonly connection: RemoteOptions | undefined
}

/** One connection. */
class TakingLine implements Line {
  readonly ended: Promise<Error | undefined>
  readonly #way: LinkTaking

  constructor(way: LinkTaking, isOver: () => boolean) {
    this.#way = way
    this.ended = way
      .run(isOver)
      .then(
        () => undefined,
        (error: unknown) => error as Error,
      )
      .finally(() => {
        way.abandon()
        this.close()
      })
  }

  /** What is half there becomes whole, and nothing more comes. */
  stop(): void {
    if (!this.#way.isOpen) void this.#way.channel.close()
  }

  close(): void {
    this.#way.channel.destroy()
  }
}

export class LinkFrom implements Carrier {
  readonly guarantee = 'at-most-once'
  readonly isReady = true
  readonly #target: FrameTarget
  readonly #session: Session<TakingLine>
  readonly #over = new AbortController()
  #stop: AbortSignal | undefined

  constructor(
    { address, connection }: LinkFromOptions,
    target: FrameTarget,
    backoff: Backoff | undefined,
  ) {
    this.#target = target
    const { Session: Made } =
      require('../../net/session.js') as typeof import('../../net/session.js')
    this.#session = new Made<TakingLine>({
      ...{ title: `the gateway at '${address}'`, address, backoff },
      dial: async (signal) => {
        const { dial } = require('../../remote/dial.js') as typeof import('../../remote/dial.js')
        const given = connection ?? {}
        const { channel } = await dial(address, given, 'frames-from', linkFingerprint, signal)
        const way = new LinkTaking(channel, target, this.#over.signal)
        return new TakingLine(way, () => this.#stop?.aborted === true)
      },
      opened: () => undefined,
      lost: () => ({}),
      failed: () => undefined,
    })
  }

  get connections(): readonly ConnectionStatus[] {
    return [this.#session.status]
  }

  get error(): Error | undefined {
    return this.#target.error
  }

  async run(stop: AbortSignal): Promise<void> {
    this.#stop = stop
    const { flow } = this.#target
    try {
      while (!stop.aborted) {
        const line = await this.#session.ready({ signal: stop, timeout: Infinity })
        let hasEnded = false
        void line.ended.then(() => {
          hasEnded = true
          flow.tell()
        })
        await flow.until(() => hasEnded, stop)
      }
    } catch (error) {
      if (!stop.aborted) throw error
    }
    this.#session.line?.stop()
  }

  async settled(): Promise<void> {
    await this.#target.flow.empty(this.#over.signal)
  }

  async close(): Promise<void> {
    this.#over.abort()
    const line = this.#session.line
    this.#session.close()
    await line?.ended
    this.#target.close()
  }
}
