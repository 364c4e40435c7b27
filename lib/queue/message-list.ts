// What batches are made of, and which of them was refused.

import { show } from '../base/options.js'
import { invalidArgument, MillraceError, type ErrorCode } from '../errors.js'

export function checkMessages(messages: readonly unknown[]): void {
  if (Array.isArray(messages)) return
  throw invalidArgument(`messages must be an array of messages, not ${show(messages)}`)
}

/** What a message is refused with for what it is. */
const refusals: readonly ErrorCode[] = [
  'ERR_MILLRACE_INVALID_ARGUMENT',
  'ERR_MILLRACE_SCHEMA',
  'ERR_MILLRACE_TOO_LARGE',
]

/** The error of a batch for that of one of its messages; errors that are none of millrace's, of a getter for instance, as they are. */
export function refusedAt(index: number, error: unknown): unknown {
  if (!(error instanceof MillraceError) || !refusals.includes(error.code)) return error
  return new MillraceError(error.code, `messages[${String(index)}]: ${error.message}`, {
    cause: error,
  })
}

/** @throws MillraceError as `toBytes`, with the place of the message */
export function eachAsBytes<Message>(
  messages: readonly Message[],
  toBytes: (message: Message) => Uint8Array,
): Uint8Array[] {
  return messages.map((message, index) => {
    try {
      return toBytes(message)
    } catch (error) {
      throw refusedAt(index, error)
    }
  })
}
