// A server by HTTP of which whoever is slow, lies or comes in numbers takes no more than a few connections and a few kilobytes, each for
// some seconds.

import type { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'

import { MillraceError } from '../errors.js'
import { isLoopback } from '../net/address.js'
import type { HttpPlace } from './http-place.js'

/** A server that listens. */
export interface HttpServer {
  /** Where it is: port 0 has become the port. */
  readonly url: string
  /** The port. */
  readonly port: number
  /** Ends it, and what connections it has. */
  close(): void
}

/** What it does, and with whom. */
export interface HttpServerOptions {
  /** Answers. */
  readonly answer: (request: IncomingMessage, response: ServerResponse) => void
  /** Of connections that must not make room for others: they are counted elsewhere. Default: none. */
  readonly spares?: ((socket: Socket) => boolean) | undefined
}

const longestMs = 5000
const mostConnections = 64

/**
 * Listens until it is closed.
 *
 * @throws MillraceError (as rejection) `EXISTS` (another one listens there), `PERMISSION`, `UNREACHABLE` (no such address here), `SYSTEM`
 */
export async function listenHttp(
  place: HttpPlace,
  { answer, spares = () => false }: HttpServerOptions,
): Promise<HttpServer> {
  const { createServer } = process.getBuiltinModule('node:http')
  const server = createServer(
    {
      headersTimeout: longestMs,
      requestTimeout: longestMs,
      keepAliveTimeout: longestMs,
      connectionsCheckingInterval: 1000,
      maxHeaderSize: 8192,
    },
    answer,
  )
  const open = new Set<Socket>()
  server.on('connection', (socket) => {
    open.add(socket)
    socket.once('close', () => open.delete(socket))
    if (open.size <= mostConnections) return
    // Whoever asks is answered in the turn in which that has come: the oldest connection is one that asks nothing.
    const idle = [...open].filter((one) => !spares(one))
    if (idle.length > mostConnections) idle[0]?.destroy()
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
  const { address, port } = server.address() as AddressInfo
  return {
    port,
    url: `http://${address.includes(':') ? `[${address}]` : address}:${String(port)}`,
    close() {
      server.close()
      server.closeAllConnections()
    },
  }
}

/** What the header `Host` says, without port and brackets. */
export function hostOf(header: string): string {
  return header.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1')
}

/** Is it called by a name of loopback? A page of the web that has its own name lead to this machine calls it by that. */
export function isOfThisMachine(host: string | undefined): boolean {
  return host === undefined || isLoopback(hostOf(host))
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
