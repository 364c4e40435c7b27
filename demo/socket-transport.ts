// The same messages over a Unix domain socket, as fast as Node allows: one write per message, straight
// from a pool of buffers; reads straight into the place where the message is wanted.
//
// On the wire: length (4 bytes), number (4), stamp (8), the message.

import { createServer, connect, type Server, type Socket } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { monotonicNow } from 'millrace'
import type { Inlet, Outlet, Room, Take } from './transport.js'

const headerBytes = 16
const openTimeout = 30_000

/** Listens, and sends every message to all of `receivers` connections. */
export async function openSocketOutlet(
  path: string,
  options: { readonly messageBytes: number; readonly buffers: number; readonly receivers: number },
): Promise<Outlet> {
  const server = createServer()
  const sockets = await accept(server, path, options.receivers)
  const pool = new BufferPool(options.buffers, headerBytes + options.messageBytes)
  let number = 0
  return {
    async room(): Promise<Room> {
      const buffer = await pool.acquire()
      return {
        bytes: buffer.subarray(headerBytes),
        send(length) {
          buffer.writeUInt32LE(length, 0)
          buffer.writeUInt32LE(++number, 4)
          buffer.writeBigUInt64LE(monotonicNow(), 8)
          let open = sockets.length
          // The bytes are the socket's until it has passed all of them to the kernel.
          const written = () => {
            if (--open === 0) pool.release(buffer)
          }
          for (const socket of sockets)
            socket.write(buffer.subarray(0, headerBytes + length), written)
        },
      }
    },
    async finish() {
      const ends = sockets.map((socket) => new Promise((closed) => socket.once('close', closed)))
      for (const socket of sockets) socket.end()
      await Promise.all(ends)
      server.close()
    },
    close() {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}

export async function openSocketInlet(path: string, messageBytes: number): Promise<Inlet> {
  const assembly = new Assembly(messageBytes)
  const socket = await connectWhenReady(path, assembly)
  return {
    receive(take) {
      return new Promise((resolve, reject) => {
        assembly.take = take
        socket.on('error', reject)
        socket.on('end', () => {
          if (assembly.complete) resolve()
          else reject(new Error('the socket ended in the middle of a message'))
        })
        socket.resume()
      })
    },
    close() {
      socket.destroy()
    },
  }
}

function accept(server: Server, path: string, count: number): Promise<Socket[]> {
  return new Promise((resolve, reject) => {
    const sockets: Socket[] = []
    server.on('error', reject)
    server.on('connection', (socket) => {
      // Nothing is ever read; without reading, the other side's end would not be noticed.
      socket.resume()
      socket.on('error', reject)
      if (sockets.push(socket) === count) resolve(sockets)
    })
    server.listen(path)
  })
}

/** The sender may not listen yet: tries again until it does. */
async function connectWhenReady(path: string, assembly: Assembly): Promise<Socket> {
  const deadline = performance.now() + openTimeout
  for (;;) {
    try {
      return await tryConnect(path, assembly)
    } catch (error) {
      if (performance.now() > deadline) throw error
      await pause(5)
    }
  }
}

function tryConnect(path: string, assembly: Assembly): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket: Socket = connect({
      path,
      onread: {
        buffer: () => assembly.target,
        callback: (length): boolean => {
          try {
            assembly.advance(length)
          } catch (error) {
            socket.destroy(error as Error)
          }
          return !socket.destroyed
        },
      },
    })
    // Reading starts with resume(), when there is somebody to take messages.
    socket.pause()
    socket.once('error', reject)
    socket.once('connect', () => {
      socket.off('error', reject)
      resolve(socket)
    })
  })
}

/** Puts messages together: a header and a message of known length, alternating. */
class Assembly {
  take: Take = () => undefined
  /** The message, and behind it room for the header of the next: one read can bring both. */
  readonly #buffer: Buffer
  #filled = 0
  #length = 0
  #number = 0
  #stamp = 0n
  #taken = true

  constructor(messageBytes: number) {
    this.#buffer = Buffer.allocUnsafeSlow(messageBytes + headerBytes)
  }

  /** Where the next bytes belong. */
  get target(): Buffer {
    return this.#buffer.subarray(this.#filled, this.#length + headerBytes)
  }

  /** Is there no message begun? */
  get complete(): boolean {
    return this.#taken && this.#filled === this.#length
  }

  advance(bytes: number): void {
    this.#filled += bytes
    if (!this.#taken && this.#filled >= this.#length) {
      this.#taken = true
      const message = this.#buffer.subarray(0, this.#length)
      this.take(message, this.#number, Number(monotonicNow() - this.#stamp))
    }
    if (this.#filled < this.#length + headerBytes) return
    const header = this.#buffer.subarray(this.#length, this.#filled)
    const length = header.readUInt32LE(0)
    if (length > this.#buffer.length - headerBytes) throw new Error('a message is too long')
    this.#number = header.readUInt32LE(4)
    this.#stamp = header.readBigUInt64LE(8)
    this.#length = length
    this.#filled = 0
    this.#taken = false
  }
}

/** A fixed number of buffers: a sender that is ahead by so many waits. */
class BufferPool {
  readonly #free: Buffer[]
  readonly #waiting: ((buffer: Buffer) => void)[] = []

  constructor(count: number, bytes: number) {
    this.#free = Array.from({ length: count }, () => Buffer.allocUnsafeSlow(bytes))
  }

  acquire(): Promise<Buffer> {
    const buffer = this.#free.pop()
    if (buffer !== undefined) return Promise.resolve(buffer)
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  release(buffer: Buffer): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#free.push(buffer)
    else next(buffer)
  }
}
