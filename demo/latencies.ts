// Percentiles of a list of durations.

export interface Latency {
  readonly p50: number
  readonly p99: number
}

/** Nearest-rank percentiles, in the unit of `samples`. */
export function percentiles(samples: readonly number[]): Latency {
  const sorted = samples.toSorted((a, b) => a - b)
  const rank = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? NaN
  return { p50: rank(0.5), p99: rank(0.99) }
}
