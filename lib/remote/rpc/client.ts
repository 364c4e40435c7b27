// The client of a contract that is served at an address: a connection that is made anew when it breaks, and a method of its own for
// each function.

import { disposeInEveryContext } from '../../base/disposal.js'
import { inspected, inspection, jsonOf, type Inspecting } from '../../base/inspection.js'
import type { Iteration } from '../../base/iteration.js'
import { now } from '../../base/time.js'
import { closedError, MillraceError } from '../../errors.js'
import type { Contract } from '../../rpc/contract.js'
import { describe } from '../../rpc/described.js'
import type { ConnectedElsewhere } from '../../rpc/elsewhere.js'
import type { MethodPlan } from '../../rpc/methods.js'
import type { Sender } from '../../rpc/lending.js'
import type { CallLoan } from '../../rpc/loan.js'
import type { CallOptions, Limits } from '../../rpc/options.js'
import type { CallStats } from '../../rpc/stats.js'
import type { StreamClient } from '../../rpc/streams/client.js'
import { readReconnect } from '../../net/backoff.js'
import type { ConnectionStatus } from '../../net/connection-status.js'
import type { ChannelFrames } from '../../net/frame-channel.js'
import type { Session } from '../../net/session.js'
import { dial } from '../dial.js'
import { unsupported } from '../unsupported.js'

type Line = StreamClient &
  Readonly<Record<string, (input: unknown, options?: CallOptions) => unknown>>

/** An idempotent call is given to so many connections. */
const mostTries = 3

/** @throws MillraceError (as rejection) `NO_RESPONDER`, `SCHEMA`, and what `connect` of `millrace/net` throws for good */
export async function connectCalls(
  address: string,
  contract: Contract,
  given: ConnectedElsewhere,
): Promise<RemoteClient> {
  const client = new RemoteClient(address, contract, given)
  // What is wrong for good is said now; that nobody serves is no reason to fail, if nobody waits for it.
  const failure = await client.tried(given.waitMs, given.signal)
  if (failure === undefined) return client
  client.close()
  throw failure
}

/** Made by `connect` with an address that is not this machine's memory: a `CallClient` to its user. */
export class RemoteClient {
  readonly name: string
  readonly path: string
  readonly #title: string
  readonly #session: Session<Line>
  readonly #waitMs: number
  #pending = 0
  /** May calls keep the process alive? Also those that go over the next connection. */
  #alive = true
  #frames: ChannelFrames | undefined

  constructor(
    address: string,
    contract: Contract,
    { connection, streams, waitMs }: ConnectedElsewhere,
  ) {
    this.name = this.path = address
    this.#title = `the client of '${contract.name}' at '${address}'`
    this.#waitMs = waitMs
    const { Session } = require('../../net/session.js') as typeof import('../../net/session.js')
    this.#session = new Session<Line>({
      title: this.#title,
      address,
      backoff: readReconnect(connection?.reconnect),
      dial: async (signal) => {
        const { connectOver } = require('../../rpc/over.js') as typeof import('../../rpc/over.js')
        const { fingerprint } = contract
        const { frames } = await dial(address, connection ?? {}, 'calls', fingerprint, signal)
        frames.mayHold(this.#alive)
        this.#frames = frames
        return connectOver(frames, contract, streams) as unknown as Line
      },
      opened: () => undefined,
      lost: () => ({}),
      failed: () => undefined,
    })
    for (const plan of contract.plans) {
      const { name, kind, idempotent } = plan
      const value = describe(this.#functionOf(plan), { once: kind === 'call', idempotent })
      Object.defineProperty(this, name, { value, enumerable: true })
    }
  }

  /** Calls on their way, and those that wait for a connection. */
  get pending(): number {
    return this.#pending
  }
  /** Does somebody serve, as far as the connection tells? */
  get served(): boolean {
    if (this.closed) throw closedError(this.#title)
    return this.#session.state === 'connected'
  }
  get connection(): ConnectionStatus {
    return this.#session.status
  }
  get closed(): boolean {
    return this.#session.state === 'closed'
  }

  stats(): CallStats {
    throw unsupported(`stats() of ${this.#title}`, 'ask where the calls are served')
  }

  ref(): this {
    return this.#keepAlive(true)
  }

  unref(): this {
    return this.#keepAlive(false)
  }

  #keepAlive(alive: boolean): this {
    this.#alive = alive
    this.#session.keepAlive(alive)
    this.#frames?.mayHold(alive)
    return this
  }

  close(): void {
    this.#session.close()
  }

  [Symbol.dispose](): void {
    this.close()
  }

  static {
    disposeInEveryContext(this.prototype)
  }

  /** For `JSON.stringify`: what `console.log` shows. Never throws. */
  toJSON(): object {
    return jsonOf(this)
  }

  /** @internal What `console.log` shows. */
  [inspected](...how: Inspecting): string {
    return inspection('CallClient', how, () => ({
      name: this.name,
      connection: this.connection.state,
      pending: this.pending,
      closed: this.closed,
    }))
  }

