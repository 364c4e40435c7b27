// Two queues as one stream: what is written goes through one, what is read comes from the other. Each side is what a Readable or a
// Writable would be (filling.ts, sending.ts); what makes one stream of them is that an error of either ends both.

import type { Duplex } from 'node:stream'
import { checkOptions, checkSignal, flag, wholeNumber } from '../base/options.js'
import type { QueueConsumer } from '../queue/consumer.js'
import type { QueueProducer } from '../queue/producer.js'
import { Filling } from './filling.js'
import {
  checkPair,
  streamNames,
  usualMark,
  type GivenOptions,
  type QueuePair,
  type StreamOptions,
} from './options.js'
import { Sending, type Callback, type Written } from './sending.js'

const stream = process.getBuiltinModule('node:stream')

/** Options of `toDuplex`: those of both sides, and what may differ between them, as with `stream.Duplex`. */
export interface DuplexOptions extends StreamOptions {
  /** `objectMode` of the side that is read, if that was left out. */
  readonly readableObjectMode?: boolean | undefined
  /** `objectMode` of the side that is written, if that was left out. */
  readonly writableObjectMode?: boolean | undefined
  /** `highWaterMark` of the side that is read, if that was left out. */
  readonly readableHighWaterMark?: number | undefined
  /** `highWaterMark` of the side that is written, if that was left out. */
  readonly writableHighWaterMark?: number | undefined
  /** May it go on writing when everything was read? Default true; false ends the writing side with the other one. */
  readonly allowHalfOpen?: boolean | undefined
}

/**
 * A `Duplex` over two queues: what is written is sent by `producer`, what is read was received by `consumer`. At the other end the
 * names are crossed over. Nobody else uses either side from now on.
 *
 * Its sides are what `toReadable` and `toWritable` make of them: `end` comes when the other end's producer has closed and
 * everything is read, `finish` when the other end's consumer has read everything. An error of one side destroys the stream, and so
 * both; destroyed with an error it tells the other end by `abort` on both queues, so that a Duplex there is destroyed with
 * `PEER_FAILED`. A process that dies is `PEER_GONE`.
 *
 * @throws MillraceError `INVALID_ARGUMENT`
 *
 * @example
 * ```ts
 * import { pipeline } from 'node:stream/promises'
 * import { SpscQueue } from 'millrace'
 * import { toDuplex } from 'millrace/streams'
 *
 * const peer = toDuplex({ producer: SpscQueue.producer('questions'), consumer: SpscQueue.consumer('answers') })
 * await pipeline(process.stdin, peer, process.stdout) // the other end answers each line
 * ```
 */
export function toDuplex<Sent = never, Received = unknown>(
  pair: QueuePair<Sent, Received>,
  options?: DuplexOptions,
): Duplex {
  checkPair(pair)
  return new QueueDuplex(pair, readDuplexOptions(options))
}

interface GivenDuplexOptions {
  readonly reading: GivenOptions
  readonly writing: GivenOptions
  readonly allowHalfOpen: boolean
}

const ownNames = [
  'readableObjectMode',
  'writableObjectMode',
  'readableHighWaterMark',
  'writableHighWaterMark',
  'allowHalfOpen',
] as const

function readDuplexOptions(given: DuplexOptions | undefined): GivenDuplexOptions {
  const options = checkOptions(given, [...streamNames, ...ownNames])
  const both = {
    autoClose: options.autoClose === undefined || flag(options, 'autoClose'),
    signal: checkSignal(options.signal),
  }
  const inObjectMode = flag(options, 'objectMode')
  const side = (
    mode: 'readableObjectMode' | 'writableObjectMode',
    mark: 'readableHighWaterMark' | 'writableHighWaterMark',
  ): GivenOptions => {
    const objectMode = flag(options, mode) || inObjectMode
    const range = [0, Number.MAX_SAFE_INTEGER] as const
    const own = wholeNumber(options, mark, usualMark(objectMode), range)
    return { ...both, objectMode, highWaterMark: wholeNumber(options, 'highWaterMark', own, range) }
  }
  return {
    reading: side('readableObjectMode', 'readableHighWaterMark'),
    writing: side('writableObjectMode', 'writableHighWaterMark'),
    allowHalfOpen: options.allowHalfOpen === undefined || flag(options, 'allowHalfOpen'),
  }
}

class QueueDuplex extends stream.Duplex {
  readonly #filling: Filling
  readonly #sending: Sending

  constructor(
    pair: {
      readonly producer: QueueProducer<unknown>
      readonly consumer: QueueConsumer<unknown, unknown>
    },
    { reading, writing, allowHalfOpen }: GivenDuplexOptions,
  ) {
    super({
      readableObjectMode: reading.objectMode,
      readableHighWaterMark: reading.highWaterMark,
      writableObjectMode: writing.objectMode,
      writableHighWaterMark: writing.highWaterMark,
      allowHalfOpen,
      decodeStrings: true,
    })
    this.#filling = new Filling(this, pair.consumer, reading)
    this.#sending = new Sending(pair.producer, writing)
    // Not by the constructor of Node: an aborted one would destroy what is not made yet.
    if (reading.signal !== undefined) stream.addAbortSignal(reading.signal, this)
  }

  override _read(): void {
    this.#filling.ask()
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
    this.#filling.leave(error)
    this.#sending.leave(error)
    callback(error)
  }
}
