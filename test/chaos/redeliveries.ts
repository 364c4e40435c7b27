// From the death of a holder to the next who has its job: what is told of it.

import type { JobsVerdict } from '../support/history/jobs.js'

export class Redeliveries {
  #milliseconds: number[] = []
  #unknown = 0

  add({ redeliveries, unknown }: JobsVerdict): void {
    this.#milliseconds.push(...redeliveries)
    this.#unknown += unknown
  }

  /** p50, p99, longest, in milliseconds. */
  get figures(): Readonly<Record<string, number>> {
    const sorted = this.#milliseconds.toSorted((a, b) => a - b)
    const at = (share: number) =>
      Math.round(
        (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0) * 10,
      ) / 10
    return {
      redelivered: sorted.length,
      redeliveryP50: at(0.5),
      redeliveryP99: at(0.99),
      redeliveryMax: at(1),
      unknown: this.#unknown,
    }
  }
}
