// A consumer as a Readable: what fills it is in filling.ts.

import type { Readable } from 'node:stream'
import type { QueueConsumer } from '../queue/consumer.js'
import { Filling } from './filling.js'
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
  readonly #filling: Filling

  constructor(consumer: QueueConsumer<unknown, unknown>, options: GivenOptions) {
    const { objectMode, highWaterMark, signal } = options
    super({ objectMode, highWaterMark })
    this.#filling = new Filling(this, consumer, options)
    // Not by the constructor of Node: an aborted one would destroy what is not made yet.
    if (signal !== undefined) stream.addAbortSignal(signal, this)
  }

  override _read(): void {
    this.#filling.ask()
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    this.#filling.leave(error)
    callback(error)
  }
}
