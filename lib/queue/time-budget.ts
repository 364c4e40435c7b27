// How long a `drain` that was not told how much to take may keep the event loop: cooperative scheduling, as of the tasks of
// a runtime. The clock is looked at rarely, and more rarely while messages take no time.

import { now } from '../base/time.js'

const budgetMs = 5
/** So many messages it takes at least, however long they take. */
const firstLook = 16
const sparsestLook = 256

/** Begins to run when it is made. */
export class TimeBudget {
  readonly #began = now()
  #untilLook = firstLook
  #every = firstLook

  /** Has it run out? To be asked after each message. */
  spent(): boolean {
    if (--this.#untilLook > 0) return false
    const passed = now() - this.#began
    if (passed >= budgetMs) return true
    if (passed < budgetMs / 8 && this.#every < sparsestLook) this.#every *= 2
    this.#untilLook = this.#every
    return false
  }
}
