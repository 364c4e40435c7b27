// Keeps the event loop alive where nothing that the system watches does.

import { startTimer, stopTimer, type Timer } from '../base/time.js'

/** As long as timers go; then the next one. */
const spanMs = 2 ** 30

export class Holding {
  #timer: Timer | undefined

  hold(alive: boolean): void {
    if (alive === (this.#timer !== undefined)) return
    if (alive) this.#start()
    else {
      stopTimer(this.#timer)
      this.#timer = undefined
    }
  }

  #start(): void {
    this.#timer = startTimer(
      spanMs,
      () => {
        this.#start()
      },
      { alive: true },
    )
  }
}
