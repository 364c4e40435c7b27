// Addresses where somebody may come to listen only later.

import { MillraceError } from '../index.js'

const pauseMs = 50

/** Tries until somebody is there, or the time for that is over: then what went wrong last is thrown. */
export async function reached<T>(
  attempt: () => Promise<T>,
  timeout: number,
  signal: AbortSignal,
): Promise<T> {
  const end = performance.now() + timeout
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      if (!isNobodyThere(error) || performance.now() >= end) throw error
    }
    await new Promise((done) => setTimeout(done, pauseMs))
    signal.throwIfAborted()
  }
}

/** Gives an attempt so many milliseconds, also to reach who is silent; without a number, as long as it takes. */
export async function inTime<T>(
  address: string,
  { timeout, signal }: { readonly timeout: number | undefined; readonly signal: AbortSignal },
  attempt: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  if (timeout === undefined) return await attempt(signal)
  const late = AbortSignal.timeout(timeout)
  try {
    return await attempt(AbortSignal.any([signal, late]))
  } catch (error) {
    const isLate = late.aborted && !signal.aborted
    if (!isLate || isNobodyThere(error)) throw error
    throw new MillraceError(
      'ERR_MILLRACE_TIMEOUT',
      `there was no answer from '${address}' within ${String(timeout)} ms: see that the process that serves there runs, or allow more time`,
    )
  }
}

export function isNobodyThere(error: unknown): boolean {
  const { code } = error as { readonly code?: unknown }
  return code === 'ERR_MILLRACE_NOT_FOUND' || code === 'ERR_MILLRACE_UNREACHABLE'
}
