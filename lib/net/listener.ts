// Where connections come to: who they are is asked before anybody gets them.

import { disposeInEveryContext } from '../base/disposal.js'
import { inspected, inspection, jsonOf, type Inspecting } from '../base/inspection.js'
import { iterate, type Iteration } from '../base/iteration.js'
import { readWait, type WaitOptions } from '../base/options.js'
import { timeoutError } from '../errors.js'
import { selectable, type Readiness } from '../base/selectable.js'
import type { Channel, Listener, Refusals } from './channel.js'
import type { GivenListen } from './options.js'
import { Budget } from './stream/budget.js'
import { channelOver } from './stream/over.js'
import type { Arrivals, Connection, Listening, Transport } from './transport.js'
import { Line } from './waits.js'

export class ChannelListener implements Listener, Arrivals {
  readonly #given: GivenListen
  readonly #transport: Transport
  readonly #budget: Budget
  readonly #ready: Channel[] = []
  readonly #accepting = new Line<Channel | undefined>((ms) => this.#late(ms))
  readonly #pending = new Set<Channel>()
  readonly #watchers = new Set<() => void>()
  readonly #signal: AbortSignal | undefined
  readonly #onAbort = (): void => void this.close()
  #address: string
  #listening: Listening | undefined
  #connections = 0
  readonly #refusals = { connections: 0, pending: 0, allow: 0, hello: 0, resources: 0, bytes: 0 }
  /** What there was no room for, when that was asked last. */
  #lacking: 'connections' | 'pending' | undefined
  #closed = false
  #failure: Error | undefined
  #closing: Promise<void> | undefined

  constructor(address: string, transport: Transport, given: GivenListen) {
    this.#address = address
    this.#transport = transport
    this.#given = given
    this.#signal = given.signal
    this.#budget = new Budget(given.maxHeld, () => {
      this.#refusals.bytes++
    })
  }

  /** @internal The transport listens. */
  began(listening: Listening): void {
    this.#listening = listening
    this.#address = listening.address
    this.#signal?.addEventListener('abort', this.#onAbort, { once: true })
    if (this.#signal?.aborted === true) this.#onAbort()
  }

  get address(): string {
    return this.#address
  }
  get connections(): number {
    return this.#connections
  }
  get refused(): number {
    return Object.values(this.#refusals).reduce((sum, count) => sum + count, 0)
  }
  get refusals(): Refusals {
    return { ...this.#refusals }
  }
  get closed(): boolean {
    return this.#closed
  }

  accept(options?: WaitOptions): Promise<Channel | undefined> {
    try {
      const { signal, timeout } = readWait(options)
      if (this.#accepting.size === 0) {
        const channel = this.#take()
        if (channel !== undefined) return Promise.resolve(channel)
      }
      if (this.#failure !== undefined) return Promise.reject(this.#failure)
      if (this.#closed) return Promise.resolve(undefined)
      return this.#accepting.wait({ signal, timeout })
    } catch (error) {
      return Promise.reject(error)
    }
  }

  [Symbol.asyncIterator](): Iteration<Channel> {
    return iterate({ take: (wait) => this.accept(wait), handle: this })
  }

  [selectable](): Readiness {
    const look = (): 'ready' | 'ended' | undefined => {
      if (this.#ready.some(({ closed }) => !closed)) return 'ready'
      if (this.#failure !== undefined) throw this.#failure
      return this.#closed ? 'ended' : undefined
    }
    return {
      look,
      watch: (told, failed) => {
        const end = (): void => {
          this.#watchers.delete(watcher)
        }
        const watcher = (): void => {
          try {
            const state = look()
            if (state === undefined) return
            end()
            told(state)
          } catch (error) {
            end()
            failed(error)
          }
        }
        this.#watchers.add(watcher)
        watcher()
        return end
      },
    }
  }

  /** Something is to be seen by who selects. */
  #stirred(): void {
    for (const watcher of [...this.#watchers]) watcher()
  }

  close(): Promise<void> {
    return (this.#closing ??= this.#close())
  }

  ref(): this {
    this.#listening?.hold(true)
    return this
  }

  unref(): this {
    this.#listening?.hold(false)
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
    return inspection('Listener', how, () => ({
      address: this.address,
      connections: this.connections,
      refused: this.refused,
      closed: this.closed,
    }))
  }

  // What the transport tells

  /** @internal */
  hasRoom(): boolean {
    const { maxConnections, maxPending } = this.#given
    if (this.#closed || this.#connections >= maxConnections) this.#lacking = 'connections'
    else this.#lacking = this.#pending.size >= maxPending ? 'pending' : undefined
    return this.#lacking === undefined
  }

  /** @internal */
  arrived(connection: Connection): void {
    this.#connections++
    if (connection.channel !== undefined) {
      void connection.gone.then(() => {
        this.#connections--
      })
      this.#offer(connection.channel)
      return
    }
    const channel = channelOver(
      connection,
      this.#address,
      this.#transport,
      this.#given,
      this.#budget,
    )
    this.#pending.add(channel)
    void channel.gone.then(() => {
      this.#connections--
    })
    channel.greeted({ timeout: this.#given.helloMs }).then(
      () => {
        this.#pending.delete(channel)
        this.#offer(channel)
      },
      (error: unknown) => {
        this.#pending.delete(channel)
        this.#refusals.hello++
        channel.destroy(error as Error)
      },
    )
  }

  /** @internal */
  turnedAway(cause: keyof Refusals = 'allow'): void {
    this.#refusals[this.#lacking ?? cause]++
    this.#lacking = undefined
  }

  /** @internal */
  failed(error: Error): void {
    this.#failure ??= error
    this.#accepting.rejectAll(error)
    void this.close()
  }

  #take(): Channel | undefined {
    for (;;) {
      const channel = this.#ready.shift()
      // It may have gone while nobody asked.
      if (channel?.closed !== true) return channel
    }
  }

  #offer(channel: Channel): void {
    if (this.#closed) {
      channel.destroy()
      return
    }
    const first = this.#accepting.first
    if (first !== undefined) {
      first.resolve(channel)
      return
    }
    this.#ready.push(channel)
    this.#stirred()
  }

  async #close(): Promise<void> {
    this.#closed = true
    this.#signal?.removeEventListener('abort', this.#onAbort)
    this.#accepting.resolveAll(undefined)
    this.#stirred()
    for (const channel of [...this.#ready.splice(0), ...this.#pending]) channel.destroy()
    await this.#listening?.close()
  }

  #late(ms: number): Error {
    return timeoutError(
      `a connection to '${this.#address}'`,
      ms,
      'nobody has connected: start who is to do it, or allow more time',
    )
  }
}
