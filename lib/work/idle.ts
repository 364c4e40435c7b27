// Waiting until a pipeline has nothing to do. Nobody is woken for that, so it is looked for from time to time.

import { forgetAbort, whenAborted } from '../base/abort-signals.js'
import type { Wait } from '../base/options.js'
import { now, startTimer, stopTimer, type Timer } from '../base/time.js'
import { abortedError, timeoutError } from '../errors.js'

const shortestMs = 1
const longestMs = 25

/** What is looked at. */
export interface Idling {
  readonly title: string
  /** Throws when that cannot be told any more. */
  readonly isIdle: () => boolean
  /** Is the process kept alive by who waits? */
  readonly alive: boolean
}

export function whenIdle(
  { title, isIdle, alive }: Idling,
  { signal, timeout = Infinity }: Wait,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const until = now() + timeout
    let pause = shortestMs
    let timer: Timer | undefined
    const end = (settle: () => void): void => {
      stopTimer(timer)
      if (signal !== undefined) forgetAbort(signal, wait)
      settle()
    }
    const fail = (error: unknown): void => {
      end(() => {
        reject(error)
      })
    }
    const wait = {
      aborted() {
        fail(abortedError(signal!))
      },
    }
    const look = (): void => {
      try {
        if (isIdle()) {
          end(resolve)
          return
        }
      } catch (error) {
        fail(error)
        return
      }
      const left = until - now()
      if (left <= 0) {
        fail(
          timeoutError(
            `an end of the jobs of ${title}`,
            timeout,
            'stats() tells in which stage they are: see whether somebody works it, or allow more time',
          ),
        )
        return
      }
      timer = startTimer(Math.min(pause, left), look, { alive })
      pause = Math.min(pause * 2, longestMs)
    }
    if (signal !== undefined) whenAborted(signal, wait)
    look()
  })
}
