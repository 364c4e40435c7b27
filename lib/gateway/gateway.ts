// The gateway: its routes, and what becomes of them when it is told something else, or is to end.

import { disposeInEveryContext } from '../base/disposal.js'
import { inspected, inspection, jsonOf, type Inspecting } from '../base/inspection.js'
import { heard } from '../base/life-events.js'
import { facts } from '../base/life.js'
import { closedError } from '../errors.js'
import type { GatewayConfig, RouteStatus } from './config.js'
import { judge, type Judged, type JudgedRoute } from './judge.js'
import { Route, type Carrier, type Counts } from './route.js'
import { openCallsRoute } from './calls/carrier.js'
import { openFramesRoute } from './frames/carrier.js'
import { openTopicsRoute } from './topics/carrier.js'
import { openWorkRoute } from './work/carrier.js'

/**
 * Joins addresses: what comes at one side of a route goes to the other one. A job is leased where it comes from until the other side has
 * confirmed it, so a gateway that dies loses nothing; its `id`, or what stands for one, goes along, so that a queue that knows ids again
 * (`dedupWindow`, JetStream) has each job once.
 *
 * @example
 * ```ts
 * await using gateway = await Gateway.start({
 *   routes: [{ kind: 'work', from: 'orders', to: 'nats://127.0.0.1/orders' }],
 * })
 * console.log(gateway.routes)
 * ```
 */
export class Gateway {
  #routes: readonly Route[]
  #drainMs: number
  #turn: Promise<unknown> = Promise.resolve()
  #closed = false

  private constructor(judged: Judged) {
    this.#drainMs = judged.drainMs
    this.#routes = judged.routes.map(made)
  }

  /**
   * Starts the routes. Resolves when what is in this machine's memory is open; connections are made in the background, and `routes` tells
   * how each stands. Nothing is started if one of them cannot be.
   *
   * @throws MillraceError (as rejection) `INVALID_ARGUMENT` (the message says which route), `UNSUPPORTED`, `MISSING_PEER`, and what opening
   *   a queue or a bus of this machine's memory throws
   */
  static start(config: GatewayConfig): Promise<Gateway> {
    return new Promise((resolve) => {
      const gateway = new Gateway(judge(config))
      startAll(gateway.#routes)
      resolve(gateway)
    })
  }

  /** How each route stands at this instant, in the order of the configuration. */
  get routes(): readonly RouteStatus[] {
    return this.#routes.map(({ status }) => status)
  }

  /** Was it closed or drained? */
  get closed(): boolean {
    return this.#closed
  }

  /**
   * Goes on with another configuration: routes that are in both as they were go on untouched; those that are not in it any more are
   * drained; new ones start. A route that changed is drained first, and started then. If the configuration is wrong, or a new route cannot
   * be opened, nothing changes. Resolves when all that is done.
   *
   * @throws MillraceError (as rejection) as `start`, and `CLOSED`
   */
  reload(config: GatewayConfig): Promise<void> {
    const done = this.#turn.then(() => this.#reload(config))
    this.#turn = done.catch(() => undefined)
    return done
  }

  /**
   * Takes nothing any more, lets what is on its way arrive for `drainTimeout`, gives the rest back, and closes. Never rejects.
   */
  async drain(): Promise<void> {
    this.#closed = true
    // Routes that a reload has taken out may still be on their way to their end.
    await Promise.all([this.#turn, ...this.#routes.map((route) => route.drain(this.#drainMs))])
    if (heard('drained') === undefined) return
    const { length } = this.#routes
    facts().tell('drained', `${String(length)} route${length === 1 ? '' : 's'}`, 'gateway', {})
  }

  /** Ends at once: what was not confirmed goes back, and comes again. */
  close(): void {
    this.#closed = true
    for (const route of this.#routes) void route.close()
  }

  /** What `await using` calls at the end of its block: `drain()`. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.drain()
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
    return inspection('Gateway', how, () => ({ closed: this.closed, routes: this.routes }))
  }

  async #reload(config: GatewayConfig): Promise<void> {
    if (this.#closed) throw closedError('this gateway')
    const { routes, drainMs } = judge(config)
    const { isDeepStrictEqual } = process.getBuiltinModule('node:util')
    const before = new Map(this.#routes.map((route) => [route.judged.name, route]))
    const fresh: Route[] = []
    const changed: { readonly old: Route; readonly route: Route }[] = []
    const next = routes.map((judged) => {
      const old = before.get(judged.name)
      before.delete(judged.name)
      if (old !== undefined && isDeepStrictEqual(old.judged, judged)) return old
      const route = made(judged)
      if (old === undefined) fresh.push(route)
      else changed.push({ old, route })
      return route
    })
    startAll(fresh)
    this.#drainMs = drainMs
    this.#routes = next
    await Promise.all([
      ...[...before.values()].map((route) => route.drain(drainMs)),
      ...changed.map(async ({ old, route }) => {
        await old.drain(drainMs)
        if (!this.#closed) route.startLater()
      }),
    ])
  }
}

function made(judged: JudgedRoute): Route {
  return new Route(judged, (counts) => open(judged, counts))
}

function open(judged: JudgedRoute, counts: Counts): Carrier {
  if (judged.config.kind === 'work') return openWorkRoute(judged, counts)
  if (judged.config.kind === 'topics') return openTopicsRoute(judged, counts)
  if (judged.config.kind === 'calls') return openCallsRoute(judged, counts)
  return openFramesRoute(judged, counts)
}

/** All of them, or none. */
function startAll(routes: readonly Route[]): void {
  const started: Route[] = []
  try {
    for (const route of routes) {
      started.push(route)
      route.start()
    }
  } catch (error) {
    for (const route of started) void route.close()
    throw error
  }
}
