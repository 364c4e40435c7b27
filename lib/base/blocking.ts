// Waiting without the event loop, for Workers: native slices of at most 20 ms with a look in between.

import { timeoutError } from '../errors.js'
import { duration } from './options.js'
import type { Attempt, WaitQueue } from './wait-queue.js'

/** Options of calls that block the thread. */
export interface BlockingOptions {
  /** Milliseconds until `ERR_MILLRACE_TIMEOUT`; default: wait for ever. */
  readonly timeout?: number | undefined
  /** Milliseconds (fractions allowed) to spin before sleeping in the kernel. Default 0.05. */
  readonly spin?: number | undefined
}

/**
 * The first result of `attempt` that is not `undefined`. Blocks in slices, so that a Worker can be
 * terminated and a dead peer is noticed. `wait` is one slice; it returns whether something stirred. `room`
 * waits on the same line. `givenUp` runs when the time is over.
 */
export function block<T>(
  room: WaitQueue,
  what: string,
  options: BlockingOptions,
  attempt: Attempt<T>,
  wait: (spinMs: number, timeoutMs: number) => boolean,
  givenUp?: () => void,
): T {
  const timeout = duration(options, 'timeout', Infinity)
  let spin = duration(options, 'spin', 0.05)
  const first = attempt(false)
  if (first !== undefined) return first ?? (undefined as T)
  const end = performance.now() + timeout
  try {
    for (;;) {
      const damage = room.damage()
      if (damage !== undefined) throw damage
      const left = end - performance.now()
      if (left <= 0) {
        const last = attempt(true)
        if (last !== undefined) return last ?? (undefined as T)
        givenUp?.()
        throw timeoutError(what, timeout)
      }
      const stirred = wait(spin, left)
      let result = attempt(!stirred)
      if (result === undefined && stirred) result = attempt(true)
      if (result !== undefined) return result ?? (undefined as T)
      if (!stirred) spin = 0 // the budget is spent; only sleep from now on
    }
  } finally {
    room.parkAgain() // somebody may wait in the event loop for the peer to come
  }
}
