// A channel by which messages come, and by which they are settled.

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

export class Lane {
  readonly channel: AmqpChannel
  readonly #most: number
  #sync: Promise<void> | undefined
  #isGuarded = false

  /** `most` for a consumer that it may have. */
  constructor(channel: AmqpChannel, most: number) {
    this.channel = channel
    this.#most = most
  }

  /** Resolves when the server has read that. */
  async ack(message: AmqpMessage): Promise<void> {
    this.channel.ack(message)
    await this.#synced()
  }

  /** It is somebody else's again; resolves when the server has read that. */
  async back(message: AmqpMessage): Promise<void> {
    this.channel.nack(message, false, true)
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

  /** When the server has read all that was said to it; what is said in one turn is asked after together. */
  #synced(): Promise<void> {
    return (this.#sync ??= Promise.resolve().then(async () => {
      this.#sync = undefined
      await this.limit()
    }))
  }
}
