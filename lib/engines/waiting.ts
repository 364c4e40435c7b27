// What work of every engine has in common: looking again whether there is room, and leases that were over.

import { forgetAbort, whenAborted } from '../base/abort-signals.js'
import { startTimer, stopTimer } from '../base/time.js'
import { MillraceError } from '../errors.js'

/** Milliseconds between two looks whether there is room, where a server does not tell: each is twice as long as the one before. */
export const shortestLook = 5
export const longestLook = 250

/** @throws MillraceError (as rejection) `ABORTED` */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = {
      aborted: (): void => {
        stopTimer(timer)
        reject(new MillraceError('ERR_MILLRACE_ABORTED', 'nobody waits for room any more'))
      },
    }
    const timer = startTimer(ms, () => {
      if (signal !== undefined) forgetAbort(signal, onAbort)
      resolve()
    })
    if (signal?.aborted === true) onAbort.aborted()
    else if (signal !== undefined) whenAborted(signal, onAbort)
  })
}

export function leaseLostError(shown: string): MillraceError {
  return new MillraceError(
    'ERR_MILLRACE_LEASE_LOST',
    `the lease of this job of '${shown}' was over before it was settled: somebody else may have it`,
  )
}
