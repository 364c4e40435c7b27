// What is on its way over a route: counted, bounded, and waited for.

import { startTimer, stopTimer } from '../base/time.js'

/** Where it is counted. */
interface Counted {
  inFlight: number
}

export class Flow {
  readonly #counts: Counted
  readonly #most: number
  readonly #told = new Set<() => void>()
  #count = 0

  /** `most` at a time. */
  constructor(most: number, counts: Counted) {
    this.#most = most
    this.#counts = counts
  }

  /** How many more there may be. */
  get room(): number {
    return this.#most - this.#count
  }

  /** `carry` never rejects. */
  begin(carry: () => Promise<void>): void {
    this.enter(1)
    void carry().finally(() => {
      this.leave(1)
    })
  }

  /** So many are on their way, until they `leave`. */
  enter(count: number): void {
    this.#counts.inFlight = this.#count += count
  }

  leave(count: number): void {
    this.#counts.inFlight = this.#count -= count
    this.tell()
  }

  /** When a quarter of it is free: to ask for one at a time costs a question each. */
  async roomy(stop: AbortSignal): Promise<void> {
    await this.until(() => this.#count <= this.#most - Math.ceil(this.#most / 4), stop)
  }

  /** When nothing is on its way, or `stop`. */
  async empty(stop: AbortSignal): Promise<void> {
    await this.until(() => this.#count === 0, stop)
  }

  /** When it is so, or `stop`. */
  until(done: () => boolean, stop: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (!done() && !stop.aborted) return
        this.#told.delete(look)
        stop.removeEventListener('abort', look)
        resolve()
      }
      this.#told.add(look)
      stop.addEventListener('abort', look)
      look()
    })
  }

  /** Milliseconds, or until `stop`. */
  async pause(ms: number, stop: AbortSignal): Promise<void> {
    let isDue = false
    const timer = startTimer(
      ms,
      () => {
        isDue = true
        this.tell()
      },
      { alive: true },
    )
    try {
      await this.until(() => isDue, stop)
    } finally {
      stopTimer(timer)
    }
  }

  /** Something may be so now. */
  tell(): void {
    for (const told of this.#told) told()
  }
}
