// A way that can be cut.

import { createServer, connect as connectTo, type Server, type Socket } from 'node:net'
import type { ExecutionContext } from 'ava'

/** Between a client and a share, where the way can be cut. */
export class Proxy {
  readonly server: Server
  readonly sockets = new Set<Socket>()
  refuses = false

  constructor(target: string) {
    const [host, port] = target.slice('tcp://'.length).split(':')
    this.server = createServer((near) => {
      if (this.refuses) {
        near.destroy()
        return
      }
      const far = connectTo(Number(port), host)
      for (const socket of [near, far]) {
        this.sockets.add(socket)
        socket.on('error', () => undefined)
        socket.on('close', () => this.sockets.delete(socket))
      }
      near.pipe(far).pipe(near)
      near.on('close', () => far.destroy())
      far.on('close', () => near.destroy())
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
    for (const socket of this.sockets) socket.destroy()
  }
}
