// Opening what another process creates: wait for it to appear.

import { abortedError, hasCode } from '../errors.js'
import { fairly } from './fairness.js'
import { now, startTimer, stopTimer } from './time.js'

/**
 * What `open` returns, tried again while it throws `NOT_FOUND`, for up to `timeout` milliseconds. Rejects
 * with the last error, or with `ABORTED`.
 */
export async function openWhenThere<T>(
  open: () => T,
  timeout: number,
  signal: AbortSignal | undefined,
): Promise<T> {
  const end = now() + timeout
  let nap = 1
  for (;;) {
    if (signal?.aborted) throw abortedError(signal)
    try {
      return await fairly(open())
    } catch (error) {
      if (!isNotFound(error) || now() >= end) throw error
    }
    await pause(Math.min(nap, end - now()), signal)
    nap = Math.min(nap * 2, 20)
  }
}

export function isNotFound(error: unknown): boolean {
  return hasCode(error, 'ERR_MILLRACE_NOT_FOUND')
}

function pause(milliseconds: number, signal: AbortSignal | undefined): Promise<void> {
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
