// What goes over a stream of bytes (little-endian):
//
//   hello   'MLRC' · u8 first and u8 last version that are spoken · u16 0 · u32 the longest message that is taken · u32 milliseconds of
//           silence after which the other side is taken for dead, 0: never · u32 what else it can: 1: it answers marks · u32 0
//   frame   u32: the kind in the upper 4 bits, the length in the lower 28 · so many bytes
//
//   message  a message
//   end      the sender sends no more messages: one that comes after it, or after `bye`, is damage
//   bye      the sender has closed: it takes no more messages either
//   ping     say that you live
//   pong     I live
//   mark     say when all that was sent before this has come; the length is a number of the sender's, and no bytes follow
//   reached  what was sent before the mark of that number has come, and before those before it
//
// Both sides send their hello at once. A length is judged before there is memory for it, and memory grows with what has come, so that
// a length alone costs nobody any.

import { MillraceError } from '../errors.js'

/** The kinds of frames. */
export const Kind = {
  message: 0,
  end: 1,
  bye: 2,
  ping: 3,
  pong: 4,
  mark: 5,
  reached: 6,
} as const

/** What both sides say of themselves. */
export interface Hello {
  /** The longest message that is taken, in bytes. */
  readonly maxBytes: number
  /** Milliseconds of silence after which the other side is taken for dead; 0: never. */
  readonly heartbeat: number
  /** Are marks answered? */
  readonly marks: boolean
}

export const helloBytes = 24
export const headerBytes = 4
/** The longest message that a header can tell. */
export const longestMessage = 2 ** 28 - 1
const version = 1
const answersMarks = 1
const magic = Buffer.from('MLRC')
/** What a message that is not whole has room for: so many times what came of it. */
const growth = 8
const leastRoom = 4096

export function helloOf({ maxBytes, heartbeat, marks }: Hello): Buffer {
  const bytes = Buffer.alloc(helloBytes)
  magic.copy(bytes)
  bytes[4] = bytes[5] = version
  bytes.writeUInt32LE(maxBytes, 8)
  bytes.writeUInt32LE(heartbeat, 12)
  bytes.writeUInt32LE(marks ? answersMarks : 0, 16)
  return bytes
}

/** @throws MillraceError `PROTOCOL` */
export function readHello(bytes: Buffer): Hello {
  if (!bytes.subarray(0, 4).equals(magic)) {
    throw protocolError('does not speak as millrace does: see what listens, or connects, there')
  }
  if (bytes[4]! > version || bytes[5]! < version) {
    throw protocolError(
      `speaks versions ${String(bytes[4])} to ${String(bytes[5])} of the protocol, and this side ${String(version)}: ` +
        'install the same version of millrace on both',
    )
  }
  const maxBytes = bytes.readUInt32LE(8)
  if (maxBytes > longestMessage)
    throw protocolError('has said that it takes longer messages than there are')
  const marks = (bytes.readUInt32LE(16) & answersMarks) !== 0
  return { maxBytes, heartbeat: bytes.readUInt32LE(12), marks }
}

export function headerOf(kind: number, length: number): number {
  return ((kind << 28) | length) >>> 0
}

/** `number`: of a mark. */
export function frameOf(kind: number, number = 0): Buffer {
  const frame = Buffer.allocUnsafe(headerBytes)
  frame.writeUInt32LE(headerOf(kind, number), 0)
  return frame
}

export function protocolError(what: string): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_PROTOCOL',
    `the other side ${what}; the connection has been closed`,
  )
}

/** Who hears what a decoder finds. */
export interface Sink {
  hello(hello: Hello): void
  /** Room for a message of that length, whose first bytes have come; undefined: the decoder makes some. */
  room(length: number): Uint8Array | undefined
  /** A message, in bytes that nobody else has. */
  message(bytes: Uint8Array): void
  /** A message that lies in a piece of the stream, which is good during the call. */
  within(piece: Buffer, at: number, end: number): void
  /** A message is whole in the room that was given for it. */
  filled(length: number): void
  /** `number`: of a mark, else 0. */
  signal(kind: number, number: number): void
}

/** Takes a stream apart, in whatever pieces it comes. */
export class Decoder {
  readonly #sink: Sink
  readonly #maxBytes: number
  readonly #head = Buffer.alloc(helloBytes)
  #headLength = 0
  #greeted = false
  /** The message that is coming. */
  #body: Uint8Array | undefined
  #length = 0
  #filled = 0
  #isGiven = false
  /** The other side has said that there are no more messages. */
  #ended = false
  /** Something was wrong: what comes after it is not looked at, in the same piece or in later ones. */
  #broken = false

