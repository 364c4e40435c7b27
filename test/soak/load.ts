// What a load is: parts that run in processes of their own, all at the same time, until they are told to stop, and
// a comparison of what they counted.

/** Totals of one part. */
export type Counts = Record<string, number>

/** What a part is given. */
export interface Shift {
  /** A name for an object of this load, the same in all its parts. */
  readonly name: (what: string) => string
  /** Aborted when it is time to finish. */
  readonly signal: AbortSignal
  readonly over: () => boolean
}

export type Part = (shift: Shift) => Promise<Counts>

export interface Load {
  /** By the process that runs it; parts of several loads share a process. */
  readonly parts: Readonly<Record<string, Part>>
  /** What is wrong with the totals, by process; nothing if they agree. */
  readonly judge?: (counts: Readonly<Record<string, Counts>>) => string[]
  /** Minutes until it has done everything once or twice, if those are many: memory is looked at from then on. */
  readonly settlesAfter?: number
  /** Runs only when asked for by name. */
  readonly alone?: true
}

/** Time for others; ends early when the shift does. */
export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}

/** For what other parts have to do, which may have to wait for a processor. */
export const patience = { timeout: 30_000 }

/** `a` and `b` as one line, if they differ. */
export function same(what: string, a: number | undefined, b: number | undefined): string[] {
  return a === b && a !== undefined ? [] : [`${what}: ${String(a)} and ${String(b)}`]
}

/** A line if `value` is not 0. */
export function none(what: string, value: number | undefined): string[] {
  return same(what, value, 0)
}

/** A line if nothing was done at all: a load that stands still proves nothing. */
export function some(what: string, value: number | undefined): string[] {
  return value !== undefined && value > 0 ? [] : [`${what}: ${String(value)}`]
}
