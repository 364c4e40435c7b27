// What a history is made of: calls that concurrent users made, and what came back.

/**
 * One call. Times are nanoseconds of one clock for all processes, CLOCK_MONOTONIC
 * (`process.hrtime.bigint()`, or `monotonicNow()` of the library).
 */
export interface Operation {
  /** Who called; whatever tells users apart. One process makes one call at a time. */
  readonly process: string
  readonly name: string
  readonly input?: unknown
  /** What came back; without a meaning where `end` is undefined. */
  readonly output?: unknown
  /** Just before the call. */
  readonly start: bigint
  /**
   * Just after it. `undefined`: the process was killed in the call, which may have taken effect, at any time
   * after `start`, or not.
   */
  readonly end: bigint | undefined
  /** What it was done to, when a history is of several objects: each is checked for itself. */
  readonly object?: string
}

/**
 * The death of a process, as an operation of its own: it takes effect between the signal and the moment
 * when its parent learned that it has ended. Models of what a death changes (locks) need it.
 */
export function death(process: string, start: bigint, end: bigint, object?: string): Operation {
  return { process, name: 'die', start, end, ...(object !== undefined && { object }) }
}

export type Verdict = { readonly ok: true } | Broken

export interface Broken {
  readonly ok: false
  /** Several lines, for a person. */
  readonly explanation: string
}
