// How a service is, by HTTP: /livez, /readyz, /status, /metrics. It only tells. Whoever is slow, lies or comes in numbers takes no more
// than a few connections and a few kilobytes, each for some seconds.

import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'

import { MillraceError } from '../../errors.js'
import { isLoopback } from '../../net/address.js'
import type { RouteStatus } from '../config.js'
import { withoutSecrets } from './findings.js'
import type { HttpPlace } from './http-place.js'
import { metricsOf, metricsType } from './metrics.js'

/** What is told, at the time it is asked for. */
export interface Told {
  readonly routes: readonly RouteStatus[]
  readonly state: 'starting' | 'running' | 'draining'
  readonly host: string
  readonly since: Date
}

const longestMs = 5000
const mostConnections = 64
const text = 'text/plain; charset=utf-8'
const json = 'application/json; charset=utf-8'

interface Answer {
  readonly status: number
  readonly type: string
  readonly body: string
}

const answers: Readonly<Record<string, (told: Told) => Answer>> = {
  '/livez': () => ({ status: 200, type: text, body: 'alive\n' }),
  '/readyz': readiness,
  '/status': (told) => ({ status: 200, type: json, body: statusOf(told) }),
  '/metrics': ({ routes }) => ({ status: 200, type: metricsType, body: metricsOf(routes) }),
}

export class StatusServer {
  readonly #server: Server
  readonly #place: HttpPlace

  private constructor(server: Server, place: HttpPlace) {
    this.#server = server
    this.#place = place
  }

  /** @throws MillraceError (as rejection) `EXISTS` (another one listens there), `PERMISSION`, `UNREACHABLE` (no such address here), `SYSTEM` */
  static async listen(place: HttpPlace, told: () => Told): Promise<StatusServer> {
    const { createServer } = process.getBuiltinModule('node:http')
    const server = createServer(
      {
        headersTimeout: longestMs,
        requestTimeout: longestMs,
        keepAliveTimeout: longestMs,
        connectionsCheckingInterval: 1000,
        maxHeaderSize: 8192,
      },
      (request, response) => {
        answer(request, response, place, told)
      },
    )
    const open = new Set<Socket>()
    server.on('connection', (socket) => {
      open.add(socket)
      socket.once('close', () => open.delete(socket))
      // Whoever asks is answered in the turn in which that has come: the oldest connection is one that asks nothing.
      const [oldest] = open
      if (open.size > mostConnections) oldest?.destroy()
    })
    server.maxRequestsPerSocket = 1000
    // Of who does not read the answer.
    server.setTimeout(2 * longestMs, (socket) => socket.destroy())
    server.on('clientError', (_, socket) => socket.destroy())
    await new Promise<void>((done, failed) => {
      server.once('error', (error) => {
        failed(refusal(error, place))
      })
      server.listen({ host: place.host, port: place.port }, done)
    })
    server.removeAllListeners('error').on('error', () => undefined)
    return new StatusServer(server, place)
  }

  /** Is it where it is wanted? */
  isAt(place: HttpPlace | undefined): boolean {
    return place?.host === this.#place.host && place.port === this.#place.port
  }

  /** Port 0 has become the port. */
  get url(): string {
    const { address, port } = this.#server.address() as AddressInfo
    return `http://${address.includes(':') ? `[${address}]` : address}:${String(port)}`
  }

  close(): void {
    this.#server.close()
    this.#server.closeAllConnections()
  }
}

function answer(
  request: IncomingMessage,
  response: ServerResponse,
  place: HttpPlace,
  told: () => Told,
): void {
  // What was not asked for is not read: the connection ends with the answer.
  if (request.headers['content-length'] !== undefined || 'transfer-encoding' in request.headers) {
    response.setHeader('Connection', 'close')
  }
  const { status, type, body } = answerTo(request, place, told)
  if (status === 405) response.setHeader('Allow', 'GET, HEAD')
  response.writeHead(status, {
    'Content-Type': type,
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
  })
  response.end(request.method === 'HEAD' ? undefined : body)
}

function answerTo(request: IncomingMessage, place: HttpPlace, told: () => Told): Answer {
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return { status: 405, type: text, body: 'only GET and HEAD\n' }
  }
  // A page of the web that has its own name lead to this machine learns nothing.
  if (isLoopback(place.host) && !isOfThisMachine(request.headers.host)) {
    return { status: 403, type: text, body: 'ask for 127.0.0.1 or localhost\n' }
  }
  const path = (request.url ?? '').split('?', 1)[0]!
  const found = Object.hasOwn(answers, path) ? answers[path] : undefined
  if (found !== undefined) return found(told())
  const all = Object.keys(answers).join(', ')
  return { status: 404, type: text, body: `there are ${all}\n` }
}

function isOfThisMachine(host: string | undefined): boolean {
  return host === undefined || isLoopback(host.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1'))
}

function readiness({ routes, state }: Told): Answer {
  const not = routes.filter((route) => route.state !== 'running')
  if (not.length === 0 && state === 'running') return { status: 200, type: text, body: 'ready\n' }
  const lines = not.map(({ name, state: its, error }) => {
    const why = error === undefined ? '' : ` (${withoutSecrets(error.message)})`
    return `${name}: ${its}${why}\n`
  })
  return { status: 503, type: text, body: `${state}\n${lines.join('')}` }
}

function statusOf({ routes, state, host, since }: Told): string {
  const shown = {
    state,
    host,
    pid: process.pid,
    since: since.toISOString(),
    routes: routes.map(({ error, ...route }) => ({
      ...route,
      error: error === undefined ? null : shownError(error),
    })),
  }
  return `${JSON.stringify(shown, undefined, 2)}\n`
}

function shownError(error: Error) {
  const { code } = error as NodeJS.ErrnoException
  return { code, message: withoutSecrets(error.message) }
}

function refusal(error: Error, { host, port }: HttpPlace): MillraceError {
  const { code } = error as NodeJS.ErrnoException
  const where = `http: ${host.includes(':') ? `[${host}]` : host}:${String(port)}`
  if (code === 'EADDRINUSE') {
    const message = `${where}: another process listens there: end it, or take another port`
    return new MillraceError('ERR_MILLRACE_EXISTS', message, { cause: error })
  }
  if (code === 'EACCES') {
    const message = `${where}: this user may not listen there: take a port above 1023`
    return new MillraceError('ERR_MILLRACE_PERMISSION', message, { cause: error })
  }
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') {
    const message = `${where}: this machine has no such address`
    return new MillraceError('ERR_MILLRACE_UNREACHABLE', message, { cause: error })
  }
  return new MillraceError('ERR_MILLRACE_SYSTEM', `${where}: ${error.message}`, { cause: error })
}
