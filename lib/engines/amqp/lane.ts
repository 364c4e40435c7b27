// A channel by which messages come, and by which they are settled.
//
// What is done in one turn is told together: a message by which the server knows all before it to be done, too, stands for them. A server
// writes down each acknowledgement for itself, and of a quorum queue to the disk.

import { afterAllElse } from '../../base/time.js'
import type { AmqpLine } from './connection.js'
import type { AmqpChannel, AmqpMessage } from './library.js'

/** A message that is in our hands. */
export interface Taken {
  readonly message: AmqpMessage
  readonly lane: Lane
}

/** Who brings messages of a queue. */
export interface Taker {
  /** The first is waited for. */
  take(most: number, signal: AbortSignal): Promise<readonly Taken[]>
}

/** Of a message that is in our hands, or was, and others before it still are. */
interface Open {
  readonly message: AmqpMessage
  state: 'open' | 'done' | 'told'
}

export class Lane {
  readonly channel: AmqpChannel
  readonly #line: AmqpLine
  readonly #most: number
  #isGuarded = false
  /** In the order in which the server gave them out. */
  #open: Open[] = []
  readonly #byTag = new Map<number, Open>()
  #isTelling = false
  /** The question that is on its way, and the one that follows it. */
  #asking: Promise<unknown> | undefined
  #next: Promise<void> | undefined

  /** `most` for a consumer that it may have. */
  constructor(line: AmqpLine, channel: AmqpChannel, most: number) {
    this.#line = line
    this.channel = channel
    this.#most = most
  }

  /** The server has given that out. */
  taken(message: AmqpMessage): Taken {
    const open: Open = { message, state: 'open' }
    this.#open.push(open)
    this.#byTag.set(message.fields.deliveryTag, open)
    return { message, lane: this }
  }

  /** It is done; resolves when the server has read that. */
  ack(message: AmqpMessage): Promise<void> {
    const open = this.#byTag.get(message.fields.deliveryTag)
    if (open?.state === 'open') open.state = 'done'
    return this.#synced()
  }

  /** It is somebody else's again; resolves when the server has read that. */
  async back(message: AmqpMessage): Promise<void> {
    const open = this.#byTag.get(message.fields.deliveryTag)
    if (open?.state === 'open') {
      open.state = 'told'
      this.channel.nack(message, false, true)
    }
    await this.#synced()
  }

  /** Is the consumer to be told when its queue is removed? */
  async guard(isGuarded: boolean): Promise<void> {
    this.#isGuarded = isGuarded
    await this.limit()
  }

  async limit(): Promise<void> {
    await this.channel.prefetch(this.#most, this.#isGuarded)
  }

  /** When the server has read all that was said to it. */
  #synced(): Promise<void> {
    if (!this.#isTelling) {
      this.#isTelling = true
      afterAllElse(() => {
        this.#isTelling = false
        try {
          this.#tell()
        } catch {
          // The channel has ended, which the question is told.
        }
      })
    }
    return (this.#next ??= this.#asked())
  }

  /** One question is on its way at a time, and asks after all that was said before it. */
  async #asked(): Promise<void> {
    await this.#asking
    await new Promise<void>(afterAllElse)
    this.#next = undefined
    this.#tell()
    const asked = this.limit()
    this.#asking = asked.catch(() => undefined)
    await asked
  }

  #tell(): void {
    this.#line.gather()
    let settled = 0
    while (settled < this.#open.length && this.#open[settled]!.state !== 'open') settled++
    const front = this.#open.slice(0, settled)
    const last = front.findLastIndex(({ state }) => state === 'done')
    // One before it that is told already is none of the server's any more.
    if (last >= 0) {
      const isAlone = front.findIndex(({ state }) => state === 'done') === last
      this.channel.ack(front[last]!.message, !isAlone)
    }
    for (const { message } of front) this.#byTag.delete(message.fields.deliveryTag)
    this.#open = settled === 0 ? this.#open : this.#open.slice(settled)
    for (const one of this.#open) {
      if (one.state !== 'done') continue
      one.state = 'told'
      this.channel.ack(one.message)
    }
  }
}
