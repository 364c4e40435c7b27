// A consumer as a Readable. The stream asks, and only then is there somebody who waits for the queue: what nobody asks for
// stays in the ring, whose producer waits. Whatever is asked for twice while one filling runs is pushed by that one.
//
//   _read() ──► readable() ──► take ──► push ──room in the stream, or asked again──► readable() …
//                  │                     └──full──► idle, until _read()
//                  └──the producer has closed──► push(null)

import type { Readable } from 'node:stream'
import type { QueueConsumer } from '../queue/consumer.js'
import { Gathering, isCancel } from './chunks.js'
import { checkSide, readOptions, type GivenOptions, type StreamOptions } from './options.js'

const stream = process.getBuiltinModule('node:stream')

/**
 * The messages of a queue as a `Readable`, which from now on is the only one to receive them. It ends when the producer has
 * closed and everything is read; where `pop()` would reject (`PEER_FAILED`, `PEER_GONE` …) it is destroyed with that error.
 *
 * Short messages come together in one chunk, unless `objectMode` makes a chunk of each. Nothing is received before somebody
 * reads, and no more than `highWaterMark` ahead; what the stream has received counts as read.
 *
 * With the stream the consumer closes (`autoClose`): in good order when it ends, or when nobody reads on (`destroy()`, `break`, an
 * `AbortError`); by `abort(error)` when it is destroyed with any other error, as `pipeline` does when another stream of it has
 * failed: then the producer hears why.
 *
 * @throws MillraceError `INVALID_ARGUMENT`
 *
 * @example
 * ```ts
 * import { createWriteStream } from 'node:fs'
 * import { pipeline } from 'node:stream/promises'
 * import { SpscQueue } from 'millrace'
 * import { toReadable } from 'millrace/streams'
 *
 * await pipeline(toReadable(SpscQueue.consumer('upload', { fresh: true })), createWriteStream('copy'))
 * ```
 */
export function toReadable(
  consumer: QueueConsumer<unknown, unknown>,
  options?: StreamOptions,
): Readable {
  checkSide(consumer, 'QueueConsumer', 'tryPopPacked')
  return new QueueReadable(consumer, readOptions(options))
}

class QueueReadable extends stream.Readable {
  readonly #consumer: QueueConsumer<unknown, unknown>
  readonly #autoClose: boolean
  readonly #gathering: Gathering
  readonly #stop = new AbortController()
  #filling = false
  #askedAgain = false

  constructor(consumer: QueueConsumer<unknown, unknown>, options: GivenOptions) {
    const { objectMode, highWaterMark, autoClose, signal } = options
    super({ objectMode, highWaterMark })
    this.#consumer = consumer
    this.#autoClose = autoClose
    this.#gathering = new Gathering(consumer, highWaterMark, { alone: false })
    // Not by the constructor of Node: an aborted one would destroy what is not made yet.
    if (signal !== undefined) stream.addAbortSignal(signal, this)
  }

  override _read(): void {
    this.#askedAgain = true
    if (!this.#filling) void this.#fill()
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#stop.abort()
    if (this.#autoClose) {
      // Of what its own end or failure brings about, a producer need not hear; its successor must not.
      const tells = error !== null && !isCancel(error) && this.#consumer.peer === 'attached'
      if (tells) this.#consumer.abort(error)
      else this.#consumer.close()
    }
    callback(error)
  }

  /** Pushes until that is enough. Between two chunks the event loop has its turns. */
  async #fill(): Promise<void> {
    this.#filling = true
    try {
      while (await this.#consumer.readable({ signal: this.#stop.signal })) {
        if (this.destroyed) return
        const chunk = this.readableObjectMode ? this.#consumer.tryPop() : this.#gathering.take()
        if (chunk === undefined) continue
        this.#askedAgain = false
        if (!this.push(chunk) && !this.#wasAsked) return
      }
      this.push(null)
    } catch (error) {
      this.destroy(error as Error)
    } finally {
      this.#filling = false
    }
  }

  /** By somebody who read what we were pushing. */
  get #wasAsked(): boolean {
    return this.#askedAgain
  }
}
