// What goes wrong with a channel over a stream.

import { MillraceError } from '../../errors.js'

export function peerGoneError(title: string, cause: Error | undefined): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_PEER_GONE',
    `the other side of ${title} is gone: it has died, or the connection broke; what was sent last may not have arrived; connect ` +
      'again to go on',
    { cause },
  )
}

/** For who waited to send: nothing of the message went over the connection. */
export function unsentError(error: Error): Error {
  if (!(error instanceof MillraceError) || error.code !== 'ERR_MILLRACE_PEER_GONE') return error
  return new MillraceError(error.code, error.message, { cause: error.cause, executed: 'no' })
}

export function peerClosedError(title: string): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_PEER_GONE',
    `the other side of ${title} has closed: nobody receives what is sent; connect again to go on`,
  )
}

export function silentError(title: string, silence: number): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_PEER_GONE',
    `nothing came from the other side of ${title} for ${String(silence)} ms (heartbeat), though it was asked: it has died, or the ` +
      'way to it is cut, or its event loop stood still',
  )
}

export function oneWayError(title: string, does: string): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_UNSUPPORTED',
    `${title} only ${does}: open one that goes both ways, or a second one for the way back`,
  )
}

export function noRoomError(title: string, length: number): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_TOO_LARGE',
    `the next message of ${title} has ${String(length)} bytes, more than the target: it stays the next one; give a larger target`,
  )
}

export function noEndError(title: string): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_UNSUPPORTED',
    `${title} cannot end one way alone: say the end in a message, or close both ways by close()`,
  )
}
