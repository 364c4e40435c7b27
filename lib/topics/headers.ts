// Small texts that go with a message: `traceparent` and the like. Of each, one behind the other: the bytes of its name (one),
// those of its value (two), and both in UTF-8. One without a name is the context of a trace (base/traced.ts), as whoever looks on has put it
// there: it is shown as `traceparent`.

import { show } from '../base/options.js'
import { traced } from '../base/tracing.js'
import { invalidArgument } from '../errors.js'

/** Short texts by their names, in the order in which they were given. */
export type Headers = Readonly<Record<string, string>>

/** What takes their place where they are given: an object, or pairs, as of a `Map`, the `Headers` of `fetch`, or an array. */
export type GivenHeaders =
  Readonly<Record<string, string | undefined>> | Iterable<readonly [name: string, value: string]>

/** Of all headers of a message, with three bytes for each. */
export const mostHeaderBytes = 1024
const longestName = 255

export const noHeaders = new Uint8Array(0)

/** @throws MillraceError `INVALID_ARGUMENT` */
export function encodeHeaders(headers: GivenHeaders | undefined): Uint8Array {
  if (headers === undefined) return noHeaders
  const parts: Buffer[] = []
  for (const [name, value] of pairsOf(headers)) {
    // As elsewhere: an option that is undefined was not given.
    if (value === undefined) continue
    if (typeof value !== 'string') {
      throw invalidArgument(`headers.${name} must be text, not ${show(value)}`)
    }
    const key = Buffer.from(name)
    if (key.length === 0 || key.length > longestName) {
      throw invalidArgument(
        `the name of a header has 1 to ${String(longestName)} bytes of UTF-8; not ${show(name)}`,
      )
    }
    const text = Buffer.from(value)
    parts.push(Buffer.from([key.length, text.length & 0xff, text.length >>> 8]), key, text)
  }
  const length = parts.reduce((sum, part) => sum + part.length, 0)
  if (length > mostHeaderBytes) {
    throw invalidArgument(
      `headers take up at most ${String(mostHeaderBytes)} bytes of UTF-8, and 3 for each; these take ${String(length)}: ` +
        'put what is larger into the payload',
    )
  }
  return Buffer.concat(parts, length)
}

/** With a context behind them; as they are, where there is no room for it. */
export function withTrace(headers: Uint8Array, trace: Uint8Array): Uint8Array {
  if (headers.length + 3 + trace.length > mostHeaderBytes) return headers
  return Buffer.concat([headers, Buffer.from([0, trace.length, 0]), trace])
}

/**
 * What was given as an object, for what takes nothing else.
 *
 * @throws MillraceError `INVALID_ARGUMENT`
 */
export function plainHeaders(headers: GivenHeaders | undefined): Headers | undefined {
  // Of a source that can be read once this is the only reading.
  return headers === undefined ? undefined : decodeHeaders(encodeHeaders(headers))
}

/**
 * Names and values, which were not looked at. What has neither pairs nor properties of its own (a class that keeps them elsewhere)
 * must not be taken for none.
 */
function pairsOf(headers: unknown): Iterable<readonly [name: string, value: unknown]> {
  if (typeof headers === 'object' && headers !== null) {
    if (Symbol.iterator in headers) return pairsIn(headers as Iterable<unknown>)
    if (isPlain(headers)) return Object.entries(headers)
  }
  throw invalidArgument(
    `headers must be an object of texts, or pairs as of a Map, not ${show(headers)}`,
  )
}

function* pairsIn(headers: Iterable<unknown>): Generator<readonly [name: string, value: unknown]> {
  const seen = new Set<string>()
  for (const pair of headers) {
    if (!Array.isArray(pair) || pair.length !== 2 || typeof pair[0] !== 'string') {
      throw invalidArgument(
        `headers must be an object of texts, or pairs as of a Map; ${show(pair)} is no pair of a name and a text`,
      )
    }
    const [name, value] = pair as [string, unknown]
    if (seen.has(name)) {
      throw invalidArgument(`each header has a name of its own; there are two of ${show(name)}`)
    }
    seen.add(name)
    yield [name, value]
  }
}

/** Of this or another realm, or without a prototype. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return (
    prototype === null || Object.getPrototypeOf(prototype) === null || Object.keys(value).length > 0
  )
}

/** Undefined: a publisher that lies has written something else. */
export function decodeHeaders(bytes: Uint8Array): Headers | undefined {
  const headers: Record<string, string> = {}
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  let at = 0
  while (at < text.length) {
    if (at + 3 > text.length) return undefined
    const nameAt = at + 3
    const valueAt = nameAt + text[at]!
    const end = valueAt + (text[at + 1]! | (text[at + 2]! << 8))
    if (end > text.length) return undefined
    if (valueAt === nameAt) {
      const traceparent = traced().unpackTrace(text.subarray(valueAt, end))
      if (traceparent !== undefined) headers['traceparent'] ??= traceparent
      at = end
      continue
    }
    const name = text.toString('utf8', nameAt, valueAt)
    // A header of that name is one of many, and no prototype.
    Object.defineProperty(headers, name, {
      value: text.toString('utf8', valueAt, end),
      enumerable: true,
      writable: true,
      configurable: true,
    })
    at = end
  }
  return headers
}