  constructor(sink: Sink, maxBytes: number) {
    this.#sink = sink
    this.#maxBytes = maxBytes
  }

  /** Is something in the middle? */
  get isPartial(): boolean {
    return this.#body !== undefined || this.#headLength > 0
  }

  /** Bytes of memory for the message that is coming. */
  get held(): number {
    return this.#body === undefined || this.#isGiven ? 0 : this.#body.length
  }

  /** Nobody wants what comes, or what has come of a message that is not whole. */
  drop(): void {
    this.#broken = true
    this.#body = undefined
  }

  /** @throws MillraceError `PROTOCOL` (what came is nothing that this package sends) */
  push(chunk: Buffer): void {
    if (this.#broken) return
    this.#broken = true
    this.#take(chunk)
    this.#broken = false
  }

  #take(chunk: Buffer): void {
    let at = 0
    while (at < chunk.length) {
      if (this.#body !== undefined) at = this.#more(chunk, at)
      else if (!this.#greeted) at = this.#hello(chunk, at)
      else if (this.#headLength === 0 && chunk.length - at >= headerBytes) {
        const head = chunk.readUInt32LE(at)
        at = this.#frame(head, chunk, at + headerBytes)
      } else at = this.#gather(chunk, at)
    }
  }

  /** Whoever gave room for the message that is coming does not want it any more: from now on it comes to memory of ours. */
  leaveRoom(): void {
    if (this.#body === undefined || !this.#isGiven) return
    const own = Buffer.allocUnsafeSlow(this.#length)
    own.set(this.#body.subarray(0, this.#filled))
    this.#body = own
    this.#isGiven = false
  }

  #hello(chunk: Buffer, at: number): number {
    const end = Math.min(chunk.length, at + helloBytes - this.#headLength)
    chunk.copy(this.#head, this.#headLength, at, end)
    this.#headLength += end - at
    // What does not begin as a hello does is none, however slowly the rest comes.
    const known = Math.min(this.#headLength, magic.length)
    if (this.#head.compare(magic, 0, known, 0, known) !== 0) readHello(this.#head)
    if (this.#headLength === helloBytes) {
      this.#headLength = 0
      this.#greeted = true
      this.#sink.hello(readHello(this.#head))
    }
    return end
  }

  #gather(chunk: Buffer, at: number): number {
    const end = Math.min(chunk.length, at + headerBytes - this.#headLength)
    chunk.copy(this.#head, this.#headLength, at, end)
    this.#headLength += end - at
    if (this.#headLength < headerBytes) return end
    this.#headLength = 0
    return this.#frame(this.#head.readUInt32LE(0), chunk, end)
  }

  #frame(head: number, chunk: Buffer, at: number): number {
    const kind = head >>> 28
    const length = head & longestMessage
    if (kind !== Kind.message) {
      const isMark = kind === Kind.mark || kind === Kind.reached
      if (kind > Kind.reached || (length !== 0 && !isMark))
        throw protocolError('has sent a frame of a kind that there is not')
      if (kind === Kind.end || kind === Kind.bye) this.#ended = true
      this.#sink.signal(kind, length)
      return at
    }
    if (this.#ended)
      throw protocolError('has sent a message after it had said that there are no more')
    if (length > this.#maxBytes) {
      throw protocolError(
        `has sent a message of ${String(length)} bytes, and was told that this side takes ${String(this.#maxBytes)} (maxBytes)`,
      )
    }
    const end = at + length
    if (end <= chunk.length) {
      this.#sink.within(chunk, at, end)
      return end
    }
    const given = this.#sink.room(length)
    this.#isGiven = given !== undefined
    this.#body = given ?? Buffer.allocUnsafeSlow(roomFor(length, chunk.length - at))
    this.#length = length
    this.#filled = 0
    return this.#more(chunk, at)
  }

  #more(chunk: Buffer, at: number): number {
    const end = Math.min(chunk.length, at + this.#length - this.#filled)
    const piece = chunk.subarray(at, end)
    let body = this.#body!
    const needed = this.#filled + piece.length
    if (needed > body.length) {
      const larger = Buffer.allocUnsafeSlow(roomFor(this.#length, needed))
      larger.set(body.subarray(0, this.#filled))
      this.#body = body = larger
    }
    body.set(piece, this.#filled)
    this.#filled = needed
    if (needed === this.#length) {
      this.#body = undefined
      if (this.#isGiven) this.#sink.filled(needed)
      else this.#sink.message(body.length === needed ? body : body.subarray(0, needed))
    }
    return end
  }
}

/** For a message of that length, of which so much has come. */
function roomFor(length: number, came: number): number {
  return Math.min(length, Math.max(came * growth, leastRoom))
}
