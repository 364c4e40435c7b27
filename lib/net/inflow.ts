// What comes at sockets that this side connects. Node makes 64 KiB of memory for each read, and takes back what was too much of it,
// which costs more than a short message. Where a socket can be told where to write, all of them write to one piece of memory of this
// thread: the bytes are taken apart before the next read, and what is kept of them is copied.

import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

import { runsOnNode } from '../addon/runtime.js'

const readBytes = 65_536

type Take = (piece: Buffer) => void

/** What `net.connect` is told. */
interface Reading {
  readonly onread?: {
    readonly buffer: Uint8Array
    readonly callback: (length: number, memory: Uint8Array) => boolean
  }
}

let memory: Buffer | undefined

/** Will the next read write over it? */
export function isReused(piece: Buffer): boolean {
  return piece.buffer === memory?.buffer
}

const inflows = new WeakMap<Duplex, Inflow>()

/** What comes at one socket. */
export class Inflow {
  #take: Take | undefined
  /** What came before anybody took it. */
  #early: Buffer[] = []

  /** Makes a socket by what `net.connect` is told besides. */
  static connect<S extends Socket>(make: (reading: Reading) => S): S {
    if (!runsOnNode) return make({})
    const inflow = new Inflow()
    memory ??= Buffer.allocUnsafeSlow(readBytes)
    const socket = make({
      onread: {
        buffer: memory,
        callback: (length) => {
          inflow.#came(length)
          return true
        },
      },
    })
    inflows.set(socket, inflow)
    return socket
  }

  /** Calls `take` with each piece, which is good during the call. */
  static begin(stream: Duplex, take: Take): void {
    const inflow = inflows.get(stream)
    if (inflow === undefined) {
      stream.on('data', take)
      return
    }
    inflow.#take = take
    for (const piece of inflow.#early.splice(0)) take(piece)
  }

  #came(length: number): void {
    const piece = memory!.subarray(0, length)
    if (this.#take === undefined) this.#early.push(Buffer.from(piece))
    else this.#take(piece)
  }
}
