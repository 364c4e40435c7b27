// Does it grow? A straight line through samples, drawn so that single outliers (a collection that came late, a
// Worker that was just starting) do not tilt it: the Theil–Sen estimator, the median of the slopes between
// all pairs of points (Theil 1950, Sen 1968). It bears up to 29 % of arbitrary samples.

export interface Point {
  /** Minutes since the start. */
  readonly minute: number
  readonly value: number
}

/** What may grow by how much before it is called growing. */
export interface Tolerance {
  /** Over the whole time looked at: what noise and caches that still fill can amount to. */
  readonly inAll: number
  /** Per minute, however long one looks. */
  readonly perMinute: number
}

export interface Trend {
  readonly first: number
  readonly last: number
  readonly slopePerMinute: number
  readonly thresholdPerMinute: number
  readonly verdict: 'flat' | 'growing'
}

/** With more points than this, pairs are formed of evenly spaced ones only. */
const mostPoints = 600

export function theilSen(points: readonly Point[]): number {
  const stride = Math.ceil(points.length / mostPoints)
  const chosen = stride > 1 ? points.filter((_, i) => i % stride === 0) : points
  const slopes: number[] = []
  for (const [i, a] of chosen.entries()) {
    for (const b of chosen.slice(i + 1)) {
      if (b.minute !== a.minute) slopes.push((b.value - a.value) / (b.minute - a.minute))
    }
  }
  return median(slopes)
}

export function trendOf(points: readonly Point[], { inAll, perMinute }: Tolerance): Trend {
  const slopePerMinute = theilSen(points)
  const minutes = (points.at(-1)?.minute ?? 0) - (points[0]?.minute ?? 0)
  const thresholdPerMinute = Math.max(perMinute, minutes > 0 ? inAll / minutes : Infinity)
  return {
    first: points[0]?.value ?? 0,
    last: points.at(-1)?.value ?? 0,
    slopePerMinute,
    thresholdPerMinute,
    verdict: slopePerMinute > thresholdPerMinute ? 'growing' : 'flat',
  }
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  if (sorted.length === 0) return 0
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}
