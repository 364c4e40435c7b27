// How what goes over a connection travels: facts as JSON, and bytes behind them, which are not looked at.
//
//   u32 bytes of the facts (little-endian) · the facts · the bytes

import type { Codec } from '../codec/types.js'
import { MillraceError } from '../errors.js'

/** Facts, and what they are about. */
export interface Headed<Facts = object> {
  readonly facts: Facts
  readonly bytes: Uint8Array
}

/** No bytes at all. */
export const nothing = new Uint8Array(0)

const lengthBytes = 4

/** The bytes that come out are a copy, with memory of their own. */
export const headed: Codec<Headed> = {
  name: 'millrace.headed',
  encode({ facts, bytes }) {
    const text = Buffer.from(JSON.stringify(facts))
    const whole = Buffer.allocUnsafe(lengthBytes + text.length + bytes.length)
    whole.writeUInt32LE(text.length, 0)
    whole.set(text, lengthBytes)
    whole.set(bytes, lengthBytes + text.length)
    return whole
  },
  decode(whole) {
    const { buffer, byteOffset, byteLength } = whole
    const given = Buffer.from(buffer, byteOffset, byteLength)
    if (given.length < lengthBytes) throw notHeaded()
    const length = given.readUInt32LE(0)
    if (length > given.length - lengthBytes) throw notHeaded()
    const facts = readFacts(given.toString('utf8', lengthBytes, lengthBytes + length))
    const rest = given.subarray(lengthBytes + length)
    const bytes = Buffer.allocUnsafeSlow(rest.length)
    bytes.set(rest)
    return { facts, bytes }
  },
}

function readFacts(text: string): object {
  let facts: unknown
  try {
    facts = JSON.parse(text)
  } catch (cause) {
    throw notHeaded(cause)
  }
  if (typeof facts !== 'object' || facts === null) throw notHeaded()
  return facts
}

function notHeaded(cause?: unknown): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_CORRUPT',
    'what came over the connection is not what millrace sends: see that both sides are of the same version',
    { cause },
  )
}
