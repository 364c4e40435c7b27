// A way that can be cut, at which both ends hear of it; and that can be a hole, of which neither does.

import { createServer, connect as connectTo, type Server, type Socket } from 'node:net'
import type { ExecutionContext } from 'ava'

/** Between a client and a share, where the way can be cut. */
export class Proxy {
  readonly server: Server
  readonly sockets = new Set<Socket>()
  refuses = false
  readonly #host: string
  readonly #port: number
  #isHole = false
  /** Those who came to the hole. */
  readonly #waiting = new Set<Socket>()
  /** Ends that one side of the hole did not hear of. */
  #unheard: (() => void)[] = []

  constructor(target: string) {
    const { hostname, port } = new URL(target.replace('tcp:', 'http:'))
    this.#host = hostname
    this.#port = Number(port)
    this.server = createServer({ pauseOnConnect: true }, (near) => {
      if (this.refuses) {
        near.destroy()
        return
      }
      this.#keep(near)
      if (this.#isHole) this.#waiting.add(near)
      else this.#join(near)
    })
  }

  async listen(t: ExecutionContext): Promise<string> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve))
    t.teardown(() => {
      this.server.close()
      this.cut()
    })
    const { port } = this.server.address() as { readonly port: number }
    return `tcp://127.0.0.1:${String(port)}`
  }

  cut(): void {
    this.#isHole = false
    for (const socket of this.sockets) socket.destroy()
  }

  /** From now on nothing comes through, and nobody is told: bytes, connections, ends. */
  hole(): void {
    this.#isHole = true
    for (const socket of this.sockets) socket.pause()
  }

  /** All that did not come through does now, as after a lost route: what was sent is sent again. */
  heal(): void {
    this.#isHole = false
    for (const near of this.#waiting) this.#join(near)
    this.#waiting.clear()
    for (const socket of this.sockets) socket.resume()
    for (const end of this.#unheard.splice(0)) end()
  }

  #keep(socket: Socket): void {
    this.sockets.add(socket)
    socket.on('error', () => undefined)
    socket.on('close', () => this.sockets.delete(socket))
  }

  #join(near: Socket): void {
    const far = connectTo(this.#port, this.#host)
    this.#keep(far)
    this.#forward(near, far)
    this.#forward(far, near)
    near.resume()
  }

  #forward(from: Socket, to: Socket): void {
    from.on('data', (bytes: Buffer) => {
      if (!to.write(bytes)) from.pause()
    })
    to.on('drain', () => {
      if (!this.#isHole) from.resume()
    })
    from.on('end', () => to.end())
    from.on('close', () => {
      const end = (): void => void to.destroy()
      if (this.#isHole) this.#unheard.push(end)
      else end()
    })
  }
}
