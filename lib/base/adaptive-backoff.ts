// Learning whether looking for a while before sleeping pays: it is tried while it lately did, and otherwise
// every now and then.

const best = 8
const seldom = 16

export class AdaptiveBackoff {
  /** How well it paid lately; at 0 only one time in `seldom` is tried. */
  #score = best / 2
  #skipped = 0

  /** Is it worth trying this time? */
  try(): boolean {
    if (this.#score > 0) return true
    this.#skipped = (this.#skipped + 1) % seldom
    return this.#skipped === 0
  }

  paid(): void {
    if (this.#score < best) this.#score++
  }

  lost(): void {
    if (this.#score > 0) this.#score--
  }
}
