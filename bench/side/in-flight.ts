// Calls that are under way at the same time, up to a number of them.

export class InFlight {
  readonly #most: number
  #count = 0
  #error: Error | undefined
  #wake: () => void = () => undefined

  constructor(most: number) {
    this.#most = most
  }

  /** Resolves as soon as another may be added. Throws what an earlier one did. */
  async add(call: Promise<unknown>): Promise<void> {
    this.#count++
    call.then(this.#ended, (error: unknown) => {
      this.#error ??= error instanceof Error ? error : new Error(String(error))
      this.#ended()
    })
    await this.#below(this.#most)
  }

  /** Resolves when none is under way. */
  async all(): Promise<void> {
    await this.#below(1)
  }

  readonly #ended = () => {
    this.#count--
    this.#wake()
  }

  async #below(count: number): Promise<void> {
    while (this.#count >= count) await new Promise<void>((resolve) => (this.#wake = resolve))
    if (this.#error !== undefined) throw this.#error
  }
}
