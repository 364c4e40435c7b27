// WebSockets as a transport: `ws://host:port/path`, and `wss://` by TLS. One message of a WebSocket is one message of the channel, and nothing is added to it, so
// that a browser needs no library. Queues, waits, back-pressure and ends are those of every channel: what stands here is what WebSockets
// are (RFC 6455), and who may come.
import { createServer, type IncomingMessage, type RequestListener } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { TLSSocket, type ConnectionOptions, type TlsOptions } from 'node:tls'
import { MillraceError } from 'millrace'
import type { Address, LinkEvents, MessageLink, Peer, Transport } from 'millrace/net'
import { WebSocket, WebSocketServer } from 'ws'

/** Each side says by it what it takes. Browsers do not: to them goes what this side takes itself. */
const longestHeader = 'millrace-max-bytes'

/** Milliseconds that a close code has to get to a side that has broken the rules. */
const lastWordMs = 2000

/** `registerTransport(webSockets)` makes it known, once in a process. */
export const webSockets: Transport = transportOf('ws')

/** The same by TLS: `tls` of `connect` and `listen` has the certificates, as for `tls://`. */
export const secureWebSockets: Transport = transportOf('wss')

function transportOf(scheme: 'ws' | 'wss'): Transport {
  return {
    scheme,
    traits: {
      zeroCopy: false,
      reliable: true,
      ordered: true,
      death: 'timeout',
      directions: 'both',
    },
    heartbeat: 10_000,

    check(address, given) {
      const { host } = placeOf(address)
      if (scheme === 'wss') {
        if (given.tls?.rejectUnauthorized !== false || given.tls.requestCert === true) return
        throw new MillraceError(
          'ERR_MILLRACE_INVALID_ARGUMENT',
          'tls.rejectUnauthorized: false would take anybody for the other side: give the certificate of its authority as tls.ca instead',
        )
      }
      if (given.insecure || address.query.has('insecure') || isHere(host)) return
      throw new MillraceError(
        'ERR_MILLRACE_INVALID_ARGUMENT',
        `'${address.text}' leaves this machine, and everybody on the way can read and change what goes over ws://: say insecure: true, or ` +
          'end the address with ?insecure, if the network itself is trusted',
      )
    },

    connect(address, given, signal) {
      const { authority, path } = placeOf(address)
      const socket = new WebSocket(`${scheme}://${authority}${path}`, {
        ...(scheme === 'wss'
          ? { ...(given.tls as ConnectionOptions), rejectUnauthorized: true }
          : {}),
        headers: { [longestHeader]: String(given.maxBytes) },
        maxPayload: given.maxBytes,
        perMessageDeflate: false,
      })
      return new Promise((resolve, reject) => {
        const giveUp = (error: unknown): void => {
          signal.removeEventListener('abort', onAbort)
          reject(error)
          socket.terminate()
        }
        const onAbort = (): void => giveUp(signal.reason)
        let answer: IncomingMessage | undefined
        socket.once('upgrade', (response) => (answer = response))
        socket.once('unexpected-response', (_request, response) => {
          giveUp(refusedError(address.text, response.statusCode ?? 0))
        })
        // Also for what `terminate` has to say.
        socket.on('error', (error: NodeJS.ErrnoException) => {
          // `ws` has codes of its own for what is no WebSocket, and Node for what is no HTTP.
          const isStrange = error.code === undefined || /^(WS|HPE)_/.test(error.code)
          giveUp(isStrange ? strangeError(address.text, error) : error)
        })
        socket.once('open', () => {
          signal.removeEventListener('abort', onAbort)
          const wire = answer!.socket
          const maxBytes = longestOf(answer!, given.maxBytes)
          resolve({ link: new WebSocketLink(socket, wire, maxBytes), peer: peerOf(wire) })
        })
        if (signal.aborted) onAbort()
        else signal.addEventListener('abort', onAbort, { once: true })
      })
    },

    async listen(address, given, arrivals) {
      const { host, port, path } = placeOf(address)
      const mayLeave = scheme === 'wss' || given.insecure || address.query.has('insecure')
      const origins = (address.query.get('origins') ?? '').split(',')
      const handshakes = new WebSocketServer({
        noServer: true,
        clientTracking: false,
        maxPayload: given.maxBytes,
        perMessageDeflate: false,
      })
      handshakes.on('headers', (headers) => headers.push(`${longestHeader}: ${given.maxBytes}`))

      // Those that have not said yet what they want have little time, however slowly they say it, and there are few of them.
      // By their addresses: what comes out of TLS is another socket than what went in.
      const pending = new Map<string, { readonly wire: Socket; readonly timer: NodeJS.Timeout }>()
      const settled = (key: string): boolean => {
        clearTimeout(pending.get(key)?.timer)
        return pending.delete(key)
      }
      const answer: RequestListener = ({ socket }, response) => {
        settled(endsOf(socket))
        arrivals.turnedAway()
        response.writeHead(426, { connection: 'close' }).end('a WebSocket is expected here\n')
      }
      const server =
        scheme === 'ws'
          ? createServer(answer)
          : createSecureServer(certificates(given.tls, address), answer)
      server.on('connection', (wire: Socket) => {
        const isWelcome = mayLeave || isHere(wire.remoteAddress ?? '')
        if (!isWelcome || !arrivals.hasRoom() || pending.size >= given.maxPending) {
          arrivals.turnedAway()
          wire.destroy()
          return
        }
        const key = endsOf(wire)
        const timer = setTimeout(() => wire.destroy(), given.helloMs).unref()
        pending.set(key, { wire, timer })
        // Too late, no TLS, no certificate that is wanted, no HTTP: it has gone without having said what it wants.
        wire.once('close', () => {
          if (settled(key)) arrivals.turnedAway('hello')
        })
      })
      // Of TLS alone.
      server.on('tlsClientError', (_error, wire: Socket) => wire.destroy())

      const refuse = (wire: Duplex, status: string): void => {
        arrivals.turnedAway()
        const answer = `HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`
        wire.end(answer, () => wire.destroy())
      }
      handshakes.on('wsClientError', (_error, wire) => refuse(wire, '400 Bad Request'))
      server.on('upgrade', (request, wire, head) => {
        settled(endsOf(request.socket))
        wire.on('error', () => undefined)
        const { origin } = request.headers
        if (origin !== undefined && !origins.includes(origin)) refuse(wire, '403 Forbidden')
        else if (request.url !== path) refuse(wire, '404 Not Found')
        else if (!arrivals.hasRoom()) refuse(wire, '503 Service Unavailable')
        else {
          handshakes.handleUpgrade(request, wire, head, (socket) => {
            const { socket: plain } = request
            const link = new WebSocketLink(socket, plain, longestOf(request, given.maxBytes))
            arrivals.arrived({ link, peer: peerOf(plain) })
          })
        }
      })

      await new Promise<void>((resolve, reject) => {
        server.once('error', reject)
        server.listen({ host, port }, () => {
          server.off('error', reject)
          resolve()
        })
      })
      server.on('error', (error) => arrivals.failed(error))
      const bound = (server.address() as AddressInfo).port
      return {
        address: address.text.replace(/:\d+(?=\/|\?|$)/, `:${bound}`),
        close: () => {
          server.close() // what was accepted goes on
          for (const [key, { wire }] of [...pending]) {
            settled(key)
            wire.destroy()
          }
          return Promise.resolve()
        },
        hold: (alive) => {
          if (alive) server.ref()
          else server.unref()
        },
      }
    },
  }
}

