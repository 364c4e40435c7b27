// How a producer sends what is written to a stream of Node's: to a Writable, or to the writing side of a Duplex. A chunk is done with
// when it lies in the ring, and the stream has finished when everything is read: so back-pressure goes through, and `pipeline` resolves
// when nothing can be lost any more.

import { endFairly } from '../base/fairness.js'
import type { QueueProducer } from '../queue/producer.js'
import { addPieces } from './chunks.js'
import type { GivenOptions } from './options.js'

export type Callback = (error?: Error | null) => void

/** As `_writev` gets it. */
export interface Written {
  readonly chunk: unknown
  readonly encoding: BufferEncoding
}

/** The producer of one stream. */
export class Sending {
  readonly #producer: QueueProducer<unknown>
  readonly #objectMode: boolean
  readonly #autoClose: boolean
  /** Set when the stream is destroyed: why. */
  #leftWith: Error | undefined
  readonly #stop = new AbortController() // not of the library: the queue may be of another copy of it
  readonly #wait = { signal: this.#stop.signal }

  constructor(
    producer: QueueProducer<unknown>,
    { objectMode, autoClose }: Pick<GivenOptions, 'objectMode' | 'autoClose'>,
  ) {
    this.#producer = producer
    this.#objectMode = objectMode
    this.#autoClose = autoClose
  }

  /** For `_write` and `_writev`. */
  send(chunks: readonly Written[], callback: Callback): void {
    try {
      const messages = this.#messagesOf(chunks)
      const sent = this.#producer.tryPushBatch(messages)
      if (sent === messages.length) endFairly(callback, undefined)
      else this.#settle(this.#producer.pushBatch(messages.slice(sent), this.#wait), callback)
    } catch (error) {
      callback(error as Error) // of a producer whose ring is gone
    }
  }

  /** For `_final`. */
  end(callback: Callback): void {
    if (this.#autoClose) this.#settle(this.#producer.end(this.#wait), callback)
    else callback()
  }

  /** For `_destroy`. */
  leave(error: Error | null): void {
    this.#leftWith = error ?? destroyedError()
    this.#stop.abort()
    // Closed already, if it has finished.
    if (this.#autoClose) this.#producer.abort(error ?? 'the stream was destroyed before its end')
  }

  /** Of a stream that was destroyed meanwhile Node says so to all that was written and not sent; then not that we gave up. */
  #settle(done: Promise<void>, callback: Callback): void {
    done.then(
      () => {
        callback()
      },
      (error: unknown) => {
        callback(this.#leftWith ?? (error as Error))
      },
    )
  }

  #messagesOf(chunks: readonly Written[]): unknown[] {
    if (this.#objectMode) return chunks.map(messageOf)
    const messages: Uint8Array[] = []
    for (const { chunk } of chunks) addPieces(messages, chunk as Uint8Array, this.#producer)
    return messages
  }
}

/** Text in another encoding than a message's. */
function messageOf({ chunk, encoding }: Written): unknown {
  return typeof chunk === 'string' ? Buffer.from(chunk, encoding) : chunk
}

/** As Node's own streams have it. */
function destroyedError(): Error {
  const error = new Error('Cannot call write after a stream was destroyed')
  return Object.assign(error, { code: 'ERR_STREAM_DESTROYED' })
}
