// The side of a FIFO that writes, as a stream. Packets are written at once as long as there is room. With none the event loop tells when there is
// some (Node), or it is looked for (other runtimes). Nobody is ever blocked: the descriptor is O_NONBLOCK.

import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'

import { runsOnNode } from '../../addon/runtime.js'
import { startTimer, startTurn, stopTimer, type Timer } from '../../base/time.js'
import { outward, type Done } from '../one-way.js'
import { fs } from '../transports/files.js'
import { net } from '../transports/sockets.js'
import { Flag, headBytes, mostPayload, packetBytes, writeHead } from './packets.js'

/** So many packets, and then others of this thread have their turn. */
const mostAtATime = 64
/** Where nobody tells that there is room. */
const napMs = 2

export class PipeWriter {
  readonly stream: Duplex
  readonly #fd: number
  readonly #socket: Socket | undefined
  readonly #writer: number
  readonly #packet = Buffer.alloc(packetBytes)
  #flags: number = Flag.first
  #timer: Timer | undefined

  /** The descriptor is its own from now on. */
  constructor(fd: number) {
    this.stream = outward(
      (chunks, done) => {
        this.#write(chunks, done)
      },
      (done) => {
        this.#final(done)
      },
      (done) => {
        this.#destroy(done)
      },
    )
    this.#fd = fd
    this.#writer = process.getBuiltinModule('node:crypto').randomInt(1, 2 ** 32)
    if (!runsOnNode) return
    const socket = new (net().Socket)({ fd, readable: false, writable: true })
    this.#socket = socket
    socket.unref()
    socket.on('error', (error) => this.stream.destroy(error))
  }

  /** What says that there is no more: who does not get it takes the end for a death. */
  #final(done: Done): void {
    writeHead(this.#packet, 0, this.#flags | Flag.last, this.#writer)
    if (this.#writePacket(headBytes, done)) done()
  }

  #destroy(done: () => void): void {
    stopTimer(this.#timer)
    if (this.#socket === undefined) {
      fs().closeSync(this.#fd)
      done()
      return
    }
    this.#socket.once('close', done)
    this.#socket.destroy()
  }

  #write(chunks: readonly Buffer[], done: Done): void {
    let index = 0
    let at = 0
    /** As much as one packet takes. */
    const fill = (): number => {
      let used = 0
      while (index < chunks.length && used < mostPayload) {
        const chunk = chunks[index]!
        const end = Math.min(chunk.length, at + mostPayload - used)
        used += chunk.copy(this.#packet, headBytes + used, at, end)
        at = end
        if (at < chunk.length) break
        index++
        at = 0
      }
      return used
    }
    const goOn = (error?: Error | null): void => {
      if (error) done(error)
      else if (!this.stream.destroyed) step()
    }
    const step = (): void => {
      for (let count = 0; index < chunks.length; count++) {
        if (count === mostAtATime) {
          startTurn(goOn)
          return
        }
        const used = fill()
        writeHead(this.#packet, used, this.#flags, this.#writer)
        this.#flags = 0
        if (!this.#writePacket(headBytes + used, goOn)) return
      }
      done()
    }
    step()
  }

  /** True: it is written. False: `then` is called when it is, or with why it cannot be. */
  #writePacket(length: number, then: Done): boolean {
    try {
      fs().writeSync(this.#fd, this.#packet, 0, length)
      return true
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EAGAIN') this.#writeLater(length, then)
      else {
        startTurn(() => {
          then(error as Error)
        })
      }
      return false
    }
  }

  #writeLater(length: number, then: Done): void {
    if (this.#socket !== undefined) {
      this.#socket.write(this.#packet.subarray(0, length), (error) => {
        if (!error) then()
        else if (!this.stream.destroyed) then(error)
      })
      return
    }
    this.#timer = startTimer(napMs, () => {
      if (!this.stream.destroyed && this.#writePacket(length, then)) then()
    })
  }
}
