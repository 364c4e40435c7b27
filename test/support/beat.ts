// A timer that ought to fire every 10 ms, and how late it was.

export const beatMs = 10

/**
 * Milliseconds between two beats, as this process had them: time in which it was not running, because others
 * had the processors, does not count. They are at most about `beatMs` when nothing holds up the event loop.
 */
export interface Beats {
  /** From the shortest to the longest. */
  readonly gaps: readonly number[]
  readonly p90: number
  readonly p99: number
  readonly worst: number
}

const beginAnew = new Set<() => void>()

/** A timer that was started. */
export interface Beat {
  /** How many beats there were. */
  count(): number
  stop(): Beats
}

export function startBeat(): Beat {
  const gaps: number[] = []
  let last = performance.now()
  let used = process.cpuUsage()
  const begin = () => {
    last = performance.now()
    used = process.cpuUsage()
  }
  const beat = () => {
    const { user, system } = process.cpuUsage(used)
    gaps.push(Math.min(performance.now() - last, (user + system) / 1000))
    begin()
  }
  const timer = setInterval(beat, beatMs)
  beginAnew.add(begin)
  return {
    count: () => gaps.length,
    stop() {
      clearInterval(timer)
      beginAnew.delete(begin)
      beat() // if it never came, that was the gap
      return beatsOf(gaps)
    },
  }
}

/** Does something that holds up the event loop and is not to count. */
export function offBeat(work: () => void): void {
  work()
  for (const begin of beginAnew) begin()
}

export function beatsOf(gaps: readonly number[]): Beats {
  const sorted = [...gaps].sort((a, b) => a - b)
  const at = (part: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))]!
  return { gaps: sorted, p90: at(0.9), p99: at(0.99), worst: at(1) }
}
