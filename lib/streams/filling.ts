// How a consumer fills a stream of Node's: of a Readable, or the reading side of a Duplex. The stream asks, and only then is
// there somebody who waits for the queue: what nobody asks for stays in the ring, whose producer waits. Whatever is asked for twice
// while one filling runs is pushed by that one.
//
//   _read() ──► take ──► push ──room in the stream, or asked again──► take …
//                │         └──full──► idle, until _read()
//                └──nothing there──► readable() ──► take …
//                                        └──the producer has closed──► push(null)

import type { Readable } from 'node:stream'
import { atTurn, endFairly, turnIsDue } from '../base/fairness.js'
import type { QueueConsumer } from '../queue/consumer.js'
import { Gathering, isCancel } from './chunks.js'
import type { GivenOptions } from './options.js'

/** The consumer of one stream. */
export class Filling {
  readonly #stream: Readable
  readonly #consumer: QueueConsumer<unknown, unknown>
  readonly #autoClose: boolean
  readonly #gathering: Gathering
  readonly #stop = new AbortController() // not of the library: the queue may be of another copy of it
  readonly #wait = { signal: this.#stop.signal }
  #filling = false
  #askedAgain = false

  constructor(
    stream: Readable,
    consumer: QueueConsumer<unknown, unknown>,
    { highWaterMark, autoClose }: GivenOptions,
  ) {
    this.#stream = stream
    this.#consumer = consumer
    this.#autoClose = autoClose
    this.#gathering = new Gathering(consumer, highWaterMark, { alone: false })
  }

  /** For `_read`. What is there goes at once, unless the event loop is due its turn. */
  ask(): void {
    this.#askedAgain = true
    if (this.#filling) return
    this.#filling = true
    endFairly(this.#fill, undefined)
  }

  /** For `_destroy`. */
  leave(error: Error | null): void {
    this.#stop.abort()
    if (!this.#autoClose) return
    // Of what its own end or failure brings about, a producer need not hear; its successor must not.
    if (error !== null && !isCancel(error) && this.#isHeard()) this.#consumer.abort(error)
    else this.#consumer.close()
  }

  #isHeard(): boolean {
    return !this.#consumer.closed && this.#consumer.peer === 'attached'
  }

  /** Pushes until that is enough, or there is nothing more now. */
  readonly #fill = (): void => {
    const stream = this.#stream
    try {
      while (!stream.destroyed) {
        const chunk = stream.readableObjectMode ? this.#consumer.tryPop() : this.#gathering.take()
        if (chunk === undefined) {
          void this.#waitForMore()
          return
        }
        this.#askedAgain = false
        if (!stream.push(chunk) && !this.#wasAsked) break
        if (turnIsDue()) {
          atTurn(this.#fill, undefined)
          return
        }
      }
    } catch (error) {
      stream.destroy(error as Error)
    }
    this.#filling = false
  }

  async #waitForMore(): Promise<void> {
    try {
      if (await this.#consumer.readable(this.#wait)) {
        this.#fill()
        return
      }
      this.#stream.push(null)
    } catch (error) {
      this.#stream.destroy(error as Error)
    }
    this.#filling = false
  }

  /** By somebody who read what we were pushing. */
  get #wasAsked(): boolean {
    return this.#askedAgain
  }
}
