// Taking for who always wants more, as a gateway does: a consumer that stays, with room for so many as may be in hand. What it has been given
// and nobody has asked for lies here, counts as an attempt if it goes back, and is in its order.

import { MillraceError } from '../../errors.js'
import type { AmqpLine } from './connection.js'
import { Lane, type Taken, type Taker } from './lane.js'
import type { AmqpMessage } from './library.js'

interface Waiting {
  readonly most: number
  resolve(messages: readonly Taken[]): void
  reject(error: Error): void
}

export class TakingAhead implements Taker {
  readonly #line: AmqpLine
  readonly #queue: string
  readonly #ahead: number
  /** The consumer is made when somebody asks: who only pushes has none. */
  #isConsuming = false
  readonly #there: Taken[] = []
  readonly #waiting = new Set<Waiting>()
  #isServing = false
  #over: Error | undefined

  constructor(line: AmqpLine, queue: string, ahead: number) {
    this.#line = line
    this.#queue = queue
    this.#ahead = ahead
  }

  take(most: number, signal: AbortSignal): Promise<readonly Taken[]> {
    return new Promise((resolve, reject) => {
      const end = (): void => {
        signal.removeEventListener('abort', onAbort)
        this.#waiting.delete(waiting)
      }
      const waiting: Waiting = {
        most,
        resolve: (messages) => {
          end()
          resolve(messages)
        },
        reject: (error) => {
          end()
          reject(error)
        },
      }
      const onAbort = (): void => {
        waiting.reject(
          new MillraceError('ERR_MILLRACE_ABORTED', 'nobody waits for this job any more'),
        )
      }
      if (signal.aborted) {
        onAbort()
        return
      }
      if (this.#over !== undefined) {
        reject(this.#over)
        return
      }
      signal.addEventListener('abort', onAbort)
      this.#waiting.add(waiting)
      this.#serveSoon()
      if (this.#isConsuming) return
      this.#isConsuming = true
      this.#consume().catch((error: unknown) => {
        this.#end(error as Error)
      })
    })
  }

  async #consume(): Promise<void> {
    const channel = await this.#line.channel((why) => {
      this.#end(why)
    })
    const lane = new Lane(this.#line, channel, this.#ahead)
    await lane.limit()
    await channel.consume(
      this.#queue,
      (message: AmqpMessage | null) => {
        if (message === null) {
          this.#end(new Error(`somebody has removed the queue '${this.#queue}'`))
          return
        }
        this.#there.push(lane.taken(message))
        this.#serveSoon()
      },
      {},
    )
    // Of a server of version 3: see taking.ts.
    if (this.#line.generation === 3) await lane.guard(true)
  }

  /** All that one read brought goes to who asks first. */
  #serveSoon(): void {
    if (this.#isServing) return
    this.#isServing = true
    void Promise.resolve().then(() => {
      this.#isServing = false
      for (const waiting of this.#waiting) {
        if (this.#there.length === 0) return
        waiting.resolve(this.#there.splice(0, waiting.most))
      }
    })
  }

  #end(why: Error): void {
    if (this.#over !== undefined) return
    this.#over = this.#line.gone()
    // What was in hand is in the queue again, and what lay here.
    this.#line.fail(why)
    this.#there.length = 0
    for (const waiting of this.#waiting) waiting.reject(this.#over)
  }
}
