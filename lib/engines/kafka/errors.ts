// What a library for Kafka says, as errors of this package: by the names that the protocol has for them, which all libraries carry on.

import { MillraceError, type ErrorCode, type Executed } from '../../errors.js'

/** What libraries put into their errors. */
interface Said {
  readonly name: string
  readonly message: string
  /** What Kafka calls it. */
  readonly type?: string
  /** Of the system, or of TLS. */
  readonly code?: string | number
  readonly cause?: unknown
}

const tooLarge = /^(?:MESSAGE_TOO_LARGE|RECORD_LIST_TOO_LARGE)$/
const refused =
  /^(?:.*_AUTHORIZATION_FAILED|SASL_AUTHENTICATION_FAILED|ILLEGAL_SASL_STATE|UNSUPPORTED_SASL_MECHANISM|SECURITY_DISABLED)$/
/** Refused before it was written; it may be taken a little later. */
const later =
  /^(?:UNKNOWN_TOPIC_OR_PARTITION|LEADER_NOT_AVAILABLE|NOT_LEADER_FOR_PARTITION|NOT_LEADER_OR_FOLLOWER|NOT_ENOUGH_REPLICAS|REPLICA_NOT_AVAILABLE|BROKER_NOT_AVAILABLE|FENCED_LEADER_EPOCH|UNKNOWN_LEADER_EPOCH)$/
/** Before anything was sent. */
const unsent = /BrokerNotFound|MetadataNotLoaded|NoBrokerAvailable|LockTimeout/
const noConnection = /^(?:ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT)$/
const certificate = /CERT|TLS|SSL|UNABLE_TO_VERIFY|SELF_SIGNED/

/** The error at the bottom: libraries put those of their retries around it. */
export function bottomOf(error: unknown): Said {
  let said = error as Said
  while (said.cause instanceof Error && said.type === undefined) said = said.cause
  return said
}

/** What Kafka calls it; undefined: it did not come from Kafka. */
export function typeOf(error: unknown): string | undefined {
  return bottomOf(error).type
}

/** Was it refused, and may the same be taken a little later? */
export function comesLater(error: unknown): boolean {
  const { type = '' } = bottomOf(error)
  return later.test(type) || wasNotSent(error)
}

function wasNotSent(error: unknown): boolean {
  const { name, message, code } = bottomOf(error)
  return (
    unsent.test(name) ||
    (typeof code === 'string' && noConnection.test(code)) ||
    (name.includes('Connection') && message.includes('Connection timeout'))
  )
}

/** `executed`: may what was asked have been done, if the error itself does not tell? */
export function kafkaError(shown: string, error: unknown, executed: Executed): MillraceError {
  if (error instanceof MillraceError) return error
  const { name, message, type = '', code } = bottomOf(error)
  const no = { cause: error, executed: 'no' as const }
  if (tooLarge.test(type)) {
    return new MillraceError(
      'ERR_MILLRACE_TOO_LARGE',
      `a payload with its headers is more than a broker of '${shown}' takes: send less, or let the topic take more (max.message.bytes)`,
      no,
    )
  }
  if (refused.test(type) || name.includes('SASLAuthentication')) {
    return new MillraceError(
      'ERR_MILLRACE_PERMISSION',
      `a broker of '${shown}' refuses (${message}): see user, password and ?sasl of the address, and what the cluster lets the user do`,
      no,
    )
  }
  if (type === 'UNKNOWN_TOPIC_OR_PARTITION' || type === 'INVALID_TOPIC_EXCEPTION') {
    return new MillraceError(
      'ERR_MILLRACE_NOT_FOUND',
      `there is no such topic at '${shown}', and brokers make none by themselves: make it, with as many partitions as there are to be workers at a time`,
      no,
    )
  }
  if (type === 'INVALID_SESSION_TIMEOUT') {
    return new MillraceError(
      'ERR_MILLRACE_INVALID_ARGUMENT',
      `the brokers of '${shown}' do not take this time of silence: let 'heartbeat' of the connection be between their group.min.session.timeout.ms and group.max.session.timeout.ms`,
      no,
    )
  }
  if (name.includes('NotImplemented')) {
    return new MillraceError(
      'ERR_MILLRACE_UNSUPPORTED',
      `the library for '${shown}' cannot read what is there (${message}): let whoever writes compress by gzip, or not at all`,
      no,
    )
  }
  if (typeof code === 'string' && certificate.test(code)) {
    return new MillraceError(
      'ERR_MILLRACE_UNREACHABLE',
      `the brokers of '${shown}' are not known (${message}): give the certificate of their authority, as connection: { tls: { ca } }, and cert and key if they want to see one; leave out tls where they speak none`,
      no,
    )
  }
  const sent = comesLater(error) ? 'no' : executed
  const facts = { cause: error, executed: sent }
  const isTimeout = name.includes('Timeout') || type === 'REQUEST_TIMED_OUT'
  const what: ErrorCode = isTimeout ? 'ERR_MILLRACE_TIMEOUT' : 'ERR_MILLRACE_UNREACHABLE'
  return new MillraceError(
    what,
    `no broker of '${shown}' does it (${message}): see that Kafka runs there, that its leaders and replicas are there, and that the address is right, with TLS where brokers want it`,
    facts,
  )
}
