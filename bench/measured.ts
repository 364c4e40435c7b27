// What a case is told and what it reports.

import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'

export interface Parameters {
  /** Base of the names of this measurement's channels and sockets. */
  readonly name: string
  /** Payload of a message or frame. */
  readonly bytes: number
  /** Round trips, or messages. */
  readonly count: number
  /** Round trips: spin on both sides, block both threads, or wait in the event loop. */
  readonly wait?: 'spin' | 'block' | 'event-loop'
  /** Milliseconds of polling before sleeping; default: the library's. */
  readonly poll?: number
  /** Messages per call (or write); 1: single calls. */
  readonly batch?: number
  readonly serialization?: 'json' | 'advanced'
}

/** Nanoseconds: per round trip, or per message (then all three are the mean of the run). */
export interface Measured {
  readonly p50: number
  readonly p99: number
  readonly p999: number
}

/** Times round trips in an HDR histogram, `per` at a time where one is shorter than a clock call. */
export class Stopwatch {
  readonly #histogram: RecordableHistogram = createHistogram()
  readonly #per: number
  #start = 0

  constructor(per = 1) {
    this.#per = per
  }

  start(): void {
    this.#start = performance.now()
  }

  stop(): void {
    const nanoseconds = Math.round((performance.now() - this.#start) * 1e6)
    this.#histogram.record(Math.max(1, nanoseconds))
  }

  result(): Measured {
    const at = (percentile: number) => this.#histogram.percentile(percentile) / this.#per
    return { p50: at(50), p99: at(99), p999: at(99.9) }
  }
}

/** The same for a stretch of messages. */
export function perMessage(startedAt: number, messages: number): Measured {
  const mean = ((performance.now() - startedAt) * 1e6) / messages
  return { p50: mean, p99: mean, p999: mean }
}
