// The two clocks of a recording: times in it are of the day, so that they mean something elsewhere; what passes between two of them is
// of the clock that only goes forward.

import { native } from '../addon/native.js'
import { startTimer, startTurn, stopTimer } from '../base/time.js'

/** Nanoseconds to be added to those of `monotonicNow()` to have nanoseconds since 1970, as the day's clock has it now. */
export function dayOffset(): bigint {
  return dayNow() - native.monotonicNs()
}

/** Nanoseconds since 1970, by milliseconds. */
export function dayNow(): bigint {
  return BigInt(new Date().getTime()) * 1_000_000n
}

/** Resolves after so many milliseconds, or when the signal is aborted. Keeps the event loop alive meanwhile. */
export function pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted === true) return Promise.resolve()
  return new Promise((resolve) => {
    const end = (): void => {
      stopTimer(timer)
      signal?.removeEventListener('abort', end)
      resolve()
    }
    const timer = startTimer(milliseconds, end, { alive: true })
    signal?.addEventListener('abort', end, { once: true })
  })
}

/** Resolves in the next turn of the event loop. */
export function turn(): Promise<void> {
  return new Promise((resolve) => {
    startTurn(resolve)
  })
}
