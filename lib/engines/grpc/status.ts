// How a call ends: what a handler throws as a status of gRPC, and what a status says as an error of this package.
//
// Our own errors go whole, as JSON, in the trailing metadata `millrace-error-bin`; `millrace-status` says `error`, or `refused` where
// nothing was begun. Everybody else reads the code and the message.

import { MillraceError, type ErrorCode, type Executed } from '../../errors.js'
import { grpcLibrary, Status, type GrpcMetadata, type GrpcStatus } from './library.js'

/** Names of metadata. */
export const names = {
  contract: 'millrace-contract',
  status: 'millrace-status',
  error: 'millrace-error-bin',
} as const

const codes: Readonly<Partial<Record<ErrorCode, number>>> = {
  ERR_MILLRACE_ABORTED: Status.cancelled,
  ERR_MILLRACE_INVALID_ARGUMENT: Status.invalidArgument,
  ERR_MILLRACE_TIMEOUT: Status.deadlineExceeded,
  ERR_MILLRACE_PERMISSION: Status.permissionDenied,
  ERR_MILLRACE_BUSY: Status.resourceExhausted,
  ERR_MILLRACE_TOO_LARGE: Status.resourceExhausted,
  ERR_MILLRACE_NO_SPACE: Status.resourceExhausted,
  ERR_MILLRACE_SCHEMA: Status.failedPrecondition,
  ERR_MILLRACE_UNSUPPORTED: Status.unimplemented,
  ERR_MILLRACE_NO_RESPONDER: Status.unavailable,
}

/**
 * Bytes of an error that go in metadata, to who has a contract and to others: the libraries of other languages take 8 KiB of all metadata
 * together unless they are told otherwise, and Node 64 KiB.
 */
const mostToOwn = 32_768
const mostToOthers = 3072
/** Bytes of the message beside it. */
const mostDetails = 512

interface Said {
  readonly message: string
  readonly code?: string | number
  readonly data?: unknown
  readonly cause?: unknown
}

/** `own`: who called has a contract. */
export function statusOf(bytes: Uint8Array, refused: boolean, own: boolean): GrpcStatus {
  const said = JSON.parse(Buffer.from(bytes).toString()) as Said
  const { code, message } = said
  const metadata = new (grpcLibrary().Metadata)()
  metadata.set(names.status, refused ? 'refused' : 'error')
  metadata.set(names.error, fitted(said, bytes, own ? mostToOwn : mostToOthers))
  const isStatus = typeof code === 'number' && Number.isInteger(code) && code > 0 && code <= 16
  return {
    code: isStatus ? code : (codes[code as ErrorCode] ?? Status.unknown),
    details: message.slice(0, mostDetails),
    metadata,
  }
}

/** What there is room for: causes go first, then what the error carries, then the end of its message. */
function fitted(said: Said, bytes: Uint8Array, most: number): Buffer {
  if (bytes.length <= most) return Buffer.from(bytes)
  const { cause: _cause, ...rest } = said
  const { data: _data, ...bare } = rest
  const short = { ...bare, message: bare.message.slice(0, mostDetails) }
  for (const one of [rest, bare]) {
    const text = Buffer.from(JSON.stringify(one))
    if (text.length <= most) return text
  }
  return Buffer.from(JSON.stringify(short))
}

/** An error as it goes to who has a contract, as far as there is room. */
export function fittedError(bytes: Uint8Array): Uint8Array {
  if (bytes.length <= mostToOwn) return bytes
  return fitted(JSON.parse(Buffer.from(bytes).toString()) as Said, bytes, mostToOwn)
}

/** That nothing was begun, as an error of this package. */
export function refusalAs(message: string): Buffer {
  const code = 'ERR_MILLRACE_NO_RESPONDER'
  const name = 'MillraceError'
  return Buffer.from(JSON.stringify({ name, own: true, code, message, executed: 'no' }))
}

/** How a call has ended at its caller. */
export type Ending =
  { readonly kind: 'end' | 'error' | 'refused'; readonly bytes: Uint8Array } | MillraceError

const nothing = new Uint8Array(0)

/** `what`: for messages. `sent`: may the server have begun? */
export function endingOf(
  { code, details, metadata }: GrpcStatus,
  what: string,
  shown: string,
  sent: boolean,
): Ending {
  if (code === Status.ok) return { kind: 'end', bytes: nothing }
  const own = errorOf(metadata)
  if (own !== undefined) return own
  const unknown: Executed = sent ? 'unknown' : 'no'
  const failed = (name: ErrorCode, message: string, executed: Executed): MillraceError =>
    new MillraceError(name, `${what} at '${shown}' ${message}`, { executed })
  switch (code) {
    case Status.unimplemented:
      return failed(
        'ERR_MILLRACE_NO_RESPONDER',
        `is served by nobody (${details}): start a server there, or connect with waitForServer to wait for one`,
        'no',
      )
    case Status.unavailable:
      return /^(?:No connection established|Stream refused)/.test(details)
        ? failed('ERR_MILLRACE_NO_RESPONDER', `could not be sent: ${details}`, 'no')
        : failed(
            'ERR_MILLRACE_PEER_GONE',
            `was not answered: the connection has ended, or the server has closed (${details})`,
            unknown,
          )
    case Status.resourceExhausted:
      return details.includes('larger than')
        ? failed(
            'ERR_MILLRACE_TOO_LARGE',
            `has a value that is longer than the other side takes (${details}): send it in parts, or open both sides with a larger maxBytes`,
            unknown,
          )
        : failed('ERR_MILLRACE_BUSY', `was refused: ${details}`, unknown)
    case Status.deadlineExceeded:
      return failed('ERR_MILLRACE_TIMEOUT', `was not answered in time: ${details}`, unknown)
    case Status.cancelled:
      return failed('ERR_MILLRACE_ABORTED', `was cancelled: ${details}`, unknown)
    case Status.permissionDenied:
    case Status.unauthenticated:
      return failed('ERR_MILLRACE_PERMISSION', `was refused: ${details}`, 'no')
    default:
      // As a handler of somebody else's says it.
      return {
        kind: 'error',
        bytes: Buffer.from(JSON.stringify({ message: details, code })),
      }
  }
}

function errorOf(metadata: GrpcMetadata | null | undefined): Ending | undefined {
  const [bytes] = metadata?.get(names.error) ?? []
  if (!(bytes instanceof Uint8Array)) return undefined
  const [status] = metadata?.get(names.status) ?? []
  return { kind: status === 'refused' ? 'refused' : 'error', bytes }
}
