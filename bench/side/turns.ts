// For loops that look without waiting, in processes that have an event loop to keep alive.

export class TurnEveryMillisecond {
  #last = performance.now()

  /** Lets the event loop have its turn if a millisecond has passed since the last one. */
  async turnIfDue(): Promise<void> {
    if (performance.now() - this.#last < 1) return
    await new Promise((resolve) => setImmediate(resolve))
    this.#last = performance.now()
  }
}
