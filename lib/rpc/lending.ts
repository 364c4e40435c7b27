// What can be lent, and what cannot: only bytes, for nothing that comes out of a codec points into shared memory.

import { wholeNumber } from '../base/options.js'
import type { Bytes } from '../base/view-constructor.js'
import { closedError, invalidArgument, MillraceError } from '../errors.js'
import { CallResult, type ResultOwner } from './lent-result.js'
import { CallLoan } from './loan.js'
import type { MethodPlan, ValuePlan } from './methods.js'
import type { GivenCall } from './options.js'

const bytesName = 'bytes'

/** @throws MillraceError `INVALID_ARGUMENT` */
export function assertLength(length: unknown, most: number = Number.MAX_SAFE_INTEGER): number {
  if (length === undefined) throw invalidArgument('length must be given: there is no default')
  return wholeNumber({ length }, 'length', 0, [0, most])
}

/** @throws MillraceError `UNSUPPORTED` */
export function assertLendable(name: string, which: 'argument' | 'result', value: ValuePlan): void {
  const how = value.codec.name
  if (how !== bytesName) {
    throw new MillraceError(
      'ERR_MILLRACE_UNSUPPORTED',
      `the ${which} of ${name}() travels as ${how}, and only bytes can be lent: make a contract with the codec 'bytes' for it`,
    )
  }
}

export function lentError(what: string): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_TOO_MANY_HELD',
    `there is a loan for the result of ${what} already: cancel() it first`,
  )
}

/** Of functions of many values. */
export function noLoanError(name: string): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_UNSUPPORTED',
    `${name}() is a function of many values: only the result of a call() can be lent`,
  )
}

/** Of the result of a call with `inPlace`. */
export function assertInPlace({ name, output }: MethodPlan): void {
  assertLendable(name, 'result', output)
  if (output.check === undefined) return
  throw new MillraceError(
    'ERR_MILLRACE_UNSUPPORTED',
    `the result of ${name}() is judged by a schema, which may make another value of it: it cannot be given in place`,
  )
}

const nobody: ResultOwner = {
  isClosed: () => false,
  assertOpen: () => undefined,
  releaseResult: () => undefined,
}

/** A result whose bytes are this process's own. */
export function ownResult(name: string, bytes: Bytes): CallResult {
  return new CallResult(nobody, `${name}()`, bytes, -1)
}

/** Whoever calls with bytes that go over a connection. */
export interface Sender {
  readonly title: string
  isClosed(): boolean
  call(bytes: Bytes, given: GivenCall): Promise<unknown>
}

/**
 * A loan of this process's own memory, which is sent when it is called.
 *
 * @throws MillraceError `UNSUPPORTED`, `INVALID_ARGUMENT`, `TOO_LARGE`, `CLOSED`
 */
export function ownLoan(
  { name, input }: MethodPlan,
  length: number,
  most: number,
  sender: Sender,
): CallLoan {
  assertLendable(name, 'argument', input)
  const bytes = assertLength(length)
  const assertOpen = (): void => {
    if (sender.isClosed()) throw closedError(sender.title)
  }
  assertOpen()
  if (bytes > most) throw tooLargeError(name, bytes, most)
  const lender = {
    what: `${name}()`,
    isClosed: () => sender.isClosed(),
    assertOpen,
    callLoan: (_loan: number, all: Bytes, some: number, given: GivenCall) =>
      sender.call(all.subarray(0, some), given),
    cancelLoan: () => undefined,
    ended: () => undefined,
    onClose: () => () => undefined,
  }
  return new CallLoan(lender, 0, new Uint8Array(bytes))
}

function tooLargeError(name: string, length: number, most: number): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_TOO_LARGE',
    `${name}(): an argument of ${String(length)} bytes is longer than ${String(most)}, the most there can be`,
    { executed: 'no' },
  )
}