  /** Why it cannot be used, if so; waits for a server as long as that. */
  async tried(waitMs: number, signal: AbortSignal | undefined): Promise<Error | undefined> {
    try {
      await this.#line({ signal, timeout: Infinity }, waitMs)
      return undefined
    } catch (error) {
      const isNobody = error instanceof MillraceError && error.code === 'ERR_MILLRACE_NO_RESPONDER'
      return isNobody && waitMs === 0 && !this.closed ? undefined : (error as Error)
    }
  }

  #functionOf(plan: MethodPlan): (input: unknown, options?: CallOptions) => unknown {
    switch (plan.kind) {
      case 'call': {
        const call = (input: unknown, options?: CallOptions): Promise<unknown> =>
          this.#call(plan, input, options)
        return Object.defineProperty(call, 'loan', {
          value: (length: number) => this.#loan(plan, length),
        })
      }
      case 'upload':
        return (items, options) => this.#call(plan, items, options)
      default:
        return (input, options) =>
          new LateIteration(async () => {
            const line = await this.#line(waitOf(options), this.#waitMs)
            return line[plan.name]!(input, options) as Iteration<unknown>
          })
    }
  }

  /** Memory of this process, which goes over whatever connection there is when it is called. */
  async #loan(plan: MethodPlan, length: number): Promise<CallLoan> {
    const line = await this.#line({ signal: undefined, timeout: Infinity }, this.#waitMs)
    const { loan } = line[plan.name] as unknown as {
      readonly loan: (length: number, via: Sender) => Promise<CallLoan>
    }
    return await loan(length, {
      title: this.#title,
      isClosed: () => this.closed,
      call: (bytes, { limits, inPlace }) => this.#call(plan, bytes, optionsOf(limits, inPlace)),
    })
  }

  async #call(
    plan: MethodPlan,
    input: unknown,
    options: CallOptions | undefined,
  ): Promise<unknown> {
    const { timeout = Infinity } = options ?? {}
    const end = now() + timeout
    const mayRepeat = plan.idempotent && plan.kind === 'call'
    this.#pending++
    try {
      for (let tries = 1; ; tries++) {
        const line = await this.#line(waitOf(options), this.#waitMs)
        const left =
          timeout === Infinity ? options : { ...options, timeout: Math.max(end - now(), 0) }
        try {
          return await line[plan.name]!(input, left)
        } catch (error) {
          const isBroken = line.closed && error instanceof MillraceError && !this.closed
          if (!isBroken || tries >= mostTries) throw error
          if (error.executed !== 'no' && !(mayRepeat && error.executed === 'unknown')) throw error
          await line.ended
        }
      }
    } finally {
      this.#pending--
    }
  }

  /** The connection; where there is none, and nobody waits for a server, it is said at once. */
  async #line(
    { signal, timeout }: { readonly signal: AbortSignal | undefined; readonly timeout: number },
    waitMs: number,
  ): Promise<Line> {
    const session = this.#session
    const { line } = session
    if (line !== undefined) return line
    const end = now() + waitMs
    // An attempt that runs is waited for: it may just be the first one.
    while (session.state === 'connecting') await session.attempt({ signal, timeout })
    const left = end - now()
    if (session.state === 'waiting' && left <= 0) throw this.#nobody(session.lastError)
    try {
      return await session.ready({ signal, timeout: Math.min(timeout, Math.max(left, 0)) })
    } catch (error) {
      const isLate = error instanceof MillraceError && error.code === 'ERR_MILLRACE_TIMEOUT'
      throw isLate && timeout > waitMs ? this.#nobody(error) : error
    }
  }

  #nobody(cause: unknown): MillraceError {
    return new MillraceError(
      'ERR_MILLRACE_NO_RESPONDER',
      `nobody serves at '${this.name}': start a server there, or connect with waitForServer to wait for one`,
      { cause, executed: 'no' },
    )
  }
}

function optionsOf({ timeout, signal, outer }: Limits, inPlace: boolean): CallOptions {
  const given = { timeout, signal, within: outer === undefined ? undefined : { signal: outer } }
  return inPlace ? ({ ...given, inPlace } as CallOptions) : given
}

function waitOf(options: CallOptions | undefined): {
  readonly signal: AbortSignal | undefined
  readonly timeout: number
} {
  return { signal: options?.signal, timeout: options?.timeout ?? Infinity }
}

/** Items that begin when the first one is asked for. */
class LateIteration implements Iteration<unknown> {
  readonly #open: () => Promise<Iteration<unknown>>
  #inner: Promise<Iteration<unknown>> | undefined
  #returned = false

  constructor(open: () => Promise<Iteration<unknown>>) {
    this.#open = open
  }

  async next(): Promise<IteratorResult<unknown, undefined>> {
    if (this.#returned) return { done: true, value: undefined }
    this.#inner ??= this.#open()
    try {
      return await (await this.#inner).next()
    } catch (error) {
      this.#returned = true
      throw error
    }
  }

  async return(): Promise<IteratorResult<unknown, undefined>> {
    this.#returned = true
    const inner = await this.#inner?.catch(() => undefined)
    await inner?.return()
    return { done: true, value: undefined }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }

  static {
    disposeInEveryContext(this.prototype, 'asyncDispose')
  }

  [Symbol.asyncIterator](): this {
    return this
  }
}
