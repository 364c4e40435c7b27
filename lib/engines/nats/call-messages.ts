// What calls say in the headers of their messages.

import { callOf } from '../call.js'
import type { EngineCall } from '../port.js'
import type { NatsMessage } from './library.js'

export const names = {
  contract: 'Millrace-Contract',
  left: 'Millrace-Timeout',
  call: 'Millrace-Call',
  status: 'Millrace-Status',
  // Of calls of many values.
  room: 'Millrace-Room',
  to: 'Millrace-To',
  count: 'Millrace-Count',
  // As the services of NATS say it.
  error: 'Nats-Service-Error',
  code: 'Nats-Service-Error-Code',
} as const

/** Names and values of headers. */
export type Entries = readonly (readonly [string, string])[]

/** Undefined: it has no such header. */
export function textIn({ headers }: NatsMessage, name: string): string | undefined {
  const value = headers?.get(name) ?? ''
  return value === '' ? undefined : value
}

export function countIn(message: NatsMessage): number {
  return Number(textIn(message, names.count) ?? 0)
}

/** What the services of others say of an error, as ours say it; undefined: it is none. */
export function foreignError(message: NatsMessage): Uint8Array | undefined {
  const code = textIn(message, names.code)
  if (code === undefined) return undefined
  return Buffer.from(JSON.stringify({ message: textIn(message, names.error) ?? '', code }))
}

export function errorEntries(refused: boolean): Entries {
  return [
    [names.status, refused ? 'refused' : 'error'],
    [names.error, 'see the body'],
    [names.code, refused ? '503' : '500'],
  ]
}

/** What there is of every call. */
export function callIn(
  method: string,
  message: NatsMessage,
  input: Uint8Array,
  signal: AbortSignal,
  ends: Pick<EngineCall, 'result' | 'error'>,
): EngineCall {
  const said = {
    ...{ method, input, signal },
    fingerprint: textIn(message, names.contract),
    left: Number(textIn(message, names.left) ?? Infinity),
    traceparent: textIn(message, 'traceparent'),
  }
  return callOf(said, ends)
}
