// What calls have in common over engines that carry them as messages, one there and one back: what who serves is told of each, and the errors
// of both sides.

import { now } from '../base/time.js'
import { MillraceError } from '../errors.js'
import type { AskedTrouble } from './many-calls.js'
import type { EngineCall } from './port.js'

/** What a message says of its call. `left`: milliseconds; Infinity: for as long as it takes. */
export type CallSaid = Omit<EngineCall, 'result' | 'error'>

/** What there is of every call: the time that is left goes by. */
export function callOf(said: CallSaid, ends: Pick<EngineCall, 'result' | 'error'>): EngineCall {
  const { left } = said
  const until = now() + left
  return {
    ...said,
    ...ends,
    get left() {
      return left === Infinity ? Infinity : Math.max(until - now(), 0)
    },
  }
}

/** Where a call goes to, and for how long its other side may be silent. */
export interface CallWay {
  readonly method: string
  readonly shown: string
  readonly silenceMs: number
  /** What brings about that somebody serves. */
  readonly cure: string
}

/** To the caller. */
export function noAnswer(why: AskedTrouble, way: CallWay): MillraceError {
  const { method, shown, silenceMs, cure } = way
  if (why === 'nobody') {
    return new MillraceError(
      'ERR_MILLRACE_NO_RESPONDER',
      `nobody serves ${method}() at '${shown}': ${cure}, or connect with waitForServer to wait for one`,
      { executed: 'no' },
    )
  }
  const how = why === 'gone' ? 'has closed' : silentFor(silenceMs)
  return new MillraceError(
    'ERR_MILLRACE_PEER_GONE',
    `who was at work with ${method}() at '${shown}' ${how}`,
    { executed: 'unknown' },
  )
}

/** To who serves. */
export function callerGone({ method, shown, silenceMs }: Omit<CallWay, 'cure'>): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_PEER_GONE',
    `who called ${method}() at '${shown}' ${silentFor(silenceMs)}`,
  )
}

/** To who serves. */
export function callCancelled(): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_ABORTED',
    'nobody waits for the answer any more: the caller has aborted the call, or its time is over',
  )
}

function silentFor(silenceMs: number): string {
  return `has shown no sign of life for ${String(silenceMs)} ms`
}
