// Somebody between a client and a server, who makes both of them slow, or speaks TLS with the client.

import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { createServer as createSecureServer } from 'node:tls'
import type { ExecutionContext } from 'ava'

import type { Certificate } from '../../support/certificate.js'

export interface ProxyOptions {
  /** What it shows to who connects, who must then speak TLS. */
  readonly certificate?: Certificate
  /** For each connection: what becomes of the bytes that the server sends. */
  readonly answers?: () => (bytes: Buffer) => Buffer
}

export class Proxy {
  readonly port: number
  /** The port of the server. */
  to: number
  /** Milliseconds that bytes are on their way for, in each direction. */
  delay = 0
  readonly #server: Server
  readonly #sockets = new Set<Socket>()

  constructor(server: Server, to: number, { certificate, answers }: ProxyOptions) {
    this.port = (server.address() as AddressInfo).port
    this.to = to
    this.#server = server
    server.on(certificate === undefined ? 'connection' : 'secureConnection', (near: Socket) => {
      const far = connect(this.to, '127.0.0.1')
      this.#carry(near, far, (bytes) => bytes)
      this.#carry(far, near, answers?.() ?? ((bytes) => bytes))
    })
  }

  /** Ends all connections, and takes no more. */
  close(): void {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
  }

  /** Takes connections again, at the same port. */
  async open(): Promise<void> {
    if (this.#server.listening) return
    this.#server.listen(this.port, '127.0.0.1')
    await once(this.#server, 'listening')
  }

  #carry(from: Socket, to: Socket, changed: (bytes: Buffer) => Buffer): void {
    let last = Promise.resolve()
    const later = (then: () => void): void => {
      const due = performance.now() + this.delay
      last = last.then(async () => {
        const left = due - performance.now()
        if (left > 0) await new Promise((resolve) => setTimeout(resolve, left))
        then()
      })
    }
    this.#sockets.add(from)
    from.setNoDelay(true)
    from.on('data', (bytes: Buffer) => {
      const sent = changed(bytes)
      later(() => {
        if (to.writable) to.write(sent)
      })
    })
    from.once('close', () => {
      this.#sockets.delete(from)
      later(() => {
        to.destroy()
      })
    })
    from.on('error', () => undefined) // it is closed, which is told to the other side
  }
}

export async function proxyTo(
  t: ExecutionContext,
  port: number,
  options: ProxyOptions = {},
): Promise<Proxy> {
  const { certificate } = options
  const server =
    certificate === undefined
      ? createServer()
      : createSecureServer({ key: certificate.key, cert: certificate.cert })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const proxy = new Proxy(server, port, options)
  t.teardown(() => {
    proxy.close()
  })
  return proxy
}
