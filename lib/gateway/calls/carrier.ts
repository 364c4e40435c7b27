// Hands on calls: serves at `from` what is served at `to`, as it says itself. Values go through as they are, with their deadline and their
// end; an error says of itself what it is, and whether the call may have run.

import { hasCode, MillraceError } from '../../errors.js'
import { waitAfter } from '../../net/backoff.js'
import type { ConnectionStatus } from '../../net/connection-status.js'
import type { Contract, HandlerContext } from '../../rpc/contract.js'
import { asRefusal, isAnswer } from '../../rpc/described.js'
import type { CallServer } from '../../rpc/server.js'
import type { Connected } from '../../rpc/serve.js'
import type { CallsRoute } from '../config.js'
import { connectionTo } from '../connection.js'
import { Flow } from '../flow.js'
import type { JudgedRoute } from '../judge.js'
import type { Carrier, Counts } from '../route.js'
import { carriedContract } from './contract.js'

const usualInFlight = 256
const again = { base: 50, cap: 500 }

export function openCallsRoute({ config }: JudgedRoute, counts: Counts): Carrier {
  return new CallsCarrier(config as CallsRoute, counts)
}

type Client = Connected<Contract> &
  Readonly<Record<string, (...args: readonly unknown[]) => unknown>>

class CallsCarrier implements Carrier {
  /** A call whose answer is lost is not made again, unless its contract says that it may be. */
  readonly guarantee = 'at-most-once'
  readonly #route: CallsRoute
  readonly #counts: Counts
  readonly #flow: Flow
  readonly #most: number
  readonly #over = new AbortController()
  #client: Client | undefined
  #server: CallServer | undefined
  #error: Error | undefined

  constructor(route: CallsRoute, counts: Counts) {
    this.#route = route
    this.#counts = counts
    this.#most = route.inFlight ?? usualInFlight
    this.#flow = new Flow(Infinity, counts)
  }

  get isReady(): boolean {
    return this.#server !== undefined
  }

  get error(): Error | undefined {
    return this.#error
  }

  get connections(): readonly ConnectionStatus[] {
    const connection = this.#client?.connection
    return connection === undefined ? [] : [connection]
  }

  async run(stop: AbortSignal): Promise<void> {
    try {
      const contract = await this.#contract(stop)
      if (contract === undefined) return
      const { connect, serve } =
        require('../../rpc/serve.js') as typeof import('../../rpc/serve.js')
      const { from, to, fromConnection, toConnection } = this.#route
      const its = connectionTo(to, toConnection)
      const client = (await connect(to, contract, {
        ...(its === undefined ? {} : { connection: its }),
        signal: stop,
      })) as Client
      this.#client = client
      const { reconnect: _reconnect, ...connection } = fromConnection ?? {}
      this.#server = await serve(from, contract, this.#handlers(contract, client) as never, {
        ...(fromConnection === undefined ? {} : { connection }),
        concurrency: this.#most,
        drainOnClose: Infinity,
      })
      this.#error = undefined
      await this.#end(client, this.#server, stop)
    } catch (error) {
      if (!stop.aborted) throw error
    } finally {
      // No more calls are taken; those that are on their way end as they would.
      this.#server?.close()
    }
  }

  async settled(): Promise<void> {
    await this.#flow.empty(this.#over.signal)
  }

  async close(): Promise<void> {
    this.#over.abort()
    this.#client?.close()
    await this.#server?.[Symbol.asyncDispose]()
  }

  /** Undefined: `stop`. */
  async #contract(stop: AbortSignal): Promise<Contract | undefined> {
    const { contract, to, toConnection } = this.#route
    if (contract !== undefined) return carriedContract(contract)
    const { contractAt } = require('../../rpc/serve.js') as typeof import('../../rpc/serve.js')
    const { reconnect: _reconnect, ...connection } = toConnection ?? {}
    const isOver = (): boolean => stop.aborted
    for (let failures = 1; !isOver(); failures++) {
      try {
        return carriedContract(await contractAt(to, { connection, signal: stop }))
      } catch (error) {
        if (!isOver() && !mayPass(error)) throw error
        this.#error = error as Error
      }
      await this.#flow.pause(waitAfter(again, failures, Math.random()), stop)
    }
    return undefined
  }

  /** Until `stop`; rejects when something else is served there, or nothing can be any more. */
  async #end(client: Client, server: CallServer, stop: AbortSignal): Promise<void> {
    const { connection } = client
    const tell = (): void => {
      this.#flow.tell()
    }
    connection?.on('closed', tell)
    try {
      await this.#flow.until(() => connection?.state === 'closed' || server.closed, stop)
    } finally {
      connection?.off('closed', tell)
    }
    if (stop.aborted) return
    throw (
      connection?.lastError ??
      new MillraceError('ERR_MILLRACE_CLOSED', `'${this.#route.from}' is served no more`)
    )
  }

  #handlers(contract: Contract, client: Client): Record<string, unknown> {
    return Object.fromEntries(
      contract.plans.map(({ name, kind }) => {
        const ask = (input: unknown, context: HandlerContext): unknown =>
          client[name]!(input, { within: context })
        return [
          name,
          kind === 'call' || kind === 'upload'
            ? (input: unknown, context: HandlerContext) =>
                this.#once(() => ask(input, context) as Promise<unknown>)
            : (input: unknown, context: HandlerContext) =>
                this.#many(() => ask(input, context) as AsyncIterable<unknown>),
        ]
      }),
    )
  }

  async #once(ask: () => Promise<unknown>): Promise<unknown> {
    this.#flow.enter(1)
    try {
      const result = await ask()
      this.#did(result)
      return result
    } catch (error) {
      this.#failed(error)
      throw told(error)
    } finally {
      this.#flow.leave(1)
    }
  }

  async *#many(ask: () => AsyncIterable<unknown>): AsyncGenerator<unknown, undefined> {
    let done: () => void = () => undefined
    const over = new Promise<void>((resolve) => {
      done = resolve
    })
    this.#flow.begin(() => over)
    try {
      for await (const item of ask()) {
        this.#counts.bytes += (item as Uint8Array).length
        yield item
      }
      this.#counts.delivered++
    } catch (error) {
      this.#failed(error)
      throw told(error)
    } finally {
      done()
    }
    return undefined
  }

  #did(result: unknown): void {
    this.#counts.delivered++
    this.#counts.bytes += (result as Uint8Array).length
    this.#error = undefined
  }

  #failed(error: unknown): void {
    // What a handler answers is an answer.
    if (isAnswer(error)) this.#counts.delivered++
    else if (!this.#over.signal.aborted) {
      this.#counts.dropped++
      this.#error = error as Error
    }
  }
}

/** To the caller the gateway is whoever serves: what was not begun with there was not begun with. */
function told(error: unknown): unknown {
  const isOfWay = error instanceof MillraceError && !isAnswer(error)
  return isOfWay && error.executed === 'no' ? asRefusal(error) : error
}

/** Is nobody there yet, who may come? */
function mayPass(error: unknown): boolean {
  return (
    [
      'ERR_MILLRACE_UNREACHABLE',
      'ERR_MILLRACE_TIMEOUT',
      'ERR_MILLRACE_NO_RESPONDER',
      'ERR_MILLRACE_PEER_GONE',
      'ERR_MILLRACE_NOT_FOUND',
      'ERR_MILLRACE_SYSTEM',
    ] as const
  ).some((code) => hasCode(error, code))
}
