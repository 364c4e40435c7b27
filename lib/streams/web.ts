// Queues as web streams. They ask and wait as those of Node do (readable.ts, writable.ts); what differs is who brings the memory:
// a reader may bring its own (BYOB), and then messages are copied there from the ring.

import type {
  ReadableByteStreamController,
  UnderlyingByteSource,
  UnderlyingSink,
  UnderlyingSource,
  WritableStreamDefaultController,
} from 'node:stream/web'
import type { QueueConsumer } from '../queue/consumer.js'
import type { QueueProducer } from '../queue/producer.js'
import { bytesOf, type ByteSource } from '../base/bytes.js'
import { addPieces, Gathering, isCancel } from './chunks.js'
import {
  checkPair,
  checkSide,
  readOptions,
  type GivenOptions,
  type QueuePair,
  type StreamOptions,
} from './options.js'

/**
 * As `toReadable`, a `ReadableStream`: of bytes (`type: 'bytes'`, so `getReader({ mode: 'byob' })` reads into memory of its own),
 * or with `objectMode` of messages and values. Cancelling it closes the consumer, or tells the producer the reason by `abort`, if
 * one is given.
 *
 * @throws MillraceError `INVALID_ARGUMENT`
 *
 * @example
 * ```ts
 * import { SpscQueue } from 'millrace'
 * import { toReadableStream } from 'millrace/streams'
 *
 * const upload = toReadableStream(SpscQueue.consumer('upload', { fresh: true }))
 * const unpacked = upload.pipeThrough(new DecompressionStream('gzip'))
 * ```
 */
export function toReadableStream(
  consumer: QueueConsumer,
  options?: StreamOptions & { readonly objectMode?: false | undefined },
): ReadableStream<Uint8Array<ArrayBuffer>>
export function toReadableStream<Value>(
  consumer: QueueConsumer<Value, unknown>,
  options: StreamOptions & { readonly objectMode: true },
): ReadableStream<Value>
export function toReadableStream(
  consumer: QueueConsumer<unknown, unknown>,
  options?: StreamOptions,
): ReadableStream<unknown> {
  checkSide(consumer, 'QueueConsumer', 'tryPopPacked')
  const given = readOptions(options)
  const source = new Source(consumer, given)
  const { highWaterMark } = given
  return given.objectMode
    ? new ReadableStream<unknown>(source.ofValues(), { highWaterMark })
    : new ReadableStream(source.ofBytes(), { highWaterMark })
}

/**
 * As `toWritable`, a `WritableStream` of bytes and text, or with `objectMode` of messages and values. `close()` resolves when the
 * consumer has read everything; `abort(reason)` tells it the reason.
 *
 * @throws MillraceError `INVALID_ARGUMENT`
 */
export function toWritableStream<Value = never>(
  producer: QueueProducer<Value>,
  options?: StreamOptions,
): WritableStream<ByteSource | Value> {
  checkSide(producer, 'QueueProducer', 'pushBatch')
  const given = readOptions(options)
  return new WritableStream<ByteSource | Value>(new Sink(producer, given), {
    highWaterMark: given.highWaterMark,
    size: given.objectMode ? () => 1 : sizeOf,
  })
}

/** As `pipeThrough` takes it. */
export interface StreamPair<Written, Read> {
  /** What was received. */
  readonly readable: ReadableStream<Read>
  /** What is to be sent. */
  readonly writable: WritableStream<Written>
}

/**
 * Two queues as a pair of web streams, as `pipeThrough` takes it and a transform stream has it: what is written is sent by
 * `producer`, what is read was received by `consumer`. Each is what `toReadableStream` and `toWritableStream` make of it, and ends
 * and fails for itself.
 *
 * @throws MillraceError `INVALID_ARGUMENT`
 *
 * @example
 * ```ts
 * import { SpscQueue } from 'millrace'
 * import { toStreamPair } from 'millrace/streams'
 *
 * const packer = toStreamPair({ producer: SpscQueue.producer('plain'), consumer: SpscQueue.consumer('packed') })
 * const packed = new Blob(['hello']).stream().pipeThrough(packer) // done by another process
 * ```
 */
export function toStreamPair<Sent = never>(
  pair: QueuePair<Sent, unknown>,
  options?: StreamOptions & { readonly objectMode?: false | undefined },
): StreamPair<ByteSource | Sent, Uint8Array<ArrayBuffer>>
export function toStreamPair<Sent, Received>(
  pair: QueuePair<Sent, Received>,
  options: StreamOptions & { readonly objectMode: true },
): StreamPair<ByteSource | Sent, Received>
export function toStreamPair(
  pair: QueuePair<unknown, unknown>,
  options?: StreamOptions,
): StreamPair<unknown, unknown> {
  checkPair(pair)
  readOptions(options) // before anything is made of it
  return {
    readable: toReadableStream(pair.consumer, options as StreamOptions & { objectMode: true }),
    writable: toWritableStream(pair.producer, options),
  }
}

/** In bytes. What has none is for `write` to refuse: of an error here the stream tells the sink nothing, nor that the consumer. */
function sizeOf(chunk: unknown): number {
  try {
    return bytesOf(chunk as ByteSource, 'the chunk').length
  } catch {
    return 0
  }
}

/** Ends a stream from outside. */
interface Controller {
  error(reason: unknown): void
}

