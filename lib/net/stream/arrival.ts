// What is known to have come to the other side. A mark behind what was sent asks for it, one at a time: so those who wait cost one frame
// each way for each round trip, however many they are.

import { afterAllElse } from '../../base/time.js'
import { timeoutError } from '../../errors.js'
import { longestMessage } from '../framing.js'
import { Line, Pending, type Limits } from '../waits.js'

/** One who waits until so many messages have come. */
class Awaiting extends Pending<void> {
  readonly count: number

  constructor(line: Line<void>, limits: Limits, count: number) {
    super(line, limits)
    this.count = count
  }
}

export class Arrival {
  readonly #line: Line<void>
  readonly #mark: (number: number) => void
  #sent = 0
  #known = 0
  /** The number of the last mark, and what was sent before it. */
  #number = 0
  #asked = 0
  #isAsking = false
  #over: Error | undefined

  /** `mark`: sends one, behind all that was sent. */
  constructor(title: string, mark: (number: number) => void) {
    this.#mark = mark
    this.#line = new Line<void>((ms) =>
      timeoutError(
        `word from the other side of ${title} that a message has come`,
        ms,
        'it may have come: see whether the other side is stopped, or receives too little, or allow more time',
      ),
    )
  }

  /** Messages that were sent, and are not known to have come. */
  get unknown(): number {
    return this.#sent - this.#known
  }

  /** One more was sent. */
  sent(): void {
    this.#sent++
  }

  /** When all that was sent has come. */
  wait(limits: Limits): Promise<void> {
    if (this.#over !== undefined) return Promise.reject(this.#over)
    const promise = this.#line.stand(new Awaiting(this.#line, limits, this.#sent))
    this.#askSoon()
    return promise
  }

  /** The other side has answered a mark. */
  reached(number: number): void {
    if (!this.#isAsking || number !== this.#number) return // nobody has asked
    this.#isAsking = false
    this.#known = this.#asked
    for (;;) {
      const first = this.#line.first as Awaiting | undefined
      if (first === undefined) return
      if (first.count > this.#known) break
      first.resolve()
    }
    this.#askSoon()
  }

  fail(error: Error): void {
    this.#over ??= error
    this.#line.rejectAll(error)
  }

  #askSoon(): void {
    if (this.#isAsking) return
    this.#isAsking = true
    afterAllElse(() => {
      if (this.#over !== undefined) return
      this.#number = (this.#number + 1) & longestMessage
      this.#asked = this.#sent
      this.#mark(this.#number)
    })
  }
}
