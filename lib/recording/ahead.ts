// What comes next of a recording, read ahead and in the order of its times.
//
// A recorder sees several channels one after the other, so what one of them has may have been published before what another had, and lie
// behind it. A second of the recording puts that right.

import type { RecordedMessage } from './recording.js'

/** How far messages may lie from their place. */
const windowNs = 1_000_000_000n
/** So much is in memory at most, beside one message. */
const mostBytes = 2 ** 24
const mostMessages = 10_000
/** Who was published so long before being recorded had waited, or goes by another clock. */
const mostLagNs = 10_000_000_000n

/** A message, and when it is its turn. */
export interface Turn {
  readonly message: RecordedMessage
  /** Nanoseconds since 1970. */
  readonly time: bigint
}

export class Ahead {
  readonly #messages: AsyncIterator<RecordedMessage>
  /** In the order of their times. */
  #turns: Turn[] = []
  #bytes = 0
  /** When the last one that was read was recorded. */
  #reach = 0n
  #isOver = false

  constructor(messages: AsyncIterator<RecordedMessage>) {
    this.#messages = messages
  }

  /** The next; undefined at the end. */
  async next(): Promise<Turn | undefined> {
    while (!this.#isOver && !this.#isEnough()) {
      const next = await this.#messages.next()
      if (next.done === true) this.#isOver = true
      else this.#insert({ message: next.value, time: timeOf(next.value) })
    }
    const first = this.#turns.shift()
    if (first !== undefined) this.#bytes -= first.message.bytes.length
    return first
  }

  #isEnough(): boolean {
    const first = this.#turns[0]
    if (first === undefined) return false
    return (
      this.#reach - first.time >= windowNs ||
      this.#bytes >= mostBytes ||
      this.#turns.length >= mostMessages
    )
  }

  /** Nearly always it is the last one. */
  #insert(turn: Turn): void {
    let at = this.#turns.length
    while (at > 0 && this.#turns[at - 1]!.time > turn.time) at--
    if (at === this.#turns.length) this.#turns.push(turn)
    else this.#turns.splice(at, 0, turn)
    this.#bytes += turn.message.bytes.length
    if (turn.message.logTime > this.#reach) this.#reach = turn.message.logTime
  }
}

/** When it was published; if that cannot be, when it was recorded. */
function timeOf({ publishTime, logTime }: RecordedMessage): bigint {
  const isLikely = publishTime <= logTime && logTime - publishTime <= mostLagNs
  return isLikely ? publishTime : logTime
}
