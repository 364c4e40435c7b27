// The bytes that users hand over: any view of them, an ArrayBuffer, text; and what cannot be one.

import { invalidArgument } from '../errors.js'
import { show } from './options.js'

/** What can be sent or written: bytes in any container, or a string (as UTF-8). */
export type ByteSource = ArrayBufferView | ArrayBuffer | string

/**
 * As bytes, without copying what is bytes already.
 *
 * @throws MillraceError `INVALID_ARGUMENT` (anything else; a view whose memory was transferred or cut off)
 */
export function bytesOf(source: ByteSource, what: string): Uint8Array {
  if (source instanceof Uint8Array) {
    if (source.length === 0) checkAlive(source, what)
    return source
  }
  if (typeof source === 'string') return Buffer.from(source)
  if (ArrayBuffer.isView(source)) {
    checkAlive(source, what)
    return new Uint8Array(source.buffer, source.byteOffset, source.byteLength)
  }
  if (isArrayBuffer(source)) return viewOf(source, what)
  throw invalidArgument(
    `${what} must be a string, a Buffer, a typed array, a DataView or an ArrayBuffer, not ${show(source)}`,
  )
}

/**
 * As bytes to be written to.
 *
 * @throws MillraceError `INVALID_ARGUMENT`
 */
export function targetOf(target: ArrayBufferView): Uint8Array {
  if (target instanceof Uint8Array) {
    if (target.length === 0) checkAlive(target, 'the target')
    return target
  }
  checkView(target, 'the target')
  return new Uint8Array(target.buffer, target.byteOffset, target.byteLength)
}

/** Is it a view, and of memory that is there? */
export function checkView(view: unknown, what: string): asserts view is ArrayBufferView {
  if (!ArrayBuffer.isView(view)) {
    throw invalidArgument(
      `${what} must be a Buffer, a typed array or a DataView, not ${show(view)}`,
    )
  }
  checkAlive(view, what)
}

/** A view is dead when its buffer was transferred, or has become too short for it. */
function checkAlive(view: ArrayBufferView, what: string): void {
  try {
    if (view.byteLength > 0) return // of a dead DataView this throws
    if (!('getInt8' in view)) (view as Uint8Array).keys() // of others, this
    new Uint8Array(view.buffer, 0, 0) // and this, where an optimiser has left that out
  } catch (cause) {
    throw goneError(what, cause)
  }
}

function viewOf(buffer: ArrayBuffer, what: string): Uint8Array {
  try {
    return new Uint8Array(buffer)
  } catch (cause) {
    throw goneError(what, cause)
  }
}

export function goneError(what: string, cause: unknown): Error {
  return invalidArgument(
    `${what} is a view of memory that is gone: its ArrayBuffer was transferred or shrunk; make a new view`,
    cause,
  )
}

/** Of another realm, too. */
function isArrayBuffer(value: unknown): value is ArrayBuffer {
  return Object.prototype.toString.call(value) === '[object ArrayBuffer]'
}
