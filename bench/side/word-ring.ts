// A ring of messages of one size, as fast as JavaScript makes it: positions on cache lines of their own, each side
// keeps what it last saw of the other's, words are copied, nobody sleeps. What a hand-written queue over shared
// memory comes to: no crash safety, no wake-ups, no other sizes.

const writeAt = 0
const readAt = 32
const dataAt = 64

export const ringWords = (slots: number, slotWords: number) => dataAt + slots * slotWords

export class WordRing {
  readonly #memory: Int32Array
  readonly #slots: number
  readonly #slotWords: number
  /** Our own position, and how far we may go as far as we know. Both count messages, and wrap at 2^32. */
  #position = 0
  #limit = 0
  /** What the reader last let the writer know. */
  #told = 0

  constructor(memory: Int32Array, slots: number, slotWords: number) {
    this.#memory = memory
    this.#slots = slots
    this.#slotWords = slotWords
  }

  /** Copies a message in; false if there is no room. */
  tryPush(message: Int32Array): boolean {
    const memory = this.#memory
    const position = this.#position
    if (position === this.#limit) {
      this.#limit = (Atomics.load(memory, readAt) + this.#slots) | 0
      if (position === this.#limit) return false
    }
    const words = this.#slotWords
    const at = dataAt + (position & (this.#slots - 1)) * words
    for (let i = 0; i < words; i++) memory[at + i] = message[i]!
    this.#position = (position + 1) | 0
    Atomics.store(memory, writeAt, this.#position)
    return true
  }

  /** Copies the next message out; false if there is none. */
  tryPop(target: Int32Array): boolean {
    const memory = this.#memory
    const position = this.#position
    if (position === this.#limit) {
      if (this.#told !== position) this.#tell(position)
      this.#limit = Atomics.load(memory, writeAt)
      if (position === this.#limit) return false
    }
    const words = this.#slotWords
    const at = dataAt + (position & (this.#slots - 1)) * words
    for (let i = 0; i < words; i++) target[i] = memory[at + i]!
    const next = (position + 1) | 0
    this.#position = next
    // The writer need not know of each: an eighth of the ring at a time.
    if (((next - this.#told) | 0) >= this.#slots >> 3) this.#tell(next)
    return true
  }

  #tell(position: number): void {
    this.#told = position
    Atomics.store(this.#memory, readAt, position)
  }

  /** Has the reader had everything? */
  get drained(): boolean {
    return Atomics.load(this.#memory, readAt) === this.#position
  }
}
