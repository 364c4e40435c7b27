// How a consumer fills a stream of Node's: of a Readable, or the reading side of a Duplex. The stream asks, and only then is
// there somebody who waits for the queue: what nobody asks for stays in the ring, whose producer waits. Whatever is asked for twice
// while one filling runs is pushed by that one.
//
//   _read() ──► readable() ──► take ──► push ──room in the stream, or asked again──► readable() …
//                  │                     └──full──► idle, until _read()
//                  └──the producer has closed──► push(null)

import type { Readable } from 'node:stream'
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

  /** For `_read`. */
  ask(): void {
    this.#askedAgain = true
    if (!this.#filling) void this.#fill()
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

  /** Pushes until that is enough. Between two chunks the event loop has its turns. */
  async #fill(): Promise<void> {
    const stream = this.#stream
    this.#filling = true
    try {
      while (await this.#consumer.readable(this.#wait)) {
        if (stream.destroyed) return
        const chunk = stream.readableObjectMode ? this.#consumer.tryPop() : this.#gathering.take()
        if (chunk === undefined) continue
        this.#askedAgain = false
        if (!stream.push(chunk) && !this.#wasAsked) return
      }
      stream.push(null)
    } catch (error) {
      stream.destroy(error as Error)
    } finally {
      this.#filling = false
    }
  }

  /** By somebody who read what we were pushing. */
  get #wasAsked(): boolean {
    return this.#askedAgain
  }
}
