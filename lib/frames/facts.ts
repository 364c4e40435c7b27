// What goes with the hot calls of a frame channel, in memory that native code sees, too: 64-bit words, each as its
// low half and, after it, its high one. Outcomes below zero (`Outcome`) stand where the first word would.

/** Indices of `NativeFrameWriter.facts`. */
export const WriterFact = {
  /** To `publish`: the slot, and how many bytes of it are the frame. */
  slot: 0,
  length: 2,
  /** From `publish`: the frame's number, or why there is none. At first that of the last frame before us. */
  sequence: 4,
  /** From `publish`: the slot that it has loaned for the next frame; below zero if none. */
  next: 6,
} as const

/** Indices of `NativeFrameReader.facts`. */
export const ReaderFact = {
  /** From `receive` and `latest`: the slot, or why there is none. To `release`. */
  slot: 0,
  /** Likewise, in both directions. */
  sequence: 2,
  length: 4,
  missed: 6,
  timestamp: 8,
} as const

const highUnit = 2 ** 32

/** The number whose halves lie at `at`; small ones stay integers to the engine. */
export function numberAt(facts: Int32Array, at: number): number {
  const low = facts[at]!
  const high = facts[at + 1]!
  return high === 0 && low >= 0 ? low : high * highUnit + (low >>> 0)
}

/** Puts a whole number there. */
export function putNumber(facts: Int32Array, at: number, value: number): void {
  facts[at] = value // the array keeps the low half
  facts[at + 1] = value / highUnit
}
