// Something of this process, for whoever connects to an address.

import { disposeInEveryContext } from '../base/disposal.js'
import { inspected, inspection, jsonOf, type Inspecting } from '../base/inspection.js'
import type { Channel, Listener, Refusals } from '../net/channel.js'
import type { Share, ShareOptions } from '../net/share.js'
import type { FrameChannel } from '../rpc/streams/channel.js'
import { welcome, type Greeted } from './greeting.js'

/** One client that is served. */
export interface Serving {
  readonly ended: Promise<unknown>
  close(): void
}

/** What is shared. */
export interface Shared extends Greeted {
  serve(frames: FrameChannel, channel: Channel): Serving
  /** Nothing is shared any more, and all clients have gone. */
  ended?(): void
}

const welcomeMs = 5000

/**
 * What clients at an address may ask for: of several things, the first gives the share its kind.
 *
 * @throws MillraceError as `listen`
 */
export async function share(
  address: string,
  options: ShareOptions | undefined,
  ...shared: readonly [Shared, ...Shared[]]
): Promise<Share> {
  const { listen } = require('../net/connect.js') as typeof import('../net/connect.js')
  return new Sharing(await listen(address, options), shared)
}

class Sharing implements Share {
  readonly #listener: Listener
  readonly #shared: readonly [Shared, ...Shared[]]
  readonly #clients = new Set<Serving>()
  readonly #serving: Promise<void>

  constructor(listener: Listener, shared: readonly [Shared, ...Shared[]]) {
    this.#listener = listener
    this.#shared = shared
    this.#serving = this.#serveAll()
  }

  get address(): string {
    return this.#listener.address
  }
  get connections(): number {
    return this.#listener.connections
  }
  get refused(): number {
    return this.#listener.refused
  }
  get refusals(): Refusals {
    return this.#listener.refusals
  }
  get closed(): boolean {
    return this.#listener.closed
  }

  async close(): Promise<void> {
    await this.#listener.close()
    for (const client of this.#clients) client.close()
    await this.#serving
    await Promise.all([...this.#clients].map(({ ended }) => ended))
    for (const one of this.#shared) one.ended?.()
  }

  ref(): this {
    this.#listener.ref()
    return this
  }

  unref(): this {
    this.#listener.unref()
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  static {
    disposeInEveryContext(this.prototype, 'asyncDispose')
  }

  /** For `JSON.stringify`: what `console.log` shows. Never throws. */
  toJSON(): object {
    return jsonOf(this)
  }

  /** @internal What `console.log` shows. */
  [inspected](...how: Inspecting): string {
    return inspection('Share', how, () => ({
      kind: this.#shared[0].kind,
      address: this.address,
      connections: this.connections,
      refused: this.refused,
      closed: this.closed,
    }))
  }

  async #serveAll(): Promise<void> {
    for (;;) {
      const channel = await this.#listener.accept()
      if (channel === undefined) return
      void this.#serve(channel)
    }
  }

  async #serve(channel: Channel): Promise<void> {
    const { ChannelFrames } =
      require('../net/frame-channel.js') as typeof import('../net/frame-channel.js')
    // Clients do not keep a process alive that would end otherwise: the listener does.
    channel.unref()
    const wanted = await welcome(channel, this.#shared, { timeout: welcomeMs }).catch(
      () => undefined,
    )
    if (wanted === undefined || this.closed) {
      await channel.close()
      return
    }
    const client = wanted.serve(new ChannelFrames(channel), channel)
    this.#clients.add(client)
    await client.ended
    this.#clients.delete(client)
  }
}
