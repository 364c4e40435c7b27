// Messages with their length before them over a socket of Node's, as one writes it by hand: what is sent in one turn of the event loop
// is corked and leaves together; what comes is cut without a copy, unless two pieces share a message.

import type { Socket } from 'node:net'

import { prefixBytes } from './socket.js'

/** As much as a channel keeps by default. */
const highWaterMark = 1024 * 1024

export class FramedSocket {
  readonly #socket: Socket
  readonly #uncork = () => {
    this.#isCorked = false
    this.#socket.uncork()
  }
  #isCorked = false

  constructor(socket: Socket) {
    this.#socket = socket
  }

  /** Returns a promise where it is to wait for. The message is the caller's again. */
  send(message: Uint8Array): Promise<void> | undefined {
    const socket = this.#socket
    const frame = Buffer.allocUnsafe(prefixBytes + message.length)
    frame.writeUInt32LE(message.length)
    frame.set(message, prefixBytes)
    if (!this.#isCorked) {
      this.#isCorked = true
      socket.cork()
      process.nextTick(this.#uncork)
    }
    socket.write(frame)
    return socket.writableLength < highWaterMark ? undefined : this.#drained()
  }

  #drained(): Promise<void> {
    return new Promise((resolve) => {
      this.#socket.once('drain', resolve)
    })
  }
}

/** For `data`: calls for each message, whose bytes are a view of the piece that they came in. */
export function framesOf(onMessage: (message: Buffer) => void): (piece: Buffer) => void {
  let rest: Buffer | undefined
  return (piece) => {
    const whole = rest === undefined ? piece : Buffer.concat([rest, piece])
    const { length } = whole
    let at = 0
    while (at + prefixBytes <= length) {
      const end = at + prefixBytes + whole.readUInt32LE(at)
      if (end > length) break
      onMessage(whole.subarray(at + prefixBytes, end))
      at = end
    }
    rest = at === length ? undefined : whole.subarray(at)
  }
}
