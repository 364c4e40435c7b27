// What a stream of bytes makes of messages, and messages of chunks: in a stream messages have no borders.

import { hasCode } from '../errors.js'
import type { QueueConsumer } from '../queue/consumer.js'
import type { QueueProducer } from '../queue/producer.js'

/** Most bytes of short messages that become one chunk. */
const mostGathered = 65_536
/** Most messages of one chunk. */
const mostMessages = 1024
/** What a message takes of the ring beside its bytes. */
const recordHeaderBytes = 8
/** So many of the longest ones fit at once. */
const pieces = 4

/** Takes the messages of a consumer as chunks of bytes. */
export class Gathering {
  readonly #consumer: QueueConsumer<unknown, unknown>
  readonly #most: number
  readonly #alone: boolean
  /** Where messages are gathered, and their lengths. */
  #scratch: Buffer<ArrayBuffer> | undefined
  #lengths: Uint32Array | undefined
  /** Was the last message longer than those that are gathered? As a rule so is the next one. */
  #isLong = false

  /** `alone`: no chunk shares its memory with another one, so that each can be transferred. */
  constructor(
    consumer: QueueConsumer<unknown, unknown>,
    highWaterMark: number,
    { alone }: { readonly alone: boolean },
  ) {
    this.#consumer = consumer
    this.#alone = alone
    this.#most = Math.min(highWaterMark, mostGathered)
  }

  /** A long message, or all shorter ones that are there; `undefined` if there are none, or only empty ones. */
  take(): Buffer<ArrayBuffer> | undefined {
    if (this.#isLong) {
      const next = this.#consumer.nextLength
      this.#isLong = next > this.#most
      if (this.#isLong) return this.#takeOne(next)
    }
    const scratch = (this.#scratch ??= Buffer.allocUnsafeSlow(this.#most))
    const bytes = this.takeInto(scratch)
    if (bytes < 0) {
      const next = this.#consumer.nextLength
      this.#isLong = next > this.#most
      return this.#takeOne(next)
    }
    if (bytes === 0) return undefined
    if (bytes <= this.#most / 2) return this.#copyOf(scratch.subarray(0, bytes))
    this.#scratch = undefined // it goes with the chunk
    return bytes === scratch.length ? scratch : scratch.subarray(0, bytes)
  }

  /**
   * All messages that are there and fit, to the start of `target`: how many bytes. -1: the first does not fit, or somebody holds
   * an earlier one.
   */
  takeInto(target: Uint8Array): number {
    const lengths = (this.#lengths ??= new Uint32Array(mostMessages))
    let count: number
    try {
      count = this.#consumer.tryPopPacked(target, lengths)
    } catch (error) {
      if (hasCode(error, 'ERR_MILLRACE_BUSY') || hasCode(error, 'ERR_MILLRACE_TOO_LARGE')) return -1
      throw error
    }
    let bytes = 0
    for (let i = 0; i < count; i++) bytes += lengths[i]!
    return bytes
  }

  #copyOf(bytes: Buffer<ArrayBuffer>): Buffer<ArrayBuffer> {
    if (!this.#alone) return Buffer.from(bytes)
    const copy = Buffer.allocUnsafeSlow(bytes.length)
    copy.set(bytes)
    return copy
  }

  #takeOne(length: number): Buffer<ArrayBuffer> | undefined {
    const chunk = Buffer.allocUnsafeSlow(Math.max(length, 0))
    return this.#consumer.tryPopInto(chunk) > 0 ? chunk : undefined
  }
}

/** Bytes of the longest message that leaves room in the ring for others, so that both sides can work at the same time. */
export function longestPiece({ capacity }: QueueProducer<unknown>): number {
  // It is 0 of one that was closed before it was used, and that refuses all.
  return capacity > 0 ? capacity / pieces - recordHeaderBytes : Infinity
}

/**
 * A chunk as messages, added to `messages`: pieces of about the same length, so that none is much shorter than it need be, and not longer
 * than what a stream at the other side reads at once.
 */
export function addPieces(
  messages: Uint8Array[],
  chunk: Uint8Array,
  producer: QueueProducer<unknown>,
): void {
  const most = Math.min(longestPiece(producer), mostGathered)
  const { length } = chunk
  if (length <= most) {
    if (length > 0) messages.push(chunk)
    return
  }
  const piece = Math.ceil(length / Math.ceil(length / most) / 8) * 8
  for (let at = 0; at < length; at += piece) messages.push(chunk.subarray(at, at + piece))
}

/** By a signal, and by who leaves a loop. */
export function isCancel(error: unknown): boolean {
  return typeof error === 'object' && (error as Error | null)?.name === 'AbortError'
}
