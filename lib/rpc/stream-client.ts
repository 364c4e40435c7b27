// The streams of a client: they share one connection to one server, which is opened with the first of them, and anew when it has
// ended.

import { disposeInEveryContext } from '../base/disposal.js'
import type { Iteration } from '../base/iteration.js'
import { now } from '../base/time.js'
import { queueChannel } from './streams/channel.js'
import { StreamClient } from './streams/client.js'
import { readConnection } from './streams/options.js'
import type { MethodPlan } from './methods.js'
import { readLimits, type CallOptions, type Limits } from './options.js'
import { queuesOf } from './stream-address.js'
import { openQueues } from './stream-queues.js'

/** Asks a server for two queues: their address. Ends as `limits` say. */
export type Ask = (limits: Limits) => Promise<string>

type Items = Iteration<unknown>

interface Held {
  readonly hold: (alive: boolean) => void
}

export class Streams {
  readonly #ask: Ask
  #client: StreamClient | undefined
  #opening: Promise<StreamClient> | undefined
  #alive = true
  #channel: Held | undefined
  /** Are there streams on their way? */
  #held = false
  #closed = false

  constructor(ask: Ask) {
    this.#ask = ask
  }

  /** What the client's function of that name does. */
  functionOf(plan: MethodPlan): (input: unknown, options?: CallOptions) => unknown {
    return plan.kind === 'upload'
      ? (items, options) => this.#upload(plan, items, options)
      : (input, options) => this.#iterate(plan, input, options)
  }

  /** Streams on their way keep the process alive, or do not. */
  hold(alive: boolean): void {
    this.#alive = alive
    this.#channel?.hold(this.#held && alive)
  }

  close(): void {
    this.#closed = true
    this.#client?.close()
    this.#client = undefined
  }

  async #upload(plan: MethodPlan, items: unknown, options?: CallOptions): Promise<unknown> {
    const limits = readLimits(options)
    const until = now() + limits.timeout
    const client = this.#open() ?? (await this.#opened(limits))
    return await client.methodOf(plan)(items, leftOf(options, until))
  }

  #iterate(plan: MethodPlan, input: unknown, options?: CallOptions): Items {
    const client = this.#open()
    if (client !== undefined) return client.methodOf(plan)(input, options) as Items
    const limits = readLimits(options)
    const until = now() + limits.timeout
    return new Later(async () => {
      const opened = this.#open() ?? (await this.#opened(limits))
      return opened.methodOf(plan)(input, leftOf(options, until)) as Items
    })
  }

  #open(): StreamClient | undefined {
    return this.#client?.closed === false ? this.#client : undefined
  }

  /** The connection that is being opened; who comes later has a try of its own if that fails. */
  async #opened(limits: Limits): Promise<StreamClient> {
    for (;;) {
      const open = this.#open()
      if (open !== undefined) return open
      if (this.#opening === undefined) {
        const opening = this.#connect(limits).finally(() => {
          this.#opening = undefined
        })
        this.#opening = opening
        return await opening
      }
      await this.#opening.catch(() => undefined)
    }
  }

  async #connect(limits: Limits): Promise<StreamClient> {
    const { up, down } = queuesOf(await this.#ask(limits))
    const channel = queueChannel(openQueues(up, down))
    const hold = channel.hold!.bind(channel)
    this.#channel = { hold }
    channel.hold = (held) => {
      this.#held = held
      hold(held && this.#alive)
    }
    const client = new StreamClient(channel, readConnection({}))
    if (this.#closed) client.close()
    this.#client = client
    return client
  }
}

/** The same, with what is left of its time. */
function leftOf(options: CallOptions | undefined, until: number): CallOptions | undefined {
  if (until === Infinity) return options
  return { signal: options?.signal, within: options?.within, timeout: Math.max(until - now(), 0) }
}

const done: IteratorResult<unknown, undefined> = { value: undefined, done: true }

/** An iteration over what is opened when its first item is asked for. */
class Later implements Items {
  #begin: (() => Promise<Items>) | undefined
  #items: Promise<Items> | undefined
  #over = false

  constructor(begin: () => Promise<Items>) {
    this.#begin = begin
  }

  async next(): Promise<IteratorResult<unknown, undefined>> {
    if (this.#over) return done
    this.#items ??= this.#begin!()
    this.#begin = undefined
    const items = await this.#items
    return await items.next()
  }

  async return(): Promise<IteratorResult<unknown, undefined>> {
    this.#over = true
    const items = await this.#items?.catch(() => undefined)
    return (await items?.return()) ?? done
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }

  static {
    disposeInEveryContext(this.prototype, 'asyncDispose')
  }

  [Symbol.asyncIterator](): Items {
    return this
  }
}
