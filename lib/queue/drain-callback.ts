// What `drain` and `drainRaw` ask of a callback, and what is refused of what it returns.

import { checkFunction, show } from '../base/options.js'
import { isPromise } from '../base/promised.js'
import { invalidArgument } from '../errors.js'

export function checkDrain(callback: unknown, max: unknown): void {
  checkFunction('callback', callback)
  if (max === undefined || max === Infinity) return
  if (typeof max !== 'number' || !Number.isInteger(max) || max < 0) {
    throw invalidArgument(`max must be a whole number of messages, or Infinity, not ${show(max)}`)
  }
}

/** Throws if a callback has returned a promise: it would read on where other messages lie by then. */
export function refusePromise(verdict: object, queue: string): void {
  if (!isPromise(verdict)) return
  throw invalidArgument(
    `the callback that drains queue '${queue}' has returned a promise, but what it was given is valid only during the call; ` +
      'take() holds a message across an await; or start the work with a copy, and return nothing: ' +
      '(message) => { later(message.slice()) }',
  )
}
