// The live page: what is there, who may ask for it, and how long it is served.

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

import { checkOptions, duration, show, wholeNumber } from '../base/options.js'
import { invalidArgument } from '../errors.js'
import { isLoopback } from '../net/address.js'
import { listenHttp } from '../telemetry/http-server.js'
import { checkPrefix } from '../upkeep/prefix.js'
import { failed, json, send, text, type Answer } from './answers.js'
import { asset, isAsset } from './assets.js'
import { headers, openDoors, type Doors } from './doors.js'
import { Looks } from './looks.js'
import { Payload } from './payload.js'
import { redrive } from './redrive.js'
import { Tab } from './tab.js'

/** What is shown, where, and to whom. */
export interface DashboardOptions {
  /** Port; 0, the default, is any that is free. */
  readonly port?: number | undefined
  /** Where it listens: a name or a number. Default `127.0.0.1`; one that is not of loopback needs `allowRemote`. */
  readonly host?: string | undefined
  /** May other machines ask? Whoever listens on the way reads the token, and whatever is shown. Default false. */
  readonly allowRemote?: boolean | undefined
  /** May the page show what is in messages, and pictures of frames? Default false. */
  readonly payload?: boolean | undefined
  /** Only channels whose names start with this. Default: all. */
  readonly prefix?: string | undefined
  /** Milliseconds between two looks, 100 to 5,000; longer where there are so many channels that looks take long. Default 1,000. */
  readonly interval?: number | undefined
}

/** A page that is served. */
export interface Dashboard extends Disposable {
  /** Its address, with the token that lets in whoever has it. */
  readonly url: string
  /** Its port. */
  readonly port: number
  /** How often channels were looked at: once for all open pages, and never while none is open. */
  readonly looks: number
  /** Ends it, and open pages say so. May be called again. */
  close(): void
}

/** More open pages than that are refused. */
const mostTabs = 32
const names = ['port', 'host', 'allowRemote', 'payload', 'prefix', 'interval'] as const

/**
 * Serves a live page of what goes through channels, until it is closed; the process lives for as long. The page takes no part in any channel.
 * It only looks, but for one button, which sends dead letters round again.
 *
 * Who has the `url` sees the page. It is served to names of this machine alone, and shows nothing of what is in messages unless `payload` is set.
 *
 * @example
 * ```ts
 * import { serveDashboard } from 'millrace/dashboard'
 *
 * const dashboard = await serveDashboard()
 * console.log(dashboard.url)
 * ```
 *
 * @throws MillraceError (as rejection) `INVALID_ARGUMENT`, `EXISTS` (another process listens there), `PERMISSION`, `UNREACHABLE` (no such
 *   address here), `SYSTEM`
 */
export async function serveDashboard(options: DashboardOptions = {}): Promise<Dashboard> {
  const given = checkOptions(options, names)
  const place = {
    host: hostOfOptions(given),
    port: wholeNumber(given, 'port', 0, [0, 65_535]),
  }
  const interval = duration(given, 'interval', 1000)
  if (interval < 100 || interval > 5000) {
    throw invalidArgument(`interval must be from 100 to 5000 ms, not ${show(interval)}`)
  }
  const prefix = checkPrefix(given.prefix)
  const doors = openDoors(place)
  const looks = new Looks({ prefix, interval })
  const payload = flag(given, 'payload') ? new Payload() : undefined
  const tabs = new Set<Socket>()
  const site: Site = { doors, looks, payload, tabs, prefix }
  const server = await listenHttp(place, {
    answer(request, response) {
      answer(request, response, site)
    },
    spares: (socket) => tabs.has(socket),
  })
  const close = (): void => {
    looks.end()
    payload?.close()
    server.close()
  }
  return {
    url: `${server.url}/?token=${doors.token}`,
    port: server.port,
    get looks() {
      return looks.count
    },
    close,
    [Symbol.dispose]: close,
  }
}

