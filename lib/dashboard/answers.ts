// What is answered, and what is not.

import type { ServerResponse } from 'node:http'

import { MillraceError } from '../errors.js'
import { jsonText, plainText } from '../telemetry/pages.js'
import { headers } from './doors.js'

export interface Answer {
  readonly status: number
  readonly type: string
  readonly body: string | Uint8Array
  readonly headers?: Readonly<Record<string, string>>
}

export const text = (status: number, line: string): Answer => ({
  status,
  type: plainText,
  body: `${line}\n`,
})

export const json = (body: unknown): Answer => ({
  status: 200,
  type: jsonText,
  body: JSON.stringify(body),
})

/** Nothing new. */
export const nothing: Answer = { status: 204, type: plainText, body: '' }

export function send(response: ServerResponse, answer: Answer, withBody = true): void {
  response.writeHead(answer.status, {
    ...headers,
    ...answer.headers,
    'Content-Type': answer.type,
    'Content-Length': Buffer.byteLength(answer.body),
  })
  response.end(withBody ? answer.body : undefined)
}

/** What went wrong, for the person before the page. */
export function failed(error: unknown): Answer {
  if (!(error instanceof MillraceError)) return text(500, String(error))
  const status = error.code === 'ERR_MILLRACE_INVALID_ARGUMENT' ? 400 : 409
  return text(status, error.message)
}
