// What a message is on a channel, which has bytes alone. One without headers is its payload. One with headers is a text with the payload
// behind it, which others can read:
//
//   MILLRACE/1
//   millrace-published-at: 1790000000000
//   traceparent: 00-…
//
//   the payload
//
// Lines end with a line feed. A payload that looks like that itself goes in an envelope without headers.

import { MillraceError } from '../../errors.js'

const start = Buffer.from('MILLRACE/1\n')
const end = Buffer.from('\n\n')
/** When it was published: milliseconds since 1970. */
const publishedAt = 'millrace-published-at'

/** A message that came. */
export interface Opened {
  readonly bytes: Uint8Array
  readonly headers: Readonly<Record<string, string>> | undefined
  /** Undefined: it does not say. */
  readonly publishedAt: number | undefined
}

/** @throws MillraceError `INVALID_ARGUMENT` */
export function sealed(
  payload: Uint8Array,
  headers: Readonly<Record<string, string>> | undefined,
  time: number,
): Buffer {
  const bytes = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength)
  const entries = Object.entries(headers ?? {})
  if (entries.length === 0 && !bytes.subarray(0, start.length).equals(start)) return bytes
  const lines = [...entries, [publishedAt, String(time)] as const].map(lineOf)
  return Buffer.concat([start, Buffer.from(lines.join('\n')), end, bytes])
}

/** What is no envelope is the payload. */
export function opened(message: Buffer): Opened {
  const plain = { bytes: new Uint8Array(message), headers: undefined, publishedAt: undefined }
  if (!message.subarray(0, start.length).equals(start)) return plain
  const at = message.indexOf(end, start.length)
  if (at < 0) return plain
  const headers: Record<string, string> = {}
  let time: number | undefined
  for (const line of message.subarray(start.length, at).toString().split('\n')) {
    const found = /^([^:\s]+): (.*)$/.exec(line)
    if (found === null) return plain
    const [, name, value] = found as unknown as [string, string, string]
    if (name === publishedAt) time = Number(value)
    else headers[name] = value
  }
  return {
    bytes: new Uint8Array(message.subarray(at + end.length)),
    headers: Object.keys(headers).length === 0 ? undefined : headers,
    publishedAt: time !== undefined && time > 0 ? time : undefined,
  }
}

function lineOf([name, value]: readonly [string, string]): string {
  if (/^[!-9;-~]+$/.test(name) && !/[\r\n]/.test(value)) return `${name}: ${value}`
  throw new MillraceError(
    'ERR_MILLRACE_INVALID_ARGUMENT',
    `the header '${name}' cannot go over Redis: a name is of ASCII letters, digits and marks without colons and blanks, and a value is one line`,
    { executed: 'no' },
  )
}
