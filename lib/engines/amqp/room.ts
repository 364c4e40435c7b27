// Room in a queue that has limits. A server that finds a queue full takes all that is on its way there nevertheless, and says so to nobody
// before. So no more is on its way than there was room for at the last look, and when that is used up there is another look.

import { MillraceError } from '../../errors.js'
import type { AmqpLine } from './connection.js'
import type { AmqpChannel } from './library.js'
import type { Published } from './publishing.js'
import type { AmqpQueue } from './queue.js'

/** Of the bytes that a queue may have, one part of so many may be on its way: nobody tells how many it has. */
const partsOnTheWay = 16

export class Room {
  readonly #line: AmqpLine
  readonly #name: string
  readonly #jobs: number
  readonly #bytes: number
  /** Jobs that may follow before the next look. */
  #left: number
  /** What is not confirmed. */
  #on = { jobs: 0, bytes: 0 }
  #channel: Promise<AmqpChannel> | undefined
  #look: Promise<Published> | undefined
  #waiting: (() => void)[] = []

  constructor(line: AmqpLine, { name, facts: { jobs, bytes } }: AmqpQueue) {
    this.#line = line
    this.#name = name
    this.#jobs = jobs
    this.#bytes = bytes
    this.#left = jobs === Infinity ? Infinity : 0
  }

  /** Is there always some? */
  get isEndless(): boolean {
    return this.#jobs === Infinity && this.#bytes === Infinity
  }

  /**
   * Publishes so many bytes, if there is room.
   *
   * @throws MillraceError (as rejection) `ABORTED` (nothing was published), and what `publish` throws
   */
  async use(
    length: number,
    signal: AbortSignal,
    publish: () => Promise<Published>,
  ): Promise<Published> {
    if (this.#left <= 0) {
      const seen = await this.#looked()
      if (seen !== 'taken') return seen
      if (this.#left <= 0) return 'full'
    }
    while (this.#on.jobs > 0 && this.#on.bytes + length > this.#bytes / partsOnTheWay) {
      await new Promise<void>((told) => {
        this.#waiting.push(told)
      })
    }
    if (signal.aborted) {
      throw new MillraceError('ERR_MILLRACE_ABORTED', 'nobody waits for room any more')
    }
    this.#left--
    this.#count(1, length)
    try {
      const published = await publish()
      if (published === 'full' && this.#jobs !== Infinity) this.#left = 0
      return published
    } finally {
      this.#count(-1, -length)
    }
  }

  #count(jobs: number, bytes: number): void {
    this.#on = { jobs: this.#on.jobs + jobs, bytes: this.#on.bytes + bytes }
    if (jobs > 0) return
    for (const told of this.#waiting) told()
    this.#waiting = []
  }

  /** `taken`: it is known how much there is. */
  #looked(): Promise<Published> {
    return (this.#look ??= this.#ask().finally(() => {
      this.#look = undefined
    }))
  }

  async #ask(): Promise<Published> {
    // Some of it may be counted there, too: then there is more room than this says.
    const { jobs: onTheWay } = this.#on
    try {
      const channel = await (this.#channel ??= this.#line.channel(() => {
        this.#channel = undefined
      }))
      const { messageCount } = await channel.checkQueue(this.#name)
      this.#left = this.#jobs - messageCount - onTheWay
      return 'taken'
    } catch (error) {
      if ((error as { readonly code?: unknown }).code === 404) return 'nowhere'
      throw this.#line.told(error, 'no')
    }
  }
}
