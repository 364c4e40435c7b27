// The client of a contract that is served at an address: a connection that is made anew when it breaks, and a method of its own for
// each function.

import { disposeInEveryContext } from '../../base/disposal.js'
import { inspected, inspection, jsonOf, type Inspecting } from '../../base/inspection.js'
import type { Iteration } from '../../base/iteration.js'
import { now } from '../../base/time.js'
import { abortedError, closedError, hasCode, MillraceError } from '../../errors.js'
import type { Contract } from '../../rpc/contract.js'
import { describe } from '../../rpc/described.js'
import type { ConnectedElsewhere } from '../../rpc/elsewhere.js'
import type { MethodPlan } from '../../rpc/methods.js'
import type { Sender } from '../../rpc/lending.js'
import type { CallLoan } from '../../rpc/loan.js'
import {
  readCall,
  readLimits,
  unlimited,
  type CallOptions,
  type GivenCall,
  type Limits,
} from '../../rpc/options.js'
import type { CallStats } from '../../rpc/stats.js'
import { watched } from '../../rpc/watching.js'
import type { StreamClient } from '../../rpc/streams/client.js'
import { readReconnect } from '../../net/backoff.js'
import type { ConnectionStatus } from '../../net/connection-status.js'
import type { ChannelFrames } from '../../net/frame-channel.js'
import type { Session } from '../../net/session.js'
import { dial } from '../dial.js'
import { unsupported } from '../unsupported.js'