function hostOfOptions(given: DashboardOptions): string {
  const { host = '127.0.0.1' } = given
  if (typeof host !== 'string' || host === '') {
    throw invalidArgument(`host must be a name or a number, not ${show(host)}`)
  }
  const plain = host.replace(/^\[(.*)\]$/, '$1')
  if (!flag(given, 'allowRemote') && !isLoopback(plain)) {
    throw invalidArgument(
      `host ${show(host)} lets other machines in, who could read the token on its way: take 127.0.0.1 and a tunnel (ssh -L), or ` +
        'say allowRemote (--allow-remote)',
    )
  }
  return plain
}

function flag(given: DashboardOptions, key: 'allowRemote' | 'payload'): boolean {
  const { [key]: value = false } = given
  if (typeof value === 'boolean') return value
  throw invalidArgument(`${key} must be true or false, not ${show(value)}`)
}

interface Site {
  readonly doors: Doors
  readonly looks: Looks
  readonly payload: Payload | undefined
  readonly tabs: Set<Socket>
  readonly prefix: string
}

function answer(request: IncomingMessage, response: ServerResponse, site: Site): void {
  // What was not asked for is not read: the connection ends with the answer.
  if (Number(request.headers['content-length'] ?? 0) > 0 || 'transfer-encoding' in request.headers)
    response.setHeader('Connection', 'close')
  const [path = '', search = ''] = (request.url ?? '').split('?', 2)
  const query = new URLSearchParams(search)
  const refused = refusal(request, { path, query, site })
  if (refused !== undefined) {
    if (refused.status === 405) response.setHeader('Allow', allowed(path).join(', '))
    send(response, refused)
  } else if (path === '/events' && request.method === 'GET') stream(request, response, site)
  else send(response, answerTo(path, query, site), request.method !== 'HEAD')
}

const allowed = (path: string): readonly string[] =>
  path === '/redrive' ? ['POST'] : ['GET', 'HEAD']

function refusal(
  request: IncomingMessage,
  { path, query, site }: { path: string; query: URLSearchParams; site: Site },
): Answer | undefined {
  const { doors } = site
  if (!doors.isCalledRight(request)) return text(403, 'ask for 127.0.0.1 or localhost')
  if (!allowed(path).includes(request.method ?? '')) {
    return text(405, `only ${allowed(path).join(' and ')}`)
  }
  if (path !== '/' && isAsset(path.slice(1))) return undefined
  if (!doors.hasToken(request, query)) {
    return text(401, 'the address that millrace dashboard has printed has a token in it: take that')
  }
  if (path === '/redrive' && !doors.isOwnPage(request)) {
    return text(403, 'only the page itself may ask for that')
  }
  return undefined
}

function answerTo(path: string, query: URLSearchParams, { looks, payload }: Site): Answer {
  const kind = query.get('kind') ?? ''
  const name = query.get('name') ?? ''
  const hidden = text(403, 'payload is not shown: start millrace dashboard with --payload')
  try {
    switch (path) {
      case '/':
        return asset('index.html')
      case '/channel': {
        const detail = looks.detail(kind, name)
        return detail === undefined ? text(404, `there is no ${kind} '${name}'`) : json(detail)
      }
      case '/picture':
        return payload?.picture(name, query) ?? hidden
      case '/messages':
        return payload?.messages(kind, name) ?? hidden
      case '/redrive':
        return redrive(kind, name)
      default:
        return isAsset(path.slice(1)) ? asset(path.slice(1)) : text(404, 'there is no such page')
    }
  } catch (error) {
    return failed(error)
  }
}

function stream(request: IncomingMessage, response: ServerResponse, site: Site): void {
  const { looks, payload, tabs, prefix } = site
  if (tabs.size >= mostTabs) {
    send(response, text(503, `${String(mostTabs)} pages are open already: close one`))
    return
  }
  const { socket } = request
  tabs.add(socket)
  response.writeHead(200, { ...headers, 'Content-Type': 'text/event-stream; charset=utf-8' })
  const { hostname } = process.getBuiltinModule('node:os')
  const tab = new Tab(response, { host: hostname(), payload: payload !== undefined, prefix })
  response.once('close', () => {
    tabs.delete(socket)
    looks.leave(tab)
  })
  looks.join(tab)
}
