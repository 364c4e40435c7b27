// The streams of a client: they share one connection to one server, which is opened with the first of them, and anew when it has
// ended.

import { forgetAbort, whenAborted, type Abortable } from '../base/abort-signals.js'
import { disposeInEveryContext } from '../base/disposal.js'
import type { Iteration } from '../base/iteration.js'
import { now, startTimer, stopTimer } from '../base/time.js'
import { abortedError, hasCode, MillraceError } from '../errors.js'
import { queueChannel } from './streams/channel.js'
import { StreamClient } from './streams/client.js'
import type { GivenStreams } from './streams/connection.js'
import type { MethodPlan } from './methods.js'
import { readLimits, type CallOptions, type Limits } from './options.js'
import { newAddress, queuesOf } from './stream-address.js'
import { openQueues, removeQueues } from './stream-queues.js'

/** Two queues of a server. */
export interface StreamsAt {
  readonly address: string
  /** Does it take contexts of traces? One of an older version does not. */
  readonly takesTraces: boolean
}

/** Asks a server to make two queues at an address; where it has made them. Ends as `limits` say. */
export type Ask = (address: string, limits: Limits) => Promise<StreamsAt>

type Items = Iteration<unknown>
type Queues = ReturnType<typeof openQueues> & Pick<StreamsAt, 'takesTraces'>

/** A connection, until it has ended: of those whose servers leave there can be several, beside one that takes streams. */
interface Connected {
  client: StreamClient | undefined
  /** Are there streams on their way? */
  held: boolean
  readonly hold: (alive: boolean) => void
}

export class Streams {
  readonly #name: string
  readonly #ask: Ask
  readonly #given: GivenStreams
  readonly #all = new Set<Connected>()
  /** The newest of them. */
  #client: StreamClient | undefined
  #opening: Promise<StreamClient> | undefined
  #alive = true
  #closed = false

  /** `name`: of the client, for messages. */
  constructor(name: string, ask: Ask, given: GivenStreams) {
    this.#name = name
    this.#ask = ask
    this.#given = given
  }

  /** What the client's function of that name does. */
  functionOf(plan: MethodPlan): (input: unknown, options?: CallOptions) => unknown {
    return plan.kind === 'upload'
      ? (items, options) => this.#upload(plan, items, options)
      : (input, options) => this.#iterate(plan, input, options)
  }

  /** Is there a connection, or is one being made? */
  get isBusy(): boolean {
    return this.#opening !== undefined || this.#all.size > 0
  }

  /** Streams on their way keep the process alive, or do not. */
  hold(alive: boolean): void {
    this.#alive = alive
    for (const { held, hold } of this.#all) hold(held && alive)
  }

  close(): void {
    this.#closed = true
    for (const { client } of [...this.#all]) client?.close()
    this.#client = undefined
  }

  async #upload(plan: MethodPlan, items: unknown, options?: CallOptions): Promise<unknown> {
    const limits = readLimits(options)
    const until = now() + limits.timeout
    const client = this.#open() ?? (await this.#opened(limits, until))
    return await client.methodOf(plan)(items, leftOf(options, until))
  }

  #iterate(plan: MethodPlan, input: unknown, options?: CallOptions): Items {
    const client = this.#open()
    if (client !== undefined) return client.methodOf(plan)(input, options) as Items
    const limits = readLimits(options)
    const until = now() + limits.timeout
    return new Later(async () => {
      const opened = this.#open() ?? (await this.#opened(limits, until))
      return opened.methodOf(plan)(input, leftOf(options, until)) as Items
    })
  }

  #open(): StreamClient | undefined {
    const client = this.#client
    return client?.closed === false && !StreamClient.isLeft(client) ? client : undefined
  }

