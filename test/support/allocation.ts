// What a piece of work allocates: what the heap grows by meanwhile, together with what the collector takes away.

import { GCProfiler } from 'node:v8'

/** Bytes that `work` allocates once it is compiled; the least of some runs, as others compile meanwhile, or below `enough`. */
export function allocated(work: () => unknown, enough: number): number {
  work()
  let least = Infinity
  for (let i = 0; i < 10 && least >= enough; i++) {
    const profiler = new GCProfiler()
    profiler.start()
    const before = process.memoryUsage().heapUsed
    work()
    const grown = process.memoryUsage().heapUsed - before
    const collected = profiler
      .stop()
      .statistics.map(
        ({ beforeGC, afterGC }) =>
          beforeGC.heapStatistics.usedHeapSize - afterGC.heapStatistics.usedHeapSize,
      )
    least = Math.min(
      least,
      collected.reduce((sum, bytes) => sum + bytes, grown),
    )
  }
  return least
}
