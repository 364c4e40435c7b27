// The sending half of a connection, which its streams share. Who has something to send stands in line, with one frame at a time:
// a stream with much to send gets as many turns as one with little. What keeps others going (credit, cancel, ends of streams) goes
// first, and is little.

import type { Codec } from '../../codec/types.js'
import { MillraceError } from '../../errors.js'
import type { FrameChannel } from './channel.js'
import { frameOf, headerBytes, Kind, liesError, mostInPieces, putHeader } from './frames.js'

/** Where values are encoded that are sent at once. */
const scratchBytes = 16_384
/** So many small frames wait at most for a side that sends and does not read. */
const mostUrgent = 65_536

interface Waiting {
  readonly frame: Uint8Array
  readonly sent: () => void
  readonly failed: (error: unknown) => void
}

/** Somebody who stops sending in the middle: nobody wants it any more. */
export interface Sender {
  readonly stopped: boolean
}

export class Link {
  readonly #channel: FrameChannel
  readonly #over: (error: Error) => void
  readonly #urgent: Uint8Array[] = []
  readonly #line: Waiting[] = []
  readonly #scratch: Buffer
  readonly #most: number
  #running = false
  #inUse = false
  #failure: Error | undefined
  #inPieces = 0
  readonly #forPieces: (() => void)[] = []

  /** `over`: the channel can send nothing any more. */
  constructor(channel: FrameChannel, over: (error: Error) => void) {
    this.#channel = channel
    this.#over = over
    this.#most = channel.maxFrame - headerBytes
    this.#scratch = Buffer.allocUnsafeSlow(Math.min(scratchBytes, channel.maxFrame))
  }

  /** The longest rest of a frame. */
  get longest(): number {
    return this.#most
  }

  /** The bytes of a value: those that are returned are good until the next call. Throws what the codec throws. */
  encode(codec: Codec, value: unknown): Uint8Array {
    // A value can have code of its own, which sends something itself.
    if (this.#inUse || codec.encodeInto === undefined) return codec.encode(value)
    this.#inUse = true
    try {
      const room = this.#scratch.subarray(headerBytes)
      const length = codec.encodeInto(value, room)
      return length === undefined ? codec.encode(value) : room.subarray(0, length)
    } finally {
      this.#inUse = false
    }
  }

  /** Sends a frame before those of values. */
  urgent(frame: Uint8Array): void {
    if (this.#failure !== undefined) return
    if (!this.#running && this.#trySend(frame)) return
    if (this.#urgent.length >= mostUrgent) {
      this.fail(liesError('sends, and reads nothing'))
      return
    }
    this.#urgent.push(frame)
    this.#run()
  }

  /** Sends a value, in pieces if it is long. Rejects if nothing can be sent any more. `undefined`: it is sent. */
  value(
    stream: number,
    kind: number,
    bytes: Uint8Array,
    sender: Sender,
  ): Promise<void> | undefined {
    if (bytes.length > this.#most) return this.#pieces(stream, kind, bytes, sender)
    if (bytes.buffer === this.#scratch.buffer) {
      // It lies where a header has room before it.
      const frame = this.#scratch.subarray(0, headerBytes + bytes.length)
      putHeader(frame, stream, kind)
      if (!this.#running && this.#failure === undefined && this.#trySend(frame)) return undefined
      return this.#stand(Buffer.from(frame))
    }
    const frame = frameOf(stream, kind, bytes)
    if (!this.#running && this.#failure === undefined && this.#trySend(frame)) return undefined
    return this.#stand(frame)
  }

  /** Nothing is sent any more. */
  fail(error: Error): void {
    if (this.#failure !== undefined) return
    this.#failure = error
    this.#urgent.length = 0
    for (const { failed } of this.#line.splice(0)) failed(this.#failure)
    for (const go of this.#forPieces.splice(0)) go()
    this.#over(this.#failure)
  }

  /** Long ones have a few places among themselves, so that what the other side puts together is bounded. */
  async #pieces(stream: number, kind: number, bytes: Uint8Array, sender: Sender): Promise<void> {
    const own = Buffer.from(bytes) // a copy: they are somebody's, and this takes a while
    while (this.#inPieces >= mostInPieces && this.#failure === undefined) {
      await new Promise<void>((go) => this.#forPieces.push(go))
    }
    this.#inPieces++
    try {
      let at = 0
      for (; at + this.#most < own.length; at += this.#most) {
        if (sender.stopped) return
        await this.#stand(frameOf(stream, Kind.part, own.subarray(at, at + this.#most)))
      }
      if (!sender.stopped) await this.#stand(frameOf(stream, kind, own.subarray(at)))
    } finally {
      this.#inPieces--
      this.#forPieces.shift()?.()
    }
  }

  #stand(frame: Uint8Array): Promise<void> {
    if (this.#failure !== undefined) {
      return Promise.reject(this.#failure)
    }
    return new Promise((sent, failed) => {
      this.#line.push({ frame, sent, failed })
      this.#run()
    })
  }

  #trySend(frame: Uint8Array): boolean {
    try {
      return this.#channel.trySend(frame)
    } catch (error) {
      this.fail(error as Error)
      return true // nobody waits for it
    }
  }

  #run(): void {
    if (this.#running) return
    this.#running = true
    void this.#sendAll()
  }

  async #sendAll(): Promise<void> {
    try {
      for (;;) {
        const urgent = this.#urgent.shift()
        const waiting = urgent === undefined ? this.#line.shift() : undefined
        const frame = urgent ?? waiting?.frame
        if (frame === undefined) break
        try {
          if (!this.#channel.trySend(frame)) await this.#channel.send(frame)
        } catch (error) {
          waiting?.failed(error)
          throw error
        }
        waiting?.sent()
      }
      this.#running = false
    } catch (error) {
      this.#running = false
      this.fail(error as Error)
    }
  }
}

/** What there is no end of would fill the other side's memory. */
export function tooLongError(what: string, length: number, most: number): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_TOO_LARGE',
    `${what} has ${String(length)} bytes, and the connection takes at most ${String(most)}: send it in parts, or open both sides ` +
      'with a larger maxBytes',
  )
}