class Source {
  readonly #consumer: QueueConsumer<unknown, unknown>
  readonly #autoClose: boolean
  readonly #gathering: Gathering
  readonly #stop = new AbortController()
  readonly #signal: AbortSignal | undefined
  /** What did not fit into the memory that a reader brought. */
  #rest: Uint8Array<ArrayBuffer> | undefined

  constructor(consumer: QueueConsumer<unknown, unknown>, options: GivenOptions) {
    this.#consumer = consumer
    this.#autoClose = options.autoClose
    this.#gathering = new Gathering(consumer, Math.max(options.highWaterMark, 1), { alone: true })
    this.#signal = options.signal
  }

  ofValues(): UnderlyingSource<unknown> {
    return {
      start: (controller) => {
        this.#follow(controller)
      },
      pull: async (controller) => {
        const value = await this.#next(() => this.#consumer.tryPop())
        if (value === undefined) controller.close()
        else controller.enqueue(value)
      },
      cancel: this.#cancel,
    }
  }

  ofBytes(): UnderlyingByteSource {
    return {
      type: 'bytes',
      start: (controller) => {
        this.#follow(controller)
      },
      pull: async (controller) => {
        const chunk = await this.#next(() => this.#takeBytes(controller))
        if (chunk === undefined) {
          controller.close()
          controller.byobRequest?.respond(0)
        } else if (typeof chunk === 'number') {
          controller.byobRequest!.respond(chunk)
        } else {
          controller.enqueue(chunk)
        }
      },
      cancel: this.#cancel,
    }
  }

  /** Waits until `take` finds something; `undefined` when there will be nothing more. */
  async #next<T>(take: () => T | undefined): Promise<T | undefined> {
    try {
      if (this.#rest !== undefined) return take()
      while (await this.#consumer.readable({ signal: this.#stop.signal })) {
        const found = take()
        if (found !== undefined) return found
      }
    } catch (error) {
      this.#leave(error)
      throw error
    }
    this.#leave(undefined)
    return undefined
  }

  /** How many bytes went into the memory of the reader, or a chunk for who brought none. */
  #takeBytes(
    controller: ReadableByteStreamController,
  ): number | Uint8Array<ArrayBuffer> | undefined {
    const view = controller.byobRequest?.view
    if (view === null || view === undefined) {
      const rest = this.#rest
      this.#rest = undefined
      return rest ?? this.#gathering.take()
    }
    const target = new Uint8Array(view.buffer, view.byteOffset, view.byteLength)
    if (this.#rest === undefined) {
      const bytes = this.#gathering.takeInto(target)
      if (bytes >= 0) return bytes === 0 ? undefined : bytes
      this.#rest = this.#gathering.take()
      if (this.#rest === undefined) return undefined
    }
    const some = Math.min(target.length, this.#rest.length)
    target.set(this.#rest.subarray(0, some))
    this.#rest = some < this.#rest.length ? this.#rest.subarray(some) : undefined
    return some
  }

  readonly #cancel = (reason: unknown): void => {
    this.#stop.abort()
    this.#leave(isCancel(reason) ? undefined : reason)
  }

  #leave(reason: unknown): void {
    if (!this.#autoClose) return
    // Of what its own end or failure brings about, a producer need not hear; its successor must not.
    if (reason !== undefined && this.#consumer.peer === 'attached') this.#consumer.abort(reason)
    else this.#consumer.close()
  }

  #follow(controller: Controller): void {
    follow(this.#signal, (reason) => {
      controller.error(reason)
      this.#cancel(undefined)
    })
  }
}

class Sink implements UnderlyingSink<unknown> {
  readonly #producer: QueueProducer<unknown>
  readonly #objectMode: boolean
  readonly #autoClose: boolean
  readonly #signal: AbortSignal | undefined
  readonly #stop = new AbortController()

  constructor(producer: QueueProducer<unknown>, options: GivenOptions) {
    this.#producer = producer
    this.#objectMode = options.objectMode
    this.#autoClose = options.autoClose
    this.#signal = options.signal
  }

  start(controller: WritableStreamDefaultController): void {
    // A write that waits for room ends with it.
    const { signal } = controller as unknown as { readonly signal: AbortSignal }
    signal.addEventListener('abort', () => {
      this.#stop.abort(signal.reason)
    })
    follow(this.#signal, (reason) => {
      controller.error(reason)
      this.abort(reason)
    })
  }

  async write(chunk: unknown): Promise<void> {
    const { signal } = this.#stop
    try {
      const messages = this.#objectMode
        ? [chunk]
        : this.#piecesOf(bytesOf(chunk as ByteSource, 'the chunk'))
      await this.#producer.pushBatch(messages, { signal })
    } catch (error) {
      // Whoever aborts has a reason, which `abort` tells; that the wait for room has ended follows from it.
      if (signal.aborted) throw signal.reason
      this.abort(error)
      throw error
    }
  }

  #piecesOf(chunk: Uint8Array): Uint8Array[] {
    const messages: Uint8Array[] = []
    addPieces(messages, chunk, this.#producer)
    return messages
  }

  async close(): Promise<void> {
    if (this.#autoClose) await this.#producer.end({ signal: this.#stop.signal })
  }

  abort(reason: unknown): void {
    this.#stop.abort(reason)
    if (this.#autoClose) this.#producer.abort(reason ?? 'the stream was aborted before its end')
  }
}

function follow(signal: AbortSignal | undefined, end: (reason: unknown) => void): void {
  if (signal === undefined) return
  const onAbort = () => {
    end(signal.reason)
  }
  if (signal.aborted) onAbort()
  else signal.addEventListener('abort', onAbort, { once: true })
}
