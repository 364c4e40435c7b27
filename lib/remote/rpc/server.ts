// A contract that is served at an address: by this process, over a connection for each client.

import { disposeInEveryContext } from '../../base/disposal.js'
import { inspected, inspection, jsonOf, type Inspecting } from '../../base/inspection.js'
import { isPromise } from '../../base/promised.js'
import { startTimer, startTurn, stopTimer } from '../../base/time.js'
import { MillraceError } from '../../errors.js'
import type { EnginePlace } from '../../engines/port.js'
import type { Share } from '../../net/share.js'
import type { Contract, HandlerContext } from '../../rpc/contract.js'
import { asRefusal } from '../../rpc/described.js'
import type { ServedElsewhere } from '../../rpc/elsewhere.js'
import type { FrameChannel } from '../../rpc/streams/channel.js'
import type { AnyHandler, ServedMethod } from '../../rpc/streams/server.js'
import { share, type Serving } from '../sharing.js'
import { EngineShare, servable } from './engine.js'

/** What is there of a share, wherever it is served. */
type Served = Pick<Share, 'address' | 'connections' | 'close'> &
  Readonly<Record<'ref' | 'unref', () => unknown>> & { readonly leave?: () => void }

/** Calls that wait for a handler beyond those that are at work; more are `BUSY`. */
const mostWaiting = 1024

/** @throws MillraceError as `listen` */
export async function serveCalls(
  address: string,
  contract: Contract,
  methods: readonly ServedMethod[],
  given: ServedElsewhere,
  engine?: EnginePlace,
): Promise<RemoteServer> {
  const server = new RemoteServer(contract, methods, given, engine)
  await server.begin(address)
  return server
}

/** Made by `serve` with an address that is not this machine's memory: a `CallServer` to its user. */
export class RemoteServer {
  readonly concurrency: number
  readonly #contract: Contract
  readonly #given: ServedElsewhere
  readonly #handlers: Readonly<Record<string, AnyHandler>>
  readonly #waiting: (() => void)[] = []
  readonly #idle: (() => void)[] = []
  readonly #onAbort = (): void => {
    this.close()
  }
  readonly #methods: readonly ServedMethod[]
  #share: Served | undefined
  #atWork = 0
  #ending: Promise<void> | undefined

  /** `engine`: it is served through that. */
  constructor(
    contract: Contract,
    methods: readonly ServedMethod[],
    given: ServedElsewhere,
    private readonly engine?: EnginePlace,
  ) {
    this.#methods = methods
    this.concurrency = given.concurrency
    this.#contract = contract
    this.#given = given
    this.#handlers = Object.fromEntries(
      methods.map(({ plan, handler }) => [plan.name, this.#bounded(handler)]),
    )
  }

  async begin(address: string): Promise<void> {
    this.#share = await this.#shared(address)
    const { signal } = this.#given
    signal?.addEventListener('abort', this.#onAbort, { once: true })
    if (signal?.aborted === true) this.close()
  }

  async #shared(address: string): Promise<Served> {
    const { connection, describe } = this.#given
    const { fingerprint, name } = this.#contract
    const { engine } = this
    if (engine === undefined) {
      return await share(address, connection, {
        kind: 'calls',
        fingerprint,
        name,
        describe,
        serve: (frames) => this.#serve(frames),
      })
    }
    const served = this.#methods.map(({ plan }) => ({
      plan,
      handler: this.#handlers[plan.name]!,
    }))
    const methods = servable(served, engine)
    const whole = new EngineShare(engine, this.#contract, methods, this.#given)
    return await whole.began()
  }

  /** Where it serves: port 0 has become the port. */
  get name(): string {
    return this.#share!.address
  }
  get path(): string {
    return this.#share!.address
  }
  get address(): string {
    return this.#share!.address
  }
  /** Handlers at work. */
  get atWork(): number {
    return this.#atWork
  }
  /** Clients at this moment. */
  get connections(): number {
    return this.#share!.connections
  }
  get closed(): boolean {
    return this.#ending !== undefined
  }

  ref(): this {
    this.#share!.ref()
    return this
  }

  unref(): this {
    this.#share!.unref()
    return this
  }

  /** Takes no more calls; the handlers that are at work have the time of `drainOnClose`. */
  close(): void {
    this.#ending ??= this.#end()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.close()
    await this.#ending
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
    return inspection('CallServer', how, () => ({
      name: this.name,
      concurrency: this.concurrency,
      atWork: this.atWork,
      closed: this.closed,
    }))
  }

  #serve(frames: FrameChannel): Serving {
    const { serveOver } = require('../../rpc/over.js') as typeof import('../../rpc/over.js')
    return serveOver(frames, this.#contract, this.#handlers as never, this.#given.streams)
  }

  /** So many at a time, of all clients together; the others wait in the order in which they came. */
  #bounded(handler: AnyHandler): AnyHandler {
    return (input, context) => {
      if (this.closed) throw this.#closing()
      if (this.#atWork < this.concurrency) return this.#run(handler, input, context)
      if (this.#waiting.length >= mostWaiting) throw this.#busy()
      return this.#later(handler, input, context)
    }
  }

  async #later(handler: AnyHandler, input: unknown, context: HandlerContext): Promise<unknown> {
    await new Promise<void>((go) => this.#waiting.push(go))
    if (this.closed || context.signal.aborted) {
      this.#next()
      throw this.#closing()
    }
    return await this.#run(handler, input, context)
  }

  #run(handler: AnyHandler, input: unknown, context: HandlerContext): unknown {
    this.#atWork++
    let result: unknown
    try {
      result = handler(input, context)
    } catch (error) {
      this.#done()
      throw error
    }
    if (isPromise(result)) return this.#settled(result)
    if (typeof result === 'object' && result !== null && Symbol.asyncIterator in result) {
      return this.#items(result as AsyncIterable<unknown>)
    }
    this.#done()
    return result
  }

  async #settled(result: PromiseLike<unknown>): Promise<unknown> {
    try {
      return await result
    } finally {
      this.#done()
    }
  }

  /** A stream is at work until its last item. */
  async *#items(items: AsyncIterable<unknown>): AsyncGenerator {
    try {
      yield* items
    } finally {
      this.#done()
    }
  }

  #done(): void {
    this.#atWork--
    this.#next()
    if (this.#atWork === 0) for (const told of this.#idle.splice(0)) told()
  }

  #next(): void {
    this.#waiting.shift()?.()
  }

  async #end(): Promise<void> {
    this.#given.signal?.removeEventListener('abort', this.#onAbort)
    this.#share?.leave?.()
    for (const go of this.#waiting.splice(0)) go()
    if (this.#atWork > 0 && this.#given.drainMs > 0) {
      await new Promise<void>((resolve) => {
        const timer = startTimer(this.#given.drainMs, resolve, { alive: true })
        this.#idle.push(() => {
          stopTimer(timer)
          // What the last one has answered is sent first.
          startTurn(resolve)
        })
      })
    }
    await this.#share?.close()
  }

  #closing(): Error {
    return asRefusal(
      new MillraceError(
        'ERR_MILLRACE_NO_RESPONDER',
        `the server at '${this.name}' is closing, and takes no more calls: call again, when another one serves there`,
        { executed: 'no' },
      ),
    )
  }

  #busy(): Error {
    return asRefusal(
      new MillraceError(
        'ERR_MILLRACE_BUSY',
        `the server at '${this.name}' has ${String(mostWaiting)} calls waiting for a handler: call again later, or serve with more concurrency`,
        { executed: 'no' },
      ),
    )
  }
}
