// Calls that go as one message there and one back, by whatever carries messages: what the values are, and what a handler is told.

import { forgetAbort, whenAborted } from '../base/abort-signals.js'
import { startTimer, stopTimer } from '../base/time.js'
import type { Bytes } from '../base/view-constructor.js'
import { MillraceError } from '../errors.js'
import { AnswerLoan } from './answer-loan.js'
import { decodeError, encodeError } from './errors.js'
import { assertInPlace, ownLoan, ownResult, type Sender } from './lending.js'
import type { MethodPlan } from './methods.js'
import { readCall, type CallOptions, type GivenCall, type Limits } from './options.js'
import { tooLongError } from './streams/link.js'
import { Context, type ServedMethod } from './streams/server.js'

/** A call, as its server has it. */
export interface UnaryCall {
  readonly input: Uint8Array
  /** Milliseconds until its caller gives it up. */
  readonly left: number
  /** Bytes that an answer has at most. */
  readonly most: number
  /** Aborts when nobody waits for the answer any more. */
  readonly signal: AbortSignal
  /** The context of the trace that it belongs to. */
  readonly traceparent: string | undefined
}

/** The bytes of the answer; rejects with what the handler throws. */
export async function answerUnary(
  { plan, handler }: ServedMethod,
  { input, left, most, signal, traceparent }: UnaryCall,
): Promise<Uint8Array> {
  const context = new Context(plan, 0, left, most, traceparent)
  const waiting = {
    aborted: (): void => {
      context.cancel(signal.reason)
    },
  }
  whenAborted(signal, waiting)
  const timer = startTimer(left, () => {
    context.cancel(
      new MillraceError('ERR_MILLRACE_TIMEOUT', 'the time that the caller allowed is over'),
    )
  })
  try {
    const value = plan.input.codec.decode(input)
    const { check } = plan.input
    const result = await handler(check === undefined ? value : await check(value), context)
    const bytes = plan.output.codec.encode(AnswerLoan.valueOf(result))
    if (bytes.length > most) throw tooLongError(`the result of ${plan.name}()`, bytes.length, most)
    return bytes
  } finally {
    stopTimer(timer)
    forgetAbort(signal, waiting)
  }
}

/** What a handler has thrown, for its caller; `refused`: nothing was begun. */
export function refusalOf(error: unknown): {
  readonly bytes: Uint8Array
  readonly refused: boolean
} {
  const refused =
    error instanceof MillraceError &&
    error.executed === 'no' &&
    ['ERR_MILLRACE_BUSY', 'ERR_MILLRACE_NO_RESPONDER', 'ERR_MILLRACE_SCHEMA'].includes(error.code)
  return { bytes: encodeError(error), refused }
}

/** What came back. */
export interface UnaryAnswer {
  readonly kind: 'result' | 'error' | 'refused'
  readonly bytes: Uint8Array
}

/** A method of a client whose calls go by `ask`. */
export function unaryMethod(
  plan: MethodPlan,
  { title, isClosed, most }: Omit<Sender, 'call'> & { readonly most: () => number },
  ask: (input: Uint8Array, limits: Limits) => Promise<UnaryAnswer>,
): (input: unknown, options?: CallOptions) => Promise<unknown> {
  const call = async (input: unknown, { limits, inPlace }: GivenCall): Promise<unknown> => {
    if (inPlace) assertInPlace(plan)
    const bytes = new Uint8Array(plan.input.codec.encode(input))
    if (bytes.length > most()) {
      throw tooLongError(`the input of ${plan.name}()`, bytes.length, most())
    }
    const { kind, bytes: answer } = await ask(bytes, limits)
    if (kind !== 'result') throw failure(kind, answer)
    const value = plan.output.codec.decode(answer)
    const { check } = plan.output
    const checked = check === undefined ? value : await check(value)
    return inPlace ? ownResult(plan.name, checked as Bytes) : checked
  }
  const loan = (length: number, via?: Sender): unknown =>
    ownLoan(plan, length, most(), via ?? { title, isClosed, call })
  const method = async (input: unknown, options?: CallOptions): Promise<unknown> =>
    await call(input, readCall(options))
  return Object.defineProperty(method, 'loan', {
    value: (length: number, via?: Sender) => Promise.resolve().then(() => loan(length, via)),
  })
}

/** What came back in the place of a result. */
export function failure(kind: 'error' | 'refused', bytes: Uint8Array): Error {
  const error = decodeError(bytes)
  if (kind === 'error' || !(error instanceof MillraceError)) return error
  return new MillraceError(error.code, error.message, { cause: error, executed: 'no' })
}
