// What both kinds of streams are made with.

import { invalidArgument } from '../errors.js'
import { checkOptions, checkSignal, flag, show, wholeNumber } from '../base/options.js'
import type { PlainBuffer } from '../base/view-constructor.js'
import type { QueueConsumer } from '../queue/consumer.js'
import type { QueueProducer } from '../queue/producer.js'

/** Both directions: what one end's producer sends, the other end's consumer receives. */
export interface QueuePair<Sent = never, Received = PlainBuffer> {
  /** Sends what is written. */
  readonly producer: QueueProducer<Sent>
  /** Receives what is read. */
  readonly consumer: QueueConsumer<Received, unknown>
}

/** Options of `toReadable` and `toWritable`. */
export interface StreamOptions {
  /**
   * Is each message a chunk of its own? So it has to be for values (`schema`). Default false: a stream of bytes, in which messages
   * have no borders.
   */
  readonly objectMode?: boolean | undefined
  /** How much the stream itself buffers, beside the ring: bytes, or chunks with `objectMode`. Default 65 536, or 16. */
  readonly highWaterMark?: number | undefined
  /** Close the side of the queue with the stream? Default true; false leaves it open, as it is, for another stream. */
  readonly autoClose?: boolean | undefined
  /** Destroys the stream with an `AbortError`, as Node's own streams do. */
  readonly signal?: AbortSignal | undefined
}

/** @internal */
export interface GivenOptions {
  readonly objectMode: boolean
  readonly highWaterMark: number
  readonly autoClose: boolean
  readonly signal: AbortSignal | undefined
}

export const streamNames = ['objectMode', 'highWaterMark', 'autoClose', 'signal'] as const

/** Of a stream that buffers so much, where nothing else is said. */
export const usualMark = (objectMode: boolean): number => (objectMode ? 16 : 65_536)

/** @throws MillraceError `INVALID_ARGUMENT` */
export function readOptions(given: StreamOptions | undefined): GivenOptions {
  const options = checkOptions(given, streamNames)
  const objectMode = flag(options, 'objectMode')
  const usual = usualMark(objectMode)
  return {
    objectMode,
    highWaterMark: wholeNumber(options, 'highWaterMark', usual, [0, Number.MAX_SAFE_INTEGER]),
    autoClose: options.autoClose === undefined || flag(options, 'autoClose'),
    signal: checkSignal(options.signal),
  }
}

/**
 * By what it can do: one of another copy of this package is as good.
 *
 * @throws MillraceError `INVALID_ARGUMENT`
 */
export function checkSide(side: object | undefined, what: string, method: string): void {
  if (typeof (side as Record<string, unknown> | undefined | null)?.[method] === 'function') return
  throw invalidArgument(`the first argument must be a ${what}, not ${show(side)}`)
}

/** @throws MillraceError `INVALID_ARGUMENT` */
export function checkPair(pair: unknown): void {
  if (typeof pair !== 'object' || pair === null) {
    throw invalidArgument(`the pair must be { producer, consumer }, not ${show(pair)}`)
  }
  const { producer, consumer } = pair as Record<string, object>
  checkSide(producer, 'pair with a QueueProducer as producer', 'pushBatch')
  checkSide(consumer, 'pair with a QueueConsumer as consumer', 'tryPopPacked')
}