export type Line = Pick<StreamClient, 'ended' | 'closed' | 'close'> &
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
    dialed?: (signal: AbortSignal) => Promise<Line>,
  ) {
    this.name = this.path = address
    this.#title = `the client of '${contract.name}' at '${address}'`
    this.#waitMs = waitMs
    const { Session } = require('../../net/session.js') as typeof import('../../net/session.js')
    this.#session = new Session<Line>({
      title: this.#title,
      address,
      backoff: readReconnect(connection?.reconnect),
      dial:
        dialed ??
        (async (signal) => {
          const { connectOver, withoutTraces } =
            require('../../rpc/over.js') as typeof import('../../rpc/over.js')
          const { fingerprint, name } = contract
          const options = connection ?? {}
          const dialed = await dial(address, options, 'calls', fingerprint, signal, name)
          const { frames, takesTraces } = dialed
          frames.mayHold(this.#alive)
          this.#frames = frames
          const line = connectOver(frames, contract, streams)
          if (!takesTraces) withoutTraces(line)
          return line as unknown as Line
        }),
      opened: () => undefined,
      lost: () => ({}),
      failed: () => undefined,
    })
    for (const plan of contract.plans) {
      const { name, kind, idempotent } = plan
      const made = watched(plan, { address, contract: contract.name }, this.#functionOf(plan))
      const value = describe(made, { once: kind === 'call', idempotent })
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
      await this.#line('connect()', { ...unlimited, signal }, now() + waitMs)
      return undefined
    } catch (error) {
      const isNobody = hasCode(error, 'ERR_MILLRACE_NO_RESPONDER')
      return isNobody && waitMs === 0 && !this.closed ? undefined : (error as Error)
    }
  }

  #functionOf(plan: MethodPlan): (input: unknown, options?: CallOptions) => unknown {
    switch (plan.kind) {
      case 'call': {
        const call = async (input: unknown, options?: CallOptions): Promise<unknown> =>
          await this.#call(plan, input, readCall(options))
        return Object.defineProperty(call, 'loan', {
          value: (length: number) => this.#loan(plan, length),
        })
      }
      case 'upload':
        return async (items, options) =>
          await this.#call(plan, items, { limits: readLimits(options), inPlace: false })
      default:
        return (input, options) => {
          readLimits(options) // what is wrong is told now
          return new LateIteration(async () => {
            const limits = readLimits(options)
            const end = now() + limits.timeout
            const what = `${plan.name}()`
            const line = await this.#line(what, limits, this.#patience(limits), end)
            return line[plan.name]!(input, leftOf(limits, end, false)) as Iteration<unknown>
          })
        }
    }
  }

  /** Memory of this process, which goes over whatever connection there is when it is called. */
  async #loan(plan: MethodPlan, length: number): Promise<CallLoan> {
    const what = `${plan.name}.loan()`
    const line = await this.#line(what, unlimited, this.#patience(unlimited))
    const { loan } = line[plan.name] as unknown as {
      readonly loan: (length: number, via: Sender) => Promise<CallLoan>
    }
    return await loan(length, {
      title: this.#title,
      isClosed: () => this.closed,
      call: (bytes, given) => this.#call(plan, bytes, given),
    })
  }

  async #call(plan: MethodPlan, input: unknown, { limits, inPlace }: GivenCall): Promise<unknown> {
    const what = `${plan.name}()`
    const end = now() + limits.timeout
    const mayRepeat = plan.idempotent && plan.kind === 'call'
    /** Why it is not known whether an attempt before the last one was executed. */
    let begun: MillraceError | undefined
    this.#pending++
    try {
      for (let tries = 1; ; tries++) {
        const line = await this.#line(what, limits, this.#patience(limits), end)
        try {
          return await line[plan.name]!(input, leftOf(limits, end, inPlace))
        } catch (error) {
          const isBroken = line.closed && error instanceof MillraceError && !this.closed
          if (!isBroken || tries >= mostTries) throw error
          if (error.executed !== 'no' && !(mayRepeat && error.executed === 'unknown')) throw error
          if (error.executed === 'unknown') begun = error
          await line.ended
        }
      }
    } catch (error) {
      throw begun === undefined ? error : this.#mayHaveRun(what, error, begun)
    } finally {
      this.#pending--
    }
  }

  /** That nothing came of the last attempt says nothing of those before it. */
  #mayHaveRun(what: string, error: unknown, begun: MillraceError): unknown {
    if (!(error instanceof MillraceError) || error.executed !== 'no') return error
    if (error.code !== 'ERR_MILLRACE_NO_RESPONDER') {
      const message = `${error.message}; an attempt before that may have been executed`
      return new MillraceError(error.code, message, { cause: error, executed: 'unknown' })
    }
    return new MillraceError(
      'ERR_MILLRACE_PEER_GONE',
      `${what} at '${this.name}': its server died or closed before it had answered, and nobody serves there now; what has been done of it is ` +
        'not known: start a server, and call again, for the contract says that it may be done twice',
      { cause: begun, executed: 'unknown' },
    )
  }

  /** Until when a call waits for a connection: as long as its own time, if it has one. */
  #patience({ timeout }: Limits): number {
    return now() + (timeout === Infinity ? this.#waitMs : timeout)
  }

  /** The connection; where there is none, it is looked for once, and then waited for until `patience` is over. */
  async #line(
    what: string,
    limits: Limits,
    patience: number,
    end = now() + limits.timeout,
  ): Promise<Line> {
    const session = this.#session
    const { line } = session
    if (line !== undefined) return line
    const { signal, outer } = limits
    const given = [signal, outer].filter((one) => one !== undefined)
    const either = given.length > 1 ? AbortSignal.any(given) : given[0]
    const left = (until: number): number => Math.max(until - now(), 0)
    if (either?.aborted === true) throw this.#unsent(what, abortedError(either), limits)
    session.hurry()
    try {
      // An attempt that runs is waited for: it may just be the first one.
      while (session.state === 'connecting') {
        await session.attempt({ signal: either, timeout: left(end) })
      }
      return await session.ready({ signal: either, timeout: left(Math.min(patience, end)) })
    } catch (error) {
      throw this.#unsent(what, error, limits)
    }
  }

  /** Why a call was not sent. */
  #unsent(what: string, error: unknown, { timeout }: Limits): unknown {
    if (!(error instanceof MillraceError)) return error
    const call = `${what} at '${this.name}'`
    const facts = { cause: error.cause, executed: 'no' } as const
    switch (error.code) {
      case 'ERR_MILLRACE_TIMEOUT':
        return this.#nobody(call, timeout)
      case 'ERR_MILLRACE_ABORTED':
        return new MillraceError(error.code, `${call} was aborted`, facts)
      case 'ERR_MILLRACE_CLOSED':
        return new MillraceError(error.code, `${call}: ${closedError(this.#title).message}`, facts)
      default:
        // There will be no connection any more: what ended the last one says nothing of this call.
        return new MillraceError(error.code, error.message, { cause: error, executed: 'no' })
    }
  }

  #nobody(call: string, timeout: number): MillraceError {
    const cause = this.#session.lastError
    const why = lastly(cause)
    const facts = { cause, executed: 'no' } as const
    if (timeout !== Infinity) {
      return new MillraceError(
        'ERR_MILLRACE_TIMEOUT',
        `${call} was not answered within ${String(Math.ceil(timeout))} ms: nobody serves there${why}; start a server, or allow more time`,
        facts,
      )
    }
    return new MillraceError(
      'ERR_MILLRACE_NO_RESPONDER',
      this.#waitMs > 0
        ? `${call}: nobody has served there within ${String(this.#waitMs)} ms${why}; start a server, or allow more time`
        : `${call}: nobody serves there${why}; start a server; to wait for one, give the call a timeout, or connect with waitForServer`,
      facts,
    )
  }
}

/** What is left of a call's limits, as options of it. */
function leftOf(
  { timeout, signal, outer, traceparent }: Limits,
  end: number,
  inPlace: boolean,
): CallOptions | undefined {
  if (timeout === Infinity && !inPlace && (signal ?? outer ?? traceparent) === undefined) {
    return undefined
  }
  const left = timeout === Infinity ? undefined : Math.max(end - now(), 0)
  const within = outer === undefined ? undefined : { signal: outer }
  return { timeout: left, signal, within, traceparent, ...(inPlace ? { inPlace } : undefined) }
}

/** What the last attempt met, unless that is just that nobody is there. */
function lastly(error: Error | undefined): string {
  const isPlain = error === undefined || hasCode(error, 'ERR_MILLRACE_PEER_GONE')
  return isPlain || error.message.startsWith('nobody ')
    ? ''
    : ` (the last attempt: ${error.message})`
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
