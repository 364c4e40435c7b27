// What a case reports, and how it measures.

import { createHistogram, type RecordableHistogram } from 'node:perf_hooks'

/** Nanoseconds per unit of the row. */
export interface Measured {
  readonly p50: number
  readonly p99?: number
  readonly p999?: number
  readonly p9999?: number
  readonly samples?: number
  /** Of a stream: of the whole stretch. The percentiles are of blocks of messages. */
  readonly mean?: number
  /** Whether its times agreed before it began; see warming.ts. */
  readonly settled?: boolean
  /** Processor time per unit, of the leading side and of the following one. */
  readonly cpu?: readonly [number, number]
  /** Where one measurement gives several rows. */
  readonly parts?: Readonly<Record<string, Measured>>
  /** Where a worker was killed. */
  readonly fate?: Fate
}

/** What became of the tasks of which a killed worker had some. */
export interface Fate {
  readonly tasks: number
  /** Nobody did them. */
  readonly lost: number
  /** They were done twice. */
  readonly twice: number
  /** Milliseconds from the kill until another began what the dead one had in hand; left out if nobody did. */
  readonly againAfter?: number
  /** Milliseconds from the kill until the last task was done. */
  readonly lastAfter: number
}

/** Times in an HDR histogram, `per` at a time where one is shorter than a clock call. */
export class Stopwatch {
  readonly #histogram: RecordableHistogram = createHistogram()
  readonly #per: number
  #start = 0
  #sum = 0

  constructor(per = 1) {
    this.#per = per
  }

  start(): void {
    this.#start = performance.now()
  }

  /** Returns the time it was stopped at. */
  stop(): number {
    const now = performance.now()
    this.record((now - this.#start) * 1e6)
    return now
  }

  record(nanoseconds: number): void {
    this.#histogram.record(Math.max(1, Math.round(nanoseconds)))
    this.#sum += nanoseconds
  }

  result(): Measured {
    const at = (percentile: number) => this.#histogram.percentile(percentile) / this.#per
    const samples = this.#histogram.count
    return { p50: at(50), p99: at(99), p999: at(99.9), p9999: at(99.99), samples }
  }

  /** Of a few long times: no percentiles, but the mean. */
  whole(): Measured {
    const { p50, samples = 0 } = this.result()
    return { p50, samples, mean: this.#sum / (samples * this.#per) }
  }
}

/** The mean of a stretch that began at `startedAt`. */
export function perMessage(startedAt: number, messages: number): Measured {
  return { p50: ((performance.now() - startedAt) * 1e6) / messages }
}

/** Of a pass that only checked content. */
export const checked: Measured = { p50: NaN }
