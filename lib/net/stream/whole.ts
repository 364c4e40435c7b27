// What the two halves of a channel over a stream know of the whole.

import type { Duplex } from 'node:stream'

import type { Traits } from '../channel.js'

/** What the halves ask of the channel. */
export interface Whole {
  /** As errors name it. */
  readonly title: string
  readonly stream: Duplex
  readonly directions: Traits['directions']
  /** Bytes that wait at each side, at most. */
  readonly highWaterMark: number
  /** Is nothing read at the moment? */
  readonly paused: boolean
  /** Closed by this side. */
  readonly closed: boolean
  /** Why there is nothing more, if it is over. */
  readonly over: Error | undefined
  /** Does `send` wait until it is written? */
  readonly confirms: boolean
  /** Do all channels of the listener together hold more than they may? */
  readonly isTight: boolean
  /** So many more bytes wait at this side; or fewer. */
  holds(bytes: number): void
  /** The stream could not be written to. */
  failed(error: Error): void
}
