// Waiting without the event loop, for Workers: native slices of at most 20 ms with a look in between.

import { tellDeaths } from './life.js'
import { checkOptions, duration, spinTime } from './options.js'
import { now } from './time.js'
import type { WaitQueue } from './wait-queue.js'
import type { Attempt, TooLate } from './waiter.js'

/** Options of calls that block the thread. */
export interface BlockingOptions {
  /** Milliseconds until `ERR_MILLRACE_TIMEOUT`; default: wait for ever. */
  readonly timeout?: number | undefined
  /** Milliseconds (fractions allowed) to spin before sleeping in the kernel. Default 0.05, at most 60 000. */
  readonly spin?: number | undefined
}

/** The names of {@link BlockingOptions}. */
export const blockingNames = ['timeout', 'spin'] as const

/**
 * The options of a call that blocks, judged before anything is done.
 *
 * @throws MillraceError `INVALID_ARGUMENT`
 */
export function readBlocking(given: BlockingOptions | undefined): BlockingOptions {
  const options = checkOptions(given, blockingNames)
  duration(options, 'timeout', Infinity)
  spinTime(options, 0)
  return options
}

/**
 * The first result of `attempt` that is not `undefined`. Blocks in slices, so that a Worker can be
 * terminated and a dead peer is noticed. `wait` is one slice; it returns whether something stirred. `waits`
 * are those of the same side in the event loop. `givenUp` runs when the time is over.
 */
export function block<T>(
  waits: WaitQueue,
  late: TooLate,
  options: BlockingOptions,
  attempt: Attempt<T>,
  wait: (spinMs: number, timeoutMs: number) => boolean,
  givenUp?: () => void,
): T {
  const timeout = duration(options, 'timeout', Infinity)
  const spin = new SpinBudget(options)
  const first = attempt(false)
  if (first !== undefined) return first ?? (undefined as T)
  const end = now() + timeout
  try {
    for (;;) {
      const damage = waits.damage()
      if (damage !== undefined) throw damage
      const left = end - now()
      if (left <= 0) {
        const last = attempt(true)
        if (last !== undefined) return last ?? (undefined as T)
        givenUp?.()
        throw late(timeout)
      }
      const stirred = wait(spin.left(), left)
      let result = attempt(!stirred)
      if (result === undefined && stirred) result = attempt(true)
      if (result !== undefined) return result ?? (undefined as T)
    }
  } finally {
    tellDeaths()
    waits.parkAgain() // somebody may wait in the event loop for the peer to come
  }
}

/** What may be spun before only sleeping is left: one slice of a blocking call spins for as long as that, at most. */
export class SpinBudget {
  readonly #ms: number
  #end: number | undefined

  constructor(options: BlockingOptions) {
    this.#ms = spinTime(options, 0.05)
  }

  /** Milliseconds; they are counted from the first question on. */
  left(): number {
    if (this.#ms === 0) return 0
    const time = now()
    this.#end ??= time + this.#ms
    return Math.max(this.#end - time, 0)
  }
}
