// Opening what another process creates: wait for it to appear.

import { abortedError, hasCode, MillraceError } from '../errors.js'
import { fairly } from './fairness.js'
import { now, startTimer, stopTimer } from './time.js'

/** How long to wait for what another process creates, and what to say when it did not come. */
export interface Opening {
  /** Milliseconds; 0 looks once. */
  readonly timeout: number
  readonly signal: AbortSignal | undefined
  /** As in "no writer appeared on frame channel 'x'". */
  readonly missing: string
  /** Who brings it about, as in "start it". */
  readonly cure: string
}

/**
 * What `open` returns, tried again while it throws `NOT_FOUND`, for up to `timeout` milliseconds, and until `end` if
 * that is earlier. Rejects with `NOT_FOUND` when the time is over (`cause` is what the last attempt said), or with
 * `ABORTED`.
 */
export async function openWhenThere<T>(
  open: () => T,
  opening: Opening,
  end = now() + opening.timeout,
): Promise<T> {
  const { signal } = opening
  let nap = 1
  for (;;) {
    if (signal?.aborted) throw abortedError(signal)
    try {
      return await fairly(open())
    } catch (error) {
      if (!isNotFound(error)) throw error
      if (now() >= end) throw notInTime(opening, error)
    }
    await pause(Math.min(nap, end - now()), signal)
    nap = Math.min(nap * 2, 20)
  }
}

function notInTime({ missing, cure, timeout }: Opening, error: MillraceError): MillraceError {
  const { path } = error
  const message =
    timeout === 0
      ? `${missing} (yet): ${cure}, or allow time for it`
      : `${missing} within ${String(timeout)} ms: ${cure}, or allow more time`
  return new MillraceError('ERR_MILLRACE_NOT_FOUND', message, { path, cause: error })
}

export function isNotFound(error: unknown): error is MillraceError {
  return hasCode(error, 'ERR_MILLRACE_NOT_FOUND')
}

/** Resolves after that time; rejects with `ABORTED`. */
export function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      stopTimer(timer)
      reject(abortedError(signal!))
    }
    const onTime = () => {
      signal?.removeEventListener('abort', onAbort)
      resolve()
    }
    const timer = startTimer(milliseconds, onTime, { alive: true })
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}
