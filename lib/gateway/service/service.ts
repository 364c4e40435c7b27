// A gateway as a service of the system: started from a file, told by signals, telling by records, by HTTP and to systemd.
//
//   starting ──all routes tried──► running ──SIGTERM, SIGINT──► draining ──► end
//                                  SIGHUP: reads the file again; if that is wrong, all stays as it was

import { now, startTimer, stopTimer, type Timer } from '../../base/time.js'
import type { HttpPlace } from '../../telemetry/http-place.js'
import type { Logger } from '../../telemetry/log.js'
import type { PageServer } from '../../telemetry/pages.js'
import { supervisorOf, type Supervisor } from '../../telemetry/systemd.js'
import type { RouteStatus } from '../config.js'
import { Gateway } from '../gateway.js'
import { judgeFile, type ServiceConfig } from './config-file.js'
import { serveStatus, type Told } from './http.js'
import { logOf, type Log } from './log.js'
import { RouteChanges } from './route-changes.js'

/** How often it is looked how the routes stand. */
const lookMs = 100
/** What a service that starts gives first connections before it says that it is ready: they are tried for ever. */
const mostTryMs = 10_000
const usualDrainMs = 10_000

/** @internal */
export interface ServiceOptions {
  /** Read again at SIGHUP. */
  readonly file: string
  /** As it was judged. */
  readonly config: ServiceConfig
  /** Instead of what the file says, at a reload, too. */
  readonly http: HttpPlace | undefined
  readonly log: Logger
  /** Aborts when it is to end. */
  readonly signal: AbortSignal
  /** Who hears of each SIGHUP, also of those that came before there was a service; it ends nobody any more, at the end neither. */
  readonly onHangUp: (listener: () => void) => void
}

/**
 * @internal Runs until `signal` aborts, and what was on its way has arrived: true. False: it could not start, and has told why.
 */
export async function runService(options: ServiceOptions): Promise<boolean> {
  // It was told to end before anything was opened.
  if (options.signal.aborted) return true
  const service = new Service(options)
  options.onHangUp(service.onHangUp)
  return await service.run(options.signal)
}

class Service {
  readonly #file: string
  readonly #http: HttpPlace | undefined
  readonly #log: Log
  readonly #manager: Supervisor
  readonly #since = new Date()
  #config: ServiceConfig
  #state: Told['state'] = 'starting'
  #gateway: Gateway | undefined
  #server: PageServer | undefined
  readonly #changes = new RouteChanges()
  #look: Timer | undefined
  /** The reload that goes on, and whether another one is wanted after it. */
  #reloading: Promise<void> | undefined
  #isWantedAgain = false

  constructor({ file, config, http, log }: ServiceOptions) {
    this.#file = file
    this.#config = config
    this.#http = http
    this.#log = logOf(log)
    // From the event loop, for as long as that runs.
    this.#manager = supervisorOf(process.env, true)
  }

  readonly onHangUp = (): void => {
    if (this.#state === 'draining') return
    if (this.#reloading !== undefined || this.#gateway === undefined) {
      this.#isWantedAgain = true
      return
    }
    this.#reloading = this.#reload().finally(() => {
      this.#reloading = undefined
      if (this.#isWantedAgain) this.onHangUp()
    })
  }

