// What a successful acquire of a semaphore gives: something to hold, and to release exactly once.

import { disposeInEveryContext } from '../base/disposal.js'
import { inspected, inspection, jsonOf, type Inspecting } from '../base/inspection.js'

/**
 * One permit of a semaphore. Give it back with `release()`, or let `using` do it at the end of the block.
 * A permit that is never released is lost for everybody, also when the process that holds it dies.
 */
export class Permit {
  readonly #semaphore: string
  #giveBack: (() => void) | undefined

  /** @internal */
  constructor(semaphore: string, giveBack: () => void) {
    this.#semaphore = semaphore
    this.#giveBack = giveBack
  }

  /** Has it been given back? */
  get released(): boolean {
    return this.#giveBack === undefined
  }

  /**
   * Gives the permit back; nothing happens the second time. Works after the semaphore's `close()`, too.
   *
   * @throws MillraceError `TOO_LARGE` if others posted so much that there is no room for it
   */
  release(): void {
    const giveBack = this.#giveBack
    this.#giveBack = undefined
    giveBack?.()
  }

  /** What `using` calls at the end of its block: `release()`. */
  [Symbol.dispose](): void {
    this.release()
  }

  static {
    disposeInEveryContext(this.prototype)
  }

  /** For `JSON.stringify`: what `console.log` shows. Never throws. */
  toJSON(): object {
    return jsonOf(this)
  }

  /** @internal What `console.log` shows. */
  [inspected](...how: Inspecting): string {
    return inspection('Permit', how, () => ({
      semaphore: this.#semaphore,
      released: this.released,
    }))
  }
}
