// Signs of life over one stream: asked for now and then, and a side that says nothing though it was asked is dead.

import { now, startTimer, stopTimer, type Timer } from '../../base/time.js'

/** The other side may want signs of life, but not so many that they are work. */
const leastBeatMs = 100

/** What it asks of the channel. */
export interface Alive {
  /** Does this side read nothing at the moment? Who does not read hears nothing, and the other side is not to blame. */
  readonly isDeaf: boolean
  /** Asks for a sign of life. */
  ask(): void
  /** It has said nothing for so many milliseconds. */
  silent(milliseconds: number): void
}

export class Beat {
  readonly #alive: Alive
  #timer: Timer | undefined
  #heardAt = now()
  #silence = 0
  #answered = true
  /** It seems to be dead, and is looked at once more. */
  #isDoubted = false
  #stopped = false

  constructor(alive: Alive) {
    this.#alive = alive
  }

  /** Milliseconds of silence after which the other side is dead; and those after which it takes us for dead. 0: never. */
  start(own: number, peers: number): void {
    this.#silence = own
    const wanted = peers > 0 ? Math.max(peers, leastBeatMs) : 0
    const every = Math.min(...[own, wanted].filter((ms) => ms > 0)) / 2
    if (every === Infinity) return
    this.#heardAt = now()
    this.#every(Math.max(every, 1))
  }

  /** Something has come. */
  heard(): void {
    if (this.#timer === undefined) return // nobody looks
    this.#heardAt = now()
    this.#answered = true
    this.#isDoubted = false
  }

  /** It listens again: what has come meanwhile is heard only now. */
  listensAgain(): void {
    this.#heardAt = now()
    this.#isDoubted = false
  }

  stop(): void {
    this.#stopped = true
    stopTimer(this.#timer)
    this.#timer = undefined
  }

  #every(milliseconds: number): void {
    const tick = (): void => {
      if (!this.#alive.isDeaf) {
        const quiet = now() - this.#heardAt
        if (this.#silence > 0 && quiet >= this.#silence && !this.#answered) {
          if (this.#isDoubted) {
            this.#alive.silent(this.#silence)
            return
          }
          // Should this side have stood still, the answer may lie in the system: it is read before the next look.
          this.#isDoubted = true
          this.#timer = startTimer(Math.max(milliseconds / 4, 1), tick)
          return
        }
        if (quiet >= milliseconds) this.#answered = false
      }
      this.#alive.ask()
      if (this.#stopped) return
      this.#timer = startTimer(milliseconds, tick)
    }
    this.#timer = startTimer(milliseconds, tick)
  }
}