  async run(signal: AbortSignal): Promise<boolean> {
    try {
      if (!(await this.#started())) return false
      this.#watchRoutes()
      if (await this.#tried(signal)) this.#ready()
      if (this.#isWantedAgain) this.onHangUp()
      await aborted(signal)
      await this.#end()
      return true
    } finally {
      stopTimer(this.#look)
      this.#gateway?.close()
      this.#server?.close()
      this.#manager.close()
    }
  }

  async #started(): Promise<boolean> {
    try {
      await this.#start()
      return true
    } catch (error) {
      this.#say('error', 'failed', 'gateway: cannot start', { error: error as Error })
      return false
    }
  }

  async #start(): Promise<void> {
    const { routes } = this.#config.gateway
    this.#say('info', 'starting', `gateway: starts ${counted(routes.length)} of ${this.#file}`)
    this.#server = await this.#listen(this.#placeOf(this.#config))
    this.#gateway = await Gateway.start(this.#config.gateway)
  }

  #ready(): void {
    this.#state = 'running'
    const status = statusLine(this.#routes)
    this.#manager.notify({ ready: true, status })
    this.#say('info', 'ready', `gateway: is ready, ${status}`)
  }

  async #end(): Promise<void> {
    this.#state = 'draining'
    const { drainTimeout = usualDrainMs } = this.#config.gateway
    const most = `${String(drainTimeout / 1000)} s`
    const ways = this.#routes.reduce((sum, { inFlight }) => sum + inFlight, 0)
    const status = `drains: ${String(ways)} on their way, for ${most} at most`
    this.#manager.notify({ stopping: true, status, extendTimeout: drainTimeout + usualDrainMs })
    this.#say('info', 'draining', `gateway: ${status}; a second signal ends it at once`)
    await this.#gateway?.drain()
    await this.#reloading
    this.#say('info', 'stopped', 'gateway: has ended')
  }

  /** The old configuration stays until the new one is known to be right. */
  async #reload(): Promise<void> {
    this.#isWantedAgain = false
    this.#manager.notify({ reloading: true, status: 'reads its configuration again' })
    this.#say('info', 'reloading', `gateway: reads ${this.#file} again`)
    const { findings, config } = judgeFile(this.#file)
    if (config === undefined) this.#refuse(findings)
    else {
      try {
        await this.#take(config)
        this.#say(
          'info',
          'reloaded',
          `gateway: goes on with ${counted(config.gateway.routes.length)}`,
        )
      } catch (error) {
        // Whoever ends it has ended that, too.
        if (this.#state === 'draining') return
        this.#refuse([], error as Error)
      }
    }
    const routes = this.#seeRoutes(true)
    if (this.#state === 'running') {
      this.#manager.notify({ ready: true, status: statusLine(routes) })
    }
  }

  #refuse(findings: readonly string[], error?: Error): void {
    const what = 'gateway: the new configuration is refused, and the old one stays'
    if (error !== undefined) this.#say('error', 'reload-refused', what, { error })
    else this.#say('error', 'reload-refused', `${what}:\n${findings.join('\n')}`, { findings })
  }

  async #take(config: ServiceConfig): Promise<void> {
    const place = this.#placeOf(config)
    const isMoved = place === undefined || this.#server?.isAt(place) !== true
    const fresh = isMoved ? await this.#listen(place) : undefined
    try {
      await this.#gateway?.reload(config.gateway)
    } catch (error) {
      fresh?.close()
      throw error
    }
    this.#config = config
    if (!isMoved) return
    this.#server?.close()
    this.#server = fresh
  }

  #placeOf({ http }: ServiceConfig): HttpPlace | undefined {
    return this.#http ?? http
  }

  async #listen(place: HttpPlace | undefined): Promise<PageServer | undefined> {
    if (place === undefined) return undefined
    const server = await serveStatus(place, () => ({
      routes: this.#routes,
      state: this.#state,
      host: this.#config.gateway.host ?? process.getBuiltinModule('node:os').hostname(),
      since: this.#since,
    }))
    const { url } = server
    this.#say('info', 'http', `gateway: tells how it is at ${url}/status`, { url })
    return server
  }

  get #routes(): readonly RouteStatus[] {
    return this.#gateway?.routes ?? []
  }

  /** `isReload`: a route that stands still may have been replaced. */
  #seeRoutes(isReload: boolean): readonly RouteStatus[] {
    const routes = this.#routes
    for (const change of this.#changes.next(routes, isReload)) this.#log(change)
    return routes
  }

  #watchRoutes(): void {
    const routes = this.#seeRoutes(this.#reloading !== undefined)
    if (this.#state === 'running' && this.#reloading === undefined) {
      this.#manager.notify({ status: statusLine(routes) })
    }
    this.#look = startTimer(
      lookMs,
      () => {
        this.#watchRoutes()
      },
      { alive: true },
    )
  }

  /** Has every route a connection, or the reason why it has none? Or the time for that is over. False: it is to end. */
  async #tried(signal: AbortSignal): Promise<boolean> {
    const end = now() + mostTryMs
    const isTried = ({ state, error }: RouteStatus): boolean =>
      state !== 'connecting' || error !== undefined
    while (!signal.aborted && now() < end && !this.#routes.every(isTried)) {
      await new Promise<void>((done) => startTimer(10, done, { alive: true }))
    }
    return !signal.aborted
  }

  #say(
    level: 'info' | 'error',
    event: string,
    message: string,
    more: { error?: Error; findings?: readonly string[]; url?: string } = {},
  ): void {
    this.#log({ level, event, message, ...more })
  }
}

function statusLine(routes: readonly RouteStatus[]): string {
  const not = routes.filter(({ state }) => state !== 'running')
  if (not.length === 0) return `${counted(routes.length)} up${droppingOf(routes)}`
  const [{ name, state, error }] = not as [RouteStatus]
  const why = error === undefined ? '' : ` (${error.message})`
  const run = `${String(routes.length - not.length)} of ${counted(routes.length)} up`
  const others = not.length === 1 ? '' : `, and ${String(not.length - 1)} more`
  return `${run}; not ${name}: ${state}${why}${others}`
}

/** Frames that no slot holds are a mistake of somebody, which may be seen wherever somebody looks. */
function droppingOf(routes: readonly RouteStatus[]): string {
  const route = routes.find(
    ({ frames, error }) => error !== undefined && (frames?.dropped['too-large'] ?? 0) > 0,
  )
  return route === undefined ? '' : `; ${route.name} drops frames (${route.error!.message})`
}

function counted(routes: number): string {
  return `${String(routes)} route${routes === 1 ? '' : 's'}`
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    signal.addEventListener(
      'abort',
      () => {
        resolve()
      },
      { once: true },
    )
  })
}