/** One WebSocket. It has no `end`: a WebSocket closes both ways at once, so `end()` of its channel is `UNSUPPORTED`. */
class WebSocketLink implements MessageLink {
  readonly maxBytes: number
  readonly #socket: WebSocket
  readonly #wire: Socket
  #events: LinkEvents | undefined
  #over: { readonly error: Error | undefined } | undefined

  constructor(socket: WebSocket, wire: Socket, maxBytes: number) {
    this.maxBytes = maxBytes
    this.#socket = socket
    this.#wire = wire
    socket.pause() // until somebody listens
    // Messages of text are the bytes of their UTF-8.
    socket.on('message', (data) => this.#events?.message(data as Buffer))
    socket.on('ping', () => this.#events?.alive())
    socket.on('pong', () => this.#events?.alive())
    // The socket has judged what came: a message that is longer than `maxPayload` by its head, before there is memory for it. It has told
    // the other side by a close code, and takes nothing more.
    socket.on('error', (error) => {
      this.#end(strangeError(`the WebSocket of ${peerOf(wire).address}`, error))
      setTimeout(() => socket.terminate(), lastWordMs).unref()
    })
    socket.on('close', (code, reason) => this.#end(errorOf(code, String(reason))))
  }

  start(events: LinkEvents): void {
    this.#events = events
    if (this.#over === undefined) this.#socket.resume()
    else events.closed(this.#over.error)
  }

  send(message: Uint8Array, sent: (error?: Error) => void): void {
    // Called when the system has all of it, so that `bufferedAmount` is never more than what the channel has handed over. After a close
    // it is called with an error; that there was a close is told by itself, after all that came before.
    this.#socket.send(message, { binary: true }, (error) => {
      if (!error) sent()
    })
  }

  ping(): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.ping()
  }

  pause(): void {
    this.#socket.pause()
  }

  resume(): void {
    this.#socket.resume()
  }

  close(): void {
    this.#socket.close(1000)
  }

  destroy(): void {
    this.#socket.terminate()
  }

  hold(alive: boolean): void {
    if (alive) this.#wire.ref()
    else this.#wire.unref()
  }

  #end(error: Error | undefined): void {
    if (this.#over !== undefined) return
    this.#over = { error }
    this.#events?.closed(error)
  }
}

/** What a close code says; undefined: an end in good order, as of a page that was left. */
function errorOf(code: number, reason: string): Error | undefined {
  const said = `close code ${code}${reason === '' ? '' : `, ${JSON.stringify(reason)}`}`
  switch (code) {
    case 1000: // normal closure
    case 1001: // going away: the page was left, the server is shut down
    case 1005: // closed without a code
      return undefined
    case 1002: // protocol error
    case 1003: // unsupported data
    case 1007: // invalid data
      return new MillraceError(
        'ERR_MILLRACE_PROTOCOL',
        `the other side does not understand what was sent (${said}): see what it expects`,
      )
    case 1008: // policy violation
      return new MillraceError(
        'ERR_MILLRACE_PERMISSION',
        `the other side does not allow what was sent, or us (${said})`,
      )
    case 1009: // message too big
      return new MillraceError(
        'ERR_MILLRACE_TOO_LARGE',
        `the other side takes no message as long as one that was sent (${said}): send in parts`,
      )
    case 1006: // no close at all
    case 1012: // service restart
    case 1013: // try again later
    case 1014: // bad gateway
      return new Error(said) // PEER_GONE, with this as its cause
    default: // 1011, internal error, and those that programs use between themselves
      return new MillraceError('ERR_MILLRACE_PEER_FAILED', `the other side gave up (${said})`)
  }
}

function refusedError(address: string, status: number): Error {
  switch (status) {
    case 403:
      return new MillraceError(
        'ERR_MILLRACE_PERMISSION',
        `who listens at '${address}' does not take connections of this origin: name it there in ?origins=`,
      )
    case 404:
      return new MillraceError(
        'ERR_MILLRACE_UNREACHABLE',
        `nobody listens at '${address}': there is a server, and it has no such path`,
      )
    case 503:
      return new MillraceError(
        'ERR_MILLRACE_UNREACHABLE',
        `who listens at '${address}' has as many connections as it takes: try again later`,
      )
    default:
      return strangeError(address, new Error(`HTTP status ${status}`))
  }
}

function strangeError(what: string, cause: Error): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_PROTOCOL',
    `what came from ${what} is not what was agreed on (${cause.message}): see what is at the other side`,
    { cause },
  )
}

/** What is behind the scheme: `host:port`, and a path. */
function placeOf({ text, rest }: Address) {
  const found = /^((?:\[([0-9a-f:.%]+)\]|([^:[\]/?#@\s]+)):(\d{1,5}))(\/[^?#\s]*)?$/i.exec(rest)
  const host = found?.[2] ?? found?.[3]
  const port = Number(found?.[4])
  if (found === null || host === undefined || !(port <= 65_535)) {
    throw new MillraceError(
      'ERR_MILLRACE_INVALID_ARGUMENT',
      `the address '${text}' must name a host, a port up to 65535 and a path, as in 'ws://127.0.0.1:7000/live'`,
    )
  }
  return { host, port, authority: found[1]!, path: found[5] ?? '/' }
}

function isHere(host: string): boolean {
  return /^(?:localhost|::1|(?:::ffff:)?127\.\d+\.\d+\.\d+)$/i.test(host)
}

/** What the other side takes, as far as it says; a browser says nothing. */
function longestOf({ headers }: IncomingMessage, otherwise: number): number {
  const said = String(headers[longestHeader] ?? '')
  return /^[1-9]\d{0,8}$/.test(said) ? Number(said) : otherwise
}

/** Which connection it is, of all that are open. */
function endsOf({ localAddress, remoteAddress, remotePort }: Socket): string {
  return `${localAddress} ${remoteAddress} ${remotePort}`
}

function peerOf(wire: Socket): Peer {
  const { remoteAddress = '', remotePort = 0 } = wire
  const host = remoteAddress.includes(':') ? `[${remoteAddress}]` : remoteAddress
  const address = `${host}:${remotePort}`
  if (!(wire instanceof TLSSocket) || !wire.authorized) return { address }
  const { subject, subjectaltname, fingerprint256 } = wire.getPeerCertificate()
  const certificate = {
    commonName: typeof subject.CN === 'string' ? subject.CN : undefined,
    alternativeNames: subjectaltname,
    fingerprint: fingerprint256,
  }
  return { address, certificate }
}

/** What a server of TLS needs. A certificate that it asks for it also judges. */
function certificates(tls: TlsOptions | undefined, { text }: Address): TlsOptions {
  if (tls?.key === undefined && tls?.pfx === undefined && tls?.SNICallback === undefined) {
    throw new MillraceError(
      'ERR_MILLRACE_INVALID_ARGUMENT',
      `'${text}' needs a certificate: give tls: { key, cert }, as node:tls takes them`,
    )
  }
  return tls.requestCert === true ? { ...tls, rejectUnauthorized: true } : tls
}
