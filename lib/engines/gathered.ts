// What is asked of an engine one by one and goes to it together: all of one turn, in its order. It waits for nothing: what is alone goes
// alone.

import { afterAllElse } from '../base/time.js'

export class Gathered<T> {
  readonly #send: (items: readonly T[]) => void
  #items: T[] = []

  /** `send` never throws. */
  constructor(send: (items: readonly T[]) => void) {
    this.#send = send
  }

  add(item: T): void {
    if (this.#items.push(item) > 1) return
    afterAllElse(() => {
      this.now()
    })
  }

  /** What there is goes before whatever is asked next. */
  now(): void {
    if (this.#items.length === 0) return
    const items = this.#items
    this.#items = []
    this.#send(items)
  }
}
