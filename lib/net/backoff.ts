// How long a client waits before it tries again: a random part of a span that doubles with each failure, up to a cap ("full jitter",
// Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015): a thousand clients that lost one server do not come
// back as one.

import { checkOptions, duration, show } from '../base/options.js'
import { invalidArgument } from '../errors.js'

/** How a client comes back after its connection broke. */
export interface ReconnectOptions {
  /** Milliseconds: the span of the first wait, a random part of which is waited. Default 50. */
  readonly base?: number | undefined
  /** Milliseconds: the longest span. Default 5000. */
  readonly cap?: number | undefined
}

/** @internal ReconnectOptions that were read. */
export interface Backoff {
  readonly base: number
  readonly cap: number
}

const defaults: Backoff = { base: 50, cap: 5000 }

/**
 * Of the option `reconnect`; undefined: not at all.
 *
 * @throws MillraceError `INVALID_ARGUMENT`
 */
export function readReconnect(given: unknown): Backoff | undefined {
  if (given === undefined || given === true) return defaults
  if (given === false) return undefined
  if (typeof given !== 'object' || given === null) {
    throw invalidArgument(
      `reconnect must be true, false, or an object with base and cap, not ${show(given)}`,
    )
  }
  const options = checkOptions(given as ReconnectOptions, ['base', 'cap'])
  const base = duration(options, 'base', defaults.base)
  const cap = duration(options, 'cap', Math.max(defaults.cap, base))
  if (base > 0 && base <= cap && cap < Infinity) return { base, cap }
  throw invalidArgument(
    `reconnect: base must be more than 0 and at most cap, which must end, not ${String(base)} and ${String(cap)}`,
  )
}

/** Milliseconds to wait after so many failures in a row; `random`: from 0 to less than 1. */
export function waitAfter({ base, cap }: Backoff, failures: number, random: number): number {
  return random * Math.min(cap, base * 2 ** Math.min(failures - 1, 30))
}
