// A producer as a Writable: what sends its chunks is in sending.ts.

import type { Writable } from 'node:stream'
import type { QueueProducer } from '../queue/producer.js'
import { checkSide, readOptions, type GivenOptions, type StreamOptions } from './options.js'
import { Sending, type Callback, type Written } from './sending.js'

const stream = process.getBuiltinModule('node:stream')

/**
 * A `Writable` whose chunks are sent by that producer, for which nobody else sends from now on. A chunk that is longer than a
 * quarter of the ring goes as several messages; with `objectMode` each chunk is one message or value, and one that does not fit
 * is `TOO_LARGE`.
 *
 * `finish` comes when the consumer has read everything and the producer has closed (`end()`). The stream is destroyed with the error
 * that `push` or `end()` rejects with. One that is destroyed before it has finished, with or without an error, tells the consumer by
 * `abort()`, so that nobody takes a part for the whole. With `autoClose: false` the producer stays open, and `finish` comes
 * when everything is sent.
 *
 * @throws MillraceError `INVALID_ARGUMENT`
 *
 * @example
 * ```ts
 * import { createReadStream } from 'node:fs'
 * import { pipeline } from 'node:stream/promises'
 * import { SpscQueue } from 'millrace'
 * import { toWritable } from 'millrace/streams'
 *
 * await pipeline(createReadStream('original'), toWritable(SpscQueue.producer('upload', { fresh: true })))
 * ```
 */
export function toWritable<Value = never>(
  producer: QueueProducer<Value>,
  options?: StreamOptions,
): Writable {
  checkSide(producer, 'QueueProducer', 'pushBatch')
  return new QueueWritable(producer, readOptions(options))
}

class QueueWritable extends stream.Writable {
  readonly #sending: Sending

  constructor(producer: QueueProducer<unknown>, options: GivenOptions) {
    const { objectMode, highWaterMark, signal } = options
    super({ objectMode, highWaterMark, decodeStrings: true })
    this.#sending = new Sending(producer, options)
    // Not by the constructor of Node: an aborted one would destroy what is not made yet.
    if (signal !== undefined) stream.addAbortSignal(signal, this)
  }

  override _write(chunk: unknown, encoding: BufferEncoding, callback: Callback): void {
    this.#sending.send([{ chunk, encoding }], callback)
  }

  override _writev(chunks: Written[], callback: Callback): void {
    this.#sending.send(chunks, callback)
  }

  override _final(callback: Callback): void {
    this.#sending.end(callback)
  }

  override _destroy(error: Error | null, callback: Callback): void {
    this.#sending.leave(error)
    callback(error)
  }
}