  /** The connection that is being opened; who comes later has a try of its own if that fails, and its own time. */
  async #opened(limits: Limits, until: number): Promise<StreamClient> {
    for (;;) {
      const open = this.#open()
      if (open !== undefined) return open
      if (this.#opening === undefined) {
        const opening = this.#connect(limits, until).finally(() => {
          this.#opening = undefined
        })
        this.#opening = opening
        return await opening
      }
      const over = this.#opening.catch(() => undefined)
      await new Patience(limits, until).endsWith(over)
    }
  }

  async #connect(limits: Limits, until: number): Promise<StreamClient> {
    const { takesTraces, ...queues } = await this.#queues(limits, until)
    const channel = queueChannel(queues)
    const hold = channel.hold!.bind(channel)
    const one: Connected = { client: undefined, hold, held: false }
    channel.hold = (held) => {
      one.held = held
      hold(held && this.#alive)
    }
    const client = new StreamClient(channel, this.#given, this.#name)
    if (!takesTraces) StreamClient.withoutTraces(client)
    one.client = client
    this.#all.add(one)
    void client.ended.then(() => this.#all.delete(one))
    if (this.#closed) client.close()
    this.#client = client
    return client
  }

  /** The queues that a server has made; it is there already, or it has left since, and another one is asked. */
  async #queues(limits: Limits, until: number): Promise<Queues> {
    for (let tries = 0; tries < mostTries; tries++) {
      const limited = { ...limits, timeout: leftUntil(until) }
      const { address, takesTraces } = await this.#asked(limited)
      const { up, down } = queuesOf(address)
      const queues = { ...openQueues(up, down), takesTraces }
      if (queues.producer.peer !== 'absent' && queues.consumer.peer !== 'absent') return queues
      queues.producer.close()
      queues.consumer.close()
    }
    throw new MillraceError(
      'ERR_MILLRACE_PEER_GONE',
      `${String(mostTries)} servers have closed before a connection to them for streams was open; call again`,
      { executed: 'no' },
    )
  }

  async #asked(limits: Limits): Promise<StreamsAt> {
    const address = newAddress(this.#name)
    try {
      return await this.#ask(address, limits)
    } catch (error) {
      const { executed } = error as Partial<MillraceError>
      if (hasCode(error, 'ERR_MILLRACE_PEER_GONE') && executed !== 'no') {
        const { up, down } = queuesOf(address)
        removeQueues(up, down)
      }
      throw error
    }
  }
}

/** Servers that are asked for one connection. */
const mostTries = 3

function leftUntil(until: number): number {
  return Math.max(until - now(), 0)
}

/** The same, with what is left of its time. */
function leftOf(options: CallOptions | undefined, until: number): CallOptions | undefined {
  if (until === Infinity) return options
  const { signal, within, traceparent } = options ?? {}
  return { signal, within, traceparent, timeout: leftUntil(until) }
}

/** One that waits for what others have begun, as long as its own limits allow. */
class Patience implements Abortable {
  readonly #limits: Limits
  readonly #until: number
  #reject: (error: Error) => void = () => undefined

  constructor(limits: Limits, until: number) {
    this.#limits = limits
    this.#until = until
  }

  async endsWith(other: Promise<unknown>): Promise<void> {
    const { signal, outer, timeout } = this.#limits
    const given = [signal, outer].filter((one) => one !== undefined)
    const over = new Promise<never>((_, reject) => {
      this.#reject = reject
    })
    const late = (): void => {
      this.#reject(
        new MillraceError(
          'ERR_MILLRACE_TIMEOUT',
          `no connection for streams was open within ${String(Math.ceil(timeout))} ms; start a server, or allow more time`,
          { executed: 'no' },
        ),
      )
    }
    const timer = timeout === Infinity ? undefined : startTimer(leftUntil(this.#until), late)
    for (const one of given) {
      if (one.aborted)
        this.aborted() // since it was given
      else whenAborted(one, this)
    }
    try {
      await Promise.race([other, over])
    } finally {
      stopTimer(timer)
      for (const one of given) forgetAbort(one, this)
    }
  }

  aborted(): void {
    const { signal, outer } = this.#limits
    this.#reject(abortedError(signal?.aborted === true ? signal : outer!))
  }
}

const done: IteratorResult<unknown, undefined> = { value: undefined, done: true }

type Result = IteratorResult<unknown, undefined>

interface Asking {
  readonly resolve: (result: Result | Promise<Result>) => void
  readonly reject: (error: unknown) => void
}

/** An iteration over what is opened when its first item is asked for. */
export class Later implements Items {
  #begin: (() => Promise<Items>) | undefined
  #items: Items | undefined
  readonly #asking: Asking[] = []
  #over = false

  constructor(begin: () => Promise<Items>) {
    this.#begin = begin
  }

  next(): Promise<Result> {
    if (this.#items !== undefined) return this.#items.next()
    if (this.#over) return Promise.resolve(done)
    const begin = this.#begin
    this.#begin = undefined
    begin?.().then(
      (items) => {
        this.#opened(items)
      },
      (error: unknown) => {
        this.#failed(error)
      },
    )
    return new Promise((resolve, reject) => {
      this.#asking.push({ resolve, reject })
    })
  }

  /** Who leaves waits for nothing: what is being opened is for others then. */
  return(): Promise<Result> {
    if (this.#items !== undefined) return this.#items.return()
    this.#over = true
    for (const { resolve } of this.#asking.splice(0)) resolve(done)
    return Promise.resolve(done)
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

  #opened(items: Items): void {
    if (this.#over) return // nothing was sent for it
    this.#items = items
    for (const { resolve } of this.#asking.splice(0)) resolve(items.next())
  }

  /** An error is told once; then it is over. */
  #failed(error: unknown): void {
    this.#over = true
    const [first, ...others] = this.#asking.splice(0)
    first?.reject(error)
    for (const { resolve } of others) resolve(done)
  }
}
