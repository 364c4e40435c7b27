// Pages by HTTP that tell how something is. They only tell. Whoever is slow, lies or comes in numbers takes no more than a few connections
// and a few kilobytes, each for some seconds.

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'

import { MillraceError } from '../errors.js'
import { isLoopback } from '../net/address.js'
import type { HttpPlace } from './http-place.js'

/** What is answered. */
export interface Page {
  /** Code of the answer. */
  readonly status: number
  /** Of its content. */
  readonly type: string
  /** The text. */
  readonly body: string
}

/** Pages by their paths, made when they are asked for. */
export type Pages = Readonly<Record<string, () => Page>>

/** A server of pages. */
export interface PageServer {
  /** Where it is: port 0 has become the port. */
  readonly url: string
  /** Is it where it is wanted? */
  isAt(place: HttpPlace | undefined): boolean
  /** Ends it, and what connections it has. */
  close(): void
}

/** The type of a page of plain text. */
export const plainText = 'text/plain; charset=utf-8'
export const jsonText = 'application/json; charset=utf-8'

const longestMs = 5000
const mostConnections = 64

/**
 * Serves pages by HTTP until it is closed. Who asks 127.0.0.1 or another address of loopback has to call it so (`Host`).
 *
 * @throws MillraceError (as rejection) `EXISTS` (another one listens there), `PERMISSION`, `UNREACHABLE` (no such address here), `SYSTEM`
 */
export async function servePages(place: HttpPlace, pages: Pages): Promise<PageServer> {
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
      answer(request, response, place, pages)
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
  return {
    isAt: (wanted) => wanted?.host === place.host && wanted.port === place.port,
    get url() {
      const { address, port } = server.address() as AddressInfo
      return `http://${address.includes(':') ? `[${address}]` : address}:${String(port)}`
    },
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}

function answer(
  request: IncomingMessage,
  response: ServerResponse,
  place: HttpPlace,
  pages: Pages,
): void {
  // What was not asked for is not read: the connection ends with the answer.
  if (request.headers['content-length'] !== undefined || 'transfer-encoding' in request.headers) {
    response.setHeader('Connection', 'close')
  }
  const { status, type, body } = answerTo(request, place, pages)
  if (status === 405) response.setHeader('Allow', 'GET, HEAD')
  response.writeHead(status, {
    'Content-Type': type,
    'Content-Length': Buffer.byteLength(body),
    'Cache-Control': 'no-store',
    'X-Content-Type-Options': 'nosniff',
  })
  response.end(request.method === 'HEAD' ? undefined : body)
}

function answerTo(request: IncomingMessage, place: HttpPlace, pages: Pages): Page {
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return { status: 405, type: plainText, body: 'only GET and HEAD\n' }
  }
  // A page of the web that has its own name lead to this machine learns nothing.
  if (isLoopback(place.host) && !isOfThisMachine(request.headers.host)) {
    return { status: 403, type: plainText, body: 'ask for 127.0.0.1 or localhost\n' }
  }
  const path = (request.url ?? '').split('?', 1)[0]!
  const found = Object.hasOwn(pages, path) ? pages[path] : undefined
  if (found !== undefined) return found()
  const all = Object.keys(pages).join(', ')
  return { status: 404, type: plainText, body: `there are ${all}\n` }
}

function isOfThisMachine(host: string | undefined): boolean {
  return host === undefined || isLoopback(host.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1'))
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
