// What a behaviour of a pattern is judged in: a queue, a bus or a server of this process, and who uses it, by an address or through the
// memory itself. All of it is gone afterwards.

import type { RemoteOptions, Share, ShareOptions } from '../../net/share.js'
import type { Contract, Handlers } from '../../rpc/contract.js'
import type { ConnectOptions, ServeOptions } from '../../rpc/options.js'
import type { Connected } from '../../rpc/serve.js'
import type { CallServer } from '../../rpc/server.js'
import type { TopicsOptions } from '../../topics/options.js'
import type { Topics } from '../../topics/topics.js'
import type { Job } from '../../work/job.js'
import type { WorkQueueOptions } from '../../work/options.js'
import type { WorkQueue } from '../../work/work-queue.js'
import { claims, during, inTime, waitingFor, watched, type UnderWay } from '../scene.js'
import { severable, waysTo, type Ways } from './severable.js'

/** How what is shared is reached. */
export interface Reaching {
  /** Undefined: through the memory itself, without a connection. */
  readonly address: (() => string | Promise<string>) | undefined
  readonly connecting: RemoteOptions
  readonly listening: ShareOptions
}

/** What is where it is, and the same from elsewhere. */
export interface Pair<H> {
  /** Where the memory is. */
  readonly near: H
  /** By the address. */
  readonly far: H
  /** One more by the address. */
  readonly another: () => H
}

/** The functions that are asked for. */
export interface Serving<C extends Contract> {
  readonly contract: C
  readonly handlers: Handlers<C>
  readonly serving?: ServeOptions
}

const unconnected = 'there is no connection'
/** Milliseconds that what a judgement has opened has to go. */
const clearMs = 2000
const own = `conformance-${String(process.pid)}-${Math.random().toString(36).slice(2, 8)}`
let count = 0
const fresh = (): string => `${own}-${String(++count)}`

/** Attempts to connect follow at once: nobody judges how long is waited. */
const backoff = { base: 2, cap: 20 }

/** The place where one behaviour is judged. */
export class PatternScene {
  readonly #reaching: Reaching
  readonly #ends: (() => unknown)[] = []
  readonly #calls: UnderWay = new Set()
  #isOver = false
  #ways: Ways | undefined

  constructor(reaching: Reaching) {
    this.#reaching = reaching
  }

  get waiting(): string {
    return waitingFor(this.#calls)
  }

  /** What is waited for is known by that name. */
  during<T>(name: string, promise: Promise<T>): Promise<T> {
    return during(this.#calls, name, promise)
  }

  /** Ends the judgement, unless there is a connection that can be cut; that of what was opened last. */
  get connection(): Ways {
    claims(this.#ways !== undefined, unconnected)
    return this.#ways!
  }

  /** Ends the judgement, unless there are connections. */
  claimsConnection(): void {
    claims(this.#reaching.address !== undefined, unconnected)
  }

  async queue(options: WorkQueueOptions = {}): Promise<Pair<WorkQueue>> {
    const { WorkQueue: Queue } =
      require('../../work/work-queue.js') as typeof import('../../work/work-queue.js')
    const name = fresh()
    this.goesWithIt(() => Queue.unlink(name))
    const near = this.#closes(Queue.open(name, options))
    const place = await this.#shared(name, near)
    const another = (): WorkQueue => {
      const queue = this.#closes(Queue.open(place, this.#byAddress()))
      const known = (job: Job): Job => watched(job, this.#calls, {}, 'job.')
      return watched(queue, this.#calls, {
        takeOne: async (wait) => known(await queue.takeOne(wait)),
        takeBatch: async (most, wait) => (await queue.takeBatch(most, wait)).map(known),
      })
    }
    return { near, far: another(), another }
  }

  async bus(options: TopicsOptions = {}): Promise<Pair<Topics>> {
    const { Topics: Bus } =
      require('../../topics/topics.js') as typeof import('../../topics/topics.js')
    const name = fresh()
    const near = this.#closes(Bus.open(name, options))
    const place = await this.#shared(name, near)
    const another = (): Topics => {
      const bus = this.#closes(Bus.open(place, this.#byAddress()))
      const subscribe = async (...from: Parameters<Topics['subscribe']>): Promise<unknown> =>
        watched(await bus.subscribe(...from), this.#calls)
      return watched(bus, this.#calls, { subscribe: subscribe as Topics['subscribe'] })
    }
    return { near, far: another(), another }
  }

  /** Serves them, and connects to them. */
  async calls<C extends Contract>(
    { contract, handlers, serving }: Serving<C>,
    connecting: ConnectOptions = {},
  ): Promise<{ readonly server: CallServer; readonly client: Connected<C> }> {
    const server = await this.serve(await this.place(), {
      contract,
      handlers,
      serving: serving ?? {},
    })
    const client = await this.connect(server.name, contract, connecting)
    return { server, client }
  }

  async serve<C extends Contract>(
    place: string,
    { contract, handlers, serving }: Serving<C>,
  ): Promise<CallServer> {
    const { serve } = require('../../rpc/serve.js') as typeof import('../../rpc/serve.js')
    const { listening } = this.#reaching
    const options = { connection: listening, ...serving }
    const server = await this.during('serve()', serve(place, contract, handlers, options))
    this.goesWithIt(async () => {
      await server[Symbol.asyncDispose]()
    })
    if (this.#reaching.address !== undefined) this.#ways = waysTo(server.name)
    return watched(server, this.#calls, {}, 'server.')
  }

  async connect<C extends Contract>(
    place: string,
    contract: C,
    options: ConnectOptions = {},
  ): Promise<Connected<C>> {
    const { connect } = require('../../rpc/serve.js') as typeof import('../../rpc/serve.js')
    const opening = connect(place, contract, { ...this.#byAddress(), ...options })
    return watched(this.#closes(await this.during('connect()', opening)), this.#calls)
  }

  unlinkQueue(name: string): void {
    const { WorkQueue: Queue } =
      require('../../work/work-queue.js') as typeof import('../../work/work-queue.js')
    Queue.unlink(name)
  }

  /** Where the next one can be. */
  async place(): Promise<string> {
    const { address } = this.#reaching
    return address === undefined ? fresh() : severable(await address())
  }

  /** Is done when the judgement is over; one that took too long may go on, and open more. */
  goesWithIt(end: () => unknown): void {
    this.#ends.push(end)
    if (!this.#isOver) return
    end()
    throw new Error('the judgement is over')
  }

  async clear(): Promise<void> {
    this.#isOver = true
    const ends = this.#ends.reverse()
    const ending = (async () => {
      // Shares before the memory that they share; a name is free when nobody has it open.
      for (const end of ends) await Promise.resolve(end()).catch(() => undefined)
    })()
    await inTime(clearMs, ending).catch(() => undefined)
  }

  #closes<H extends { close(): void }>(handle: H): H {
    this.goesWithIt(() => {
      handle.close()
    })
    return handle
  }

  /** Where others reach it. */
  async #shared(
    name: string,
    near: { share(address: string, options?: ShareOptions): Promise<Share> },
  ): Promise<string> {
    if (this.#reaching.address === undefined) return name
    const sharing = near.share(await this.place(), this.#reaching.listening)
    const share = await this.during('share()', sharing)
    this.goesWithIt(() => share.close())
    this.#ways = waysTo(share.address)
    return share.address
  }

  #byAddress(): { readonly connection?: RemoteOptions } {
    const { address, connecting } = this.#reaching
    return address === undefined ? {} : { connection: { reconnect: backoff, ...connecting } }
  }
}
