// A producer as a Writable. A chunk is done with when it lies in the ring, and the stream has finished when everything is read:
// so back-pressure goes through, and `pipeline` resolves when nothing can be lost any more.

import type { Writable } from 'node:stream'
import type { QueueProducer } from '../queue/producer.js'
import { piecesOf } from './chunks.js'
import { checkSide, readOptions, type GivenOptions, type StreamOptions } from './options.js'

const stream = process.getBuiltinModule('node:stream')

type Callback = (error?: Error | null) => void
interface Written {
  readonly chunk: unknown
  readonly encoding: BufferEncoding
}

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
  readonly #producer: QueueProducer<unknown>
  readonly #autoClose: boolean
  readonly #stop = new AbortController()

  constructor(producer: QueueProducer<unknown>, options: GivenOptions) {
    const { objectMode, highWaterMark, autoClose, signal } = options
    super({ objectMode, highWaterMark, decodeStrings: true })
    this.#producer = producer
    this.#autoClose = autoClose
    // Not by the constructor of Node: an aborted one would destroy what is not made yet.
    if (signal !== undefined) stream.addAbortSignal(signal, this)
  }

  override _write(chunk: unknown, encoding: BufferEncoding, callback: Callback): void {
    this.#send([{ chunk, encoding }], callback)
  }

  override _writev(chunks: Written[], callback: Callback): void {
    this.#send(chunks, callback)
  }

  override _final(callback: Callback): void {
    if (this.#autoClose) settle(this.#producer.end(this.#wait), callback)
    else callback()
  }

  override _destroy(error: Error | null, callback: Callback): void {
    this.#stop.abort()
    // Closed already, if it has finished.
    if (this.#autoClose) this.#producer.abort(error ?? 'the stream was destroyed before its end')
    callback(error)
  }

  #send(chunks: readonly Written[], callback: Callback): void {
    try {
      settle(this.#producer.pushBatch(this.#messagesOf(chunks), this.#wait), callback)
    } catch (error) {
      callback(error as Error) // of a producer whose ring is gone
    }
  }

  #messagesOf(chunks: readonly Written[]): unknown[] {
    if (this.writableObjectMode) return chunks.map(messageOf)
    return chunks.flatMap(({ chunk }) => [...piecesOf(this.#producer, chunk as Uint8Array)])
  }

  get #wait(): { readonly signal: AbortSignal } {
    return { signal: this.#stop.signal }
  }
}

/** Text in another encoding than a message's. */
function messageOf({ chunk, encoding }: Written): unknown {
  return typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk
}

function settle(done: Promise<void>, callback: Callback): void {
  done.then(() => {
    callback()
  }, callback)
}
