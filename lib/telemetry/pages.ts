// Pages by HTTP that tell how something is. They only tell.

import type { IncomingMessage, ServerResponse } from 'node:http'

import { isLoopback } from '../net/address.js'
import type { HttpPlace } from './http-place.js'
import { isOfThisMachine, listenHttp } from './http-server.js'

/** What is answered. */
export interface Page {
  /** Code of the answer. */
  readonly status: number
  /** Of its content. */
  readonly type: string
  /** The text. */
  readonly body: string
}

/** Pages by their paths, made when they are asked for, of what stands behind the `?`. */
export type Pages = Readonly<Record<string, (query: URLSearchParams) => Page>>

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

/**
 * Serves pages by HTTP until it is closed. Who asks 127.0.0.1 or another address of loopback has to call it so (`Host`).
 *
 * @throws MillraceError (as rejection) `EXISTS` (another one listens there), `PERMISSION`, `UNREACHABLE` (no such address here), `SYSTEM`
 */
export async function servePages(place: HttpPlace, pages: Pages): Promise<PageServer> {
  const server = await listenHttp(place, {
    answer(request, response) {
      answer(request, response, place, pages)
    },
  })
  return {
    url: server.url,
    isAt: (wanted) => wanted?.host === place.host && wanted.port === place.port,
    close() {
      server.close()
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
  const [path = '', query] = (request.url ?? '').split(/\?(.*)/s, 2)
  const found = Object.hasOwn(pages, path) ? pages[path] : undefined
  if (found !== undefined) return found(new URLSearchParams(query))
  const all = Object.keys(pages).join(', ')
  return { status: 404, type: plainText, body: `there are ${all}\n` }
}
