// What a handler throws, on its way to its caller.

import { MillraceError, type ErrorCode, errorCodes } from '../errors.js'

interface Told {
  readonly name?: string
  readonly message?: string
  readonly code?: string
}

export function encodeError(error: unknown): Uint8Array {
  const { name, message, code } =
    error instanceof Error
      ? (error as Error & { readonly code?: unknown })
      : { name: 'Error', message: String(error), code: undefined }
  return Buffer.from(JSON.stringify({ name, message, code }))
}

export function decodeError(bytes: Uint8Array): Error {
  const told = bytes.length === 0 ? {} : (JSON.parse(Buffer.from(bytes).toString()) as Told)
  const message = told.message ?? 'the handler failed, and there was no room for its reason'
  if (errorCodes.includes(told.code as ErrorCode)) {
    return new MillraceError(told.code as ErrorCode, message)
  }
  const error = new Error(message)
  return Object.assign(error, { name: told.name ?? 'Error', code: told.code })
}
