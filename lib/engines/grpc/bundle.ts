// Many calls of one value in one message of gRPC, between two gateways: a stream that both sides keep open, at a path of its own.
//
//   a call:     number u32 · 0 u8 · length of the trace u8 · length of the method u16 · milliseconds u32 · length of the input u32 ·
//               method · trace · input
//   its end:    number u32 · 1 u8 · 0 u8 · 0 u16 · 0 u32 · 0 u32           nobody waits for the answer any more
//   an answer:  number u32 · 0 result, 1 error, 2 refused, 3 too long u8 · 0 u8 · 0 u16 · 0 u32 · length u32 · bytes
//   the first:  bytes u32 · 4 u8 · 0 u8 · 0 u16 · 0 u32 · 0 u32            a server takes calls so, in messages of so many bytes
//
// Numbers are little-endian. A message is any number of those. Milliseconds of 2^32 - 1 are no limit. What is too long for its caller is
// its length alone, as text.

import { afterAllElse } from '../../base/time.js'

/** Where a server takes them. */
export const bundledPath = '/millrace.Bundled/Calls'

/** Metadata of such a stream: what is called, and how long a message may be that comes back. */
export const bundledNames = { service: 'millrace-service', most: 'millrace-max-bytes' } as const

/** Bytes of a message, if there are several in it, and the other side takes as many; and of an input that goes so: longer ones hold up the others. */
export const bundleBytes = 65_536
export const mostBundled = 32_768
/** Calls of a stream without an answer, as its caller has them; and as its server does, which hears later that an answer has gone. */
export const mostCalls = 1024
export const mostTaken = 2 * mostCalls

export const Kind = { call: 0, end: 1 } as const
export const Answer = { result: 0, error: 1, refused: 2, tooLong: 3, taken: 4 } as const

const headBytes = 16
const noLimit = 0xffff_ffff
const nothing = Buffer.alloc(0)

/** A call, its end, or an answer. */
export interface Part {
  readonly number: number
  /** One of `Kind`, or of `Answer`. */
  readonly kind: number
  readonly method: string
  readonly trace: string
  /** Milliseconds; Infinity: no limit. */
  readonly left: number
  readonly bytes: Uint8Array
}

/** As many of them, from the front, as go in one message of so many bytes: at least one. Names are of one byte for each sign. */
export function bundled(
  parts: readonly Part[],
  most: number,
): { readonly count: number; readonly message: Buffer } {
  let count = 0
  let length = 0
  for (; count < parts.length; count++) {
    const next = lengthOf(parts[count]!)
    if (count > 0 && length + next > most) break
    length += next
  }
  const message = Buffer.allocUnsafe(length)
  let at = 0
  for (let i = 0; i < count; i++) at = write(message, at, parts[i]!)
  return { count, message }
}

/** Bytes that a call takes of a message, beside its input, at the most: names have up to 255 each. */
export const mostBeside = headBytes + 2 * 255

function lengthOf({ method, trace, bytes }: Part): number {
  return headBytes + method.length + trace.length + bytes.length
}

function write(message: Buffer, start: number, part: Part): number {
  const { number, kind, method, trace, left, bytes } = part
  message.writeUInt32LE(number, start)
  message[start + 4] = kind
  message[start + 5] = trace.length
  message.writeUInt16LE(method.length, start + 6)
  message.writeUInt32LE(Math.min(Math.ceil(left), noLimit), start + 8)
  message.writeUInt32LE(bytes.length, start + 12)
  let at = start + headBytes
  if (method.length > 0) at += message.write(method, at, 'latin1')
  if (trace.length > 0) at += message.write(trace, at, 'latin1')
  message.set(bytes, at)
  return at + bytes.length
}

/** What is in a message; the bytes lie in it. Throws if it is none of these. */
export function* unbundled(message: Buffer): Generator<Part, void> {
  for (let at = 0; at < message.length;) {
    if (at + headBytes > message.length) throw cutOff()
    const traceLength = message[at + 5]!
    const methodLength = message.readUInt16LE(at + 6)
    const left = message.readUInt32LE(at + 8)
    const length = message.readUInt32LE(at + 12)
    const method = at + headBytes
    const trace = method + methodLength
    const bytes = trace + traceLength
    const end = bytes + length
    if (end > message.length) throw cutOff()
    yield {
      number: message.readUInt32LE(at),
      kind: message[at + 4]!,
      method: methodLength === 0 ? '' : message.toString('latin1', method, trace),
      trace: traceLength === 0 ? '' : message.toString('latin1', trace, bytes),
      left: left === noLimit ? Infinity : left,
      bytes: length === 0 ? nothing : message.subarray(bytes, end),
    }
    at = end
  }
}

function cutOff(): RangeError {
  return new RangeError('a message of many calls is cut off')
}

/** What is to go, in its order: whatever gathers in one turn, or while a message is on its way. */
export class Bundler {
  readonly #most: number
  readonly #send: (message: Buffer, sent: () => void) => void
  #parts: Part[] = []
  #isDue = false
  #isSending = false

  /** `most`: bytes of a message that the other side takes. `send` calls `sent` when the next message may follow. */
  constructor(most: number, send: (message: Buffer, sent: () => void) => void) {
    this.#most = Math.min(most, bundleBytes)
    this.#send = send
  }

  add(part: Part): void {
    this.#parts.push(part)
    if (this.#isDue || this.#isSending) return
    this.#isDue = true
    afterAllElse(this.#soon)
  }

  /** What has not gone goes now. */
  finish(): void {
    while (this.#parts.length > 0) this.#next()
  }

  /** What has not gone, and does not go from here any more. */
  rest(): readonly Part[] {
    const parts = this.#parts
    this.#parts = []
    return parts
  }

  readonly #soon = (): void => {
    this.#isDue = false
    if (!this.#isSending && this.#parts.length > 0) this.#next()
  }

  #next(): void {
    const { count, message } = bundled(this.#parts, this.#most)
    this.#parts = count === this.#parts.length ? [] : this.#parts.slice(count)
    this.#isSending = true
    this.#send(message, this.#sent)
  }

  readonly #sent = (): void => {
    this.#isSending = false
    if (this.#parts.length > 0) this.#next()
  }
}
