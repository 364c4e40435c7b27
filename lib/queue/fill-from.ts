// Messages out of a stream of bytes: what reads it is in base/fill.ts.

import type { Filled, FillSource } from '../base/fill.js'
import { checkOptions, checkSignal, wholeNumber } from '../base/options.js'
import { MillraceError } from '../errors.js'
import type { Reservation } from './reservation.js'
import { recordHeaderBytes } from './ring-layout.js'

/** Options of `QueueProducer.fillFrom`. */
export interface FillFromOptions {
  /** Bytes of each message. Default: each read or chunk is a message, as long as it is. */
  readonly messageBytes?: number | undefined
  /** Ends it with `ERR_MILLRACE_ABORTED`. */
  readonly signal?: AbortSignal | undefined
}

/** The most that the system is asked for at once. */
const mostOfRead = 65_536
/** So many of the longest reads fit at once, so that both sides can work at the same time. */
const pieces = 4

interface Producer {
  readonly capacity: number
  reserve(length: number): Reservation | undefined
  reserveWhenFree(
    length: number,
    wait: { readonly signal: AbortSignal | undefined },
  ): Promise<Reservation>
}

/** What only the producer itself knows. */
interface Inside extends Pick<Filled<Reservation>, 'title' | 'onClose'> {
  /** Throws if a message of that length cannot be sent now. */
  readonly judge: (length: number) => void
}

/** As `QueueProducer.fillFrom`. */
export async function fillFrom(
  producer: Producer,
  { title, judge, onClose }: Inside,
  source: FillSource,
  options: FillFromOptions | undefined,
): Promise<number> {
  const given = checkOptions(options, ['messageBytes', 'signal'])
  const signal = checkSignal(given.signal)
  const usual = Math.min(mostOfRead, producer.capacity / pieces - recordHeaderBytes)
  const pieceBytes = wholeNumber(given, 'messageBytes', usual, [1, Number.MAX_SAFE_INTEGER])
  judge(pieceBytes)
  const filled: Filled<Reservation> = {
    title,
    onClose,
    pieceBytes,
    whole: given.messageBytes !== undefined,
    tryRoom: () => producer.reserve(pieceBytes),
    room: (wait) => producer.reserveWhenFree(pieceBytes, wait),
    bytesOf: (reservation) => reservation.bytes,
    write: (reservation, part, at) => {
      reservation.bytes.set(part, at)
    },
    send: (reservation, length) => {
      reservation.commit(length)
    },
    discard: (reservation) => {
      reservation.abort()
    },
    incomplete: (messages, missing) =>
      new MillraceError(
        'ERR_MILLRACE_INCOMPLETE',
        `the source ended in the middle of message ${String(messages + 1)}: ${String(missing)} of its ` +
          `${String(pieceBytes)} bytes are missing; the ${String(messages)} before it are sent`,
      ),
  }
  const { fill } = require('../base/fill.js') as typeof import('../base/fill.js')
  return (await fill(filled, source, signal)).bytes
}
