// What goes over a connection, byte by byte (little-endian):
//
//   u32 stream · u8 kind · the rest
//
//   open    c→s  u16 method · u8 flags · f64 milliseconds left (Infinity: for ever) · u32 items · u32 bytes that the client has
//                room for · 26 bytes of trace context (base/traced.ts), and the input, if the flags say so
//   input   c→s  the input, or the last piece of it, where it had no room in `open`
//   window  s→c  u32 items · u32 bytes that the server has room for: now the client may send its items
//   item    both an item, or the last piece of one
//   part    both a piece of an item, an input or a result, with more to come
//   credit  both u32 items · u32 bytes that were taken: there is room for so many again
//   end     both there will be no more items
//   result  s→c  the answer, or the last piece of it; it ends the stream
//   error   both an error; of a server it ends the stream
//   refused s→c  an error: the stream was not begun with
//   leaving s→c  of no stream (0): the server closes when the streams that there are have ended, and begins nothing more
//   cancel  c→s  nobody waits for the answer any more; s→c nobody takes the items any more

import { MillraceError } from '../../errors.js'

export const Kind = {
  open: 1,
  input: 2,
  window: 3,
  item: 4,
  part: 5,
  credit: 6,
  end: 7,
  result: 8,
  error: 9,
  cancel: 10,
  refused: 11,
  leaving: 12,
} as const

/** What goes before everything. */
export const headerBytes = 5
/** What goes before the input. */
export const openBytes = 19
/** Flags of `open`. */
export const hasInput = 1
/** Only to a server that is known to take it. */
export const hasTrace = 2
export const lastStream = 0xffff_ffff
/** Of a context. */
export const traceBytes = 26

/** So many streams of one side at most are in the middle of something that goes in pieces; others wait. */
export const mostInPieces = 4

/** How much a receiver has room for. */
export interface Window {
  readonly items: number
  readonly bytes: number
}

/** Both sides of a stream may break off; this is what the sender may do, and what the receiver accepts. */
export function mayBegin(window: Window, items: number, bytes: number, length: number): boolean {
  if (items >= window.items) return false
  // What was taken is told when it is half of the window: less than that may never be told, and must hold up nobody, however
  // long what they send.
  return bytes < window.bytes / 2 || bytes + length <= window.bytes
}

export function putHeader(frame: Uint8Array, stream: number, kind: number): void {
  frame[0] = stream
  frame[1] = stream >>> 8
  frame[2] = stream >>> 16
  frame[3] = stream >>> 24
  frame[4] = kind
}

export function frameOf(stream: number, kind: number, rest: Uint8Array): Uint8Array {
  const frame = Buffer.allocUnsafe(headerBytes + rest.length)
  putHeader(frame, stream, kind)
  frame.set(rest, headerBytes)
  return frame
}

const nothing = new Uint8Array(0)

export function signalOf(stream: number, kind: number): Uint8Array {
  return frameOf(stream, kind, nothing)
}

export function amountOf(stream: number, kind: number, { items, bytes }: Window): Uint8Array {
  const rest = new DataView(new ArrayBuffer(8))
  rest.setUint32(0, items, true)
  rest.setUint32(4, bytes, true)
  return frameOf(stream, kind, new Uint8Array(rest.buffer))
}

export function readAmount(rest: Uint8Array): Window {
  if (rest.length !== 8) throw liesError('sent an amount that is none')
  const view = viewOf(rest)
  return { items: view.getUint32(0, true), bytes: view.getUint32(4, true) }
}

/** What a client asks for. */
export interface Opening {
  readonly method: number
  /** Milliseconds until the client gives it up. */
  readonly left: number
  readonly window: Window
  /** The input, if it is there. */
  readonly input: Uint8Array | undefined
  /** The trace context that goes along. */
  readonly trace: Uint8Array | undefined
}

export function openingOf(stream: number, opening: Opening): Uint8Array {
  const { method, left, window, input = nothing, trace = nothing } = opening
  const rest = Buffer.alloc(openBytes + trace.length + input.length)
  const view = viewOf(rest)
  view.setUint16(0, method, true)
  const withInput = opening.input === undefined ? 0 : hasInput
  view.setUint8(2, withInput | (opening.trace === undefined ? 0 : hasTrace))
  view.setFloat64(3, left, true)
  view.setUint32(11, window.items, true)
  view.setUint32(15, window.bytes, true)
  rest.set(trace, openBytes)
  rest.set(input, openBytes + trace.length)
  return frameOf(stream, Kind.open, rest)
}

export function readOpening(rest: Uint8Array): Opening {
  if (rest.length < openBytes) throw liesError('opened a stream without saying which')
  const view = viewOf(rest)
  const flags = view.getUint8(2)
  const inputAt = openBytes + ((flags & hasTrace) === 0 ? 0 : traceBytes)
  if (rest.length < inputAt) throw liesError('opened a stream without the context that it has')
  const left = view.getFloat64(3, true)
  if (!(left >= 0)) throw liesError('opened a stream for a time that is none')
  return {
    method: view.getUint16(0, true),
    left,
    window: checkWindow({ items: view.getUint32(11, true), bytes: view.getUint32(15, true) }),
    trace: inputAt === openBytes ? undefined : rest.subarray(openBytes, inputAt),
    input: (flags & hasInput) === 0 ? undefined : rest.subarray(inputAt),
  }
}

/** A window through which nothing passes would hold up its sender for ever. */
export function checkWindow(window: Window): Window {
  if (window.items > 0 && window.bytes > 0) return window
  throw liesError('has room for nothing')
}

function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength)
}

/** The other side has sent what no side of this package sends; the connection ends by it. */
export function liesError(what: string): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_CORRUPT',
    `the other side of the connection ${what}: it is broken or hostile, and the connection has been closed`,
  )
}
