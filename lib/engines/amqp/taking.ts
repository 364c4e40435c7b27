// Taking what is wanted, and no more: what the server gives out counts as an attempt, and nobody else has it meanwhile. So what may be there is
// asked for one by one, over several channels at a time; and when there is none, a consumer with room for one waits for it. That ends when it
// has one: what is given to a consumer that ends with room left, the server takes back, and counts. So it stays for a moment when nobody waits
// any more, for who asks again and again.
//
// When a queue is removed, a server of version 3 tells its consumers so only if it cannot make them consumers of a queue that has that name by
// then; and what such a consumer is given, the server loses sight of until the channel ends (rabbit_channel, handle_consuming_queue_down_or_eol).
// A channel with a limit of its own cannot have a consumer of a quorum queue, so with one that is set as soon as the consumer is there it is told.

import { startTimer, stopTimer, type Timer } from '../../base/time.js'
import { MillraceError } from '../../errors.js'
import type { AmqpLine } from './connection.js'
import { Lane, type Taken, type Taker } from './lane.js'
import type { AmqpMessage } from './library.js'

/** Jobs for one who asks. */
const mostAtOnce = 1024
/** Channels that ask at the same time: the server answers one question of each. */
const mostLanes = 8
/** Milliseconds for who asks again, before a consumer ends and before a job goes back. */
const lingerMs = 20

interface Waiting {
  readonly most: number
  resolve(messages: readonly Taken[]): void
  reject(error: Error): void
}

export class Taking implements Taker {
  readonly #line: AmqpLine
  readonly #queue: string
  readonly #guards: boolean
  readonly #lanes: Lane[] = []
  #waiting: Waiting[] = []
  #isAtWork = false
  /** Ends the wait for what the consumer brings. */
  #stop: () => void = () => undefined
  /** Tells who has a job for nobody that somebody asks, or that nobody did in time. */
  #joined: (() => void)[] = []
  #linger: Timer | undefined
  #over: Error | undefined

  private constructor(line: AmqpLine, queue: string) {
    this.#line = line
    this.#queue = queue
    this.#guards = line.generation === 3
  }

  static async open(line: AmqpLine, queue: string): Promise<Taking> {
    const taking = new Taking(line, queue)
    await taking.#widen(1)
    return taking
  }

  /** The first is waited for. */
  take(most: number, signal: AbortSignal): Promise<readonly Taken[]> {
    return new Promise((resolve, reject) => {
      const end = (): void => {
        signal.removeEventListener('abort', onAbort)
        this.#waiting = this.#waiting.filter((one) => one !== waiting)
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
        if (this.#waiting.length === 0) this.#stopLater()
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
      this.#waiting.push(waiting)
      stopTimer(this.#linger)
      this.#tellJoined()
      void this.#work()
    })
  }

  #end(why: Error): void {
    if (this.#over !== undefined) return
    this.#over = this.#line.gone()
    // The server has closed the channel: what was in hand is in the queue again.
    this.#line.fail(why)
    for (const waiting of this.#waiting) waiting.reject(this.#over)
    stopTimer(this.#linger)
    this.#stop()
    this.#tellJoined()
  }

  #stopLater(): void {
    stopTimer(this.#linger)
    this.#linger = startTimer(lingerMs, () => {
      this.#stop()
    })
  }

  #tellJoined(): void {
    for (const told of this.#joined) told()
    this.#joined = []
  }

  /** Until somebody asks, if that is soon. */
  async #somebody(): Promise<void> {
    if (this.#waiting.length > 0 || this.#over !== undefined) return
    const timer = startTimer(lingerMs, () => {
      this.#tellJoined()
    })
    await new Promise<void>((resolve) => {
      this.#joined.push(resolve)
    })
    stopTimer(timer)
  }

  async #work(): Promise<void> {
    if (this.#isAtWork) return
    this.#isAtWork = true
    try {
      // Whoever asks in this turn is counted.
      await Promise.resolve()
      while (this.#waiting.length > 0) await this.#round()
    } catch (error) {
      const failure = this.#over ?? this.#line.told(error, 'no')
      for (const waiting of this.#waiting) waiting.reject(failure)
    } finally {
      this.#isAtWork = false
    }
  }

  async #round(): Promise<void> {
    await this.#widen(Math.min(this.#waiting.length, mostLanes))
    const asking = this.#waiting.slice(0, this.#lanes.length)
    const found = await Promise.all(asking.map((one, at) => this.#asked(one, this.#lanes[at]!)))
    if (found.some(Boolean) || this.#waiting.length === 0) return
    const taken = await this.#awaited()
    if (taken !== undefined) await this.#give(this.#waiting[0], [taken])
  }

  /** What is there now; by one channel, so it is in its order. Was there any? */
  async #asked(waiting: Waiting, lane: Lane): Promise<boolean> {
    const taken: Taken[] = []
    const most = Math.min(waiting.most, mostAtOnce)
    while (taken.length < most && this.#waiting.includes(waiting)) {
      const message = await lane.channel.get(this.#queue, { noAck: false })
      if (message === false) break
      taken.push(lane.taken(message))
    }
    if (taken.length > 0) await this.#give(waiting, taken)
    return taken.length > 0
  }

  /** What comes next; nothing: nobody waits for it any more, or the channel has ended. */
  async #awaited(): Promise<Taken | undefined> {
    const lane = this.#lanes[0]!
    const { channel } = lane
    let taken: Taken | undefined
    const removed = { is: false }
    const stopped = new Promise<void>((stop) => {
      this.#stop = stop
    })
    const arrived = (message: AmqpMessage | null): void => {
      if (message === null) removed.is = true
      else taken = lane.taken(message)
      this.#stop()
    }
    const { consumerTag } = await channel.consume(this.#queue, arrived, {})
    if (this.#guards) await lane.guard(true)
    if (this.#waiting.length === 0) this.#stopLater()
    await stopped
    if (removed.is) this.#line.fail(new Error(`somebody has removed the queue '${this.#queue}'`))
    else if (this.#over === undefined) {
      await channel.cancel(consumerTag)
      if (this.#guards) await lane.guard(false)
    }
    return taken
  }

  async #widen(lanes: number): Promise<void> {
    while (this.#lanes.length < lanes) {
      const channel = await this.#line.channel((why) => {
        this.#end(why)
      })
      const lane = new Lane(this.#line, channel, 1)
      await lane.limit()
      this.#lanes.push(lane)
    }
  }

  /** To who asked for it; or to somebody else who waits, or asks soon. */
  async #give(waiting: Waiting | undefined, taken: readonly Taken[]): Promise<void> {
    let left = taken
    let to = waiting !== undefined && this.#waiting.includes(waiting) ? waiting : undefined
    while (left.length > 0) {
      if (to === undefined) {
        await this.#somebody()
        to = this.#waiting[0]
        if (to === undefined) break
      }
      to.resolve(left.slice(0, to.most))
      left = left.slice(to.most)
      to = undefined
    }
    for (const { lane, message } of left) lane.back(message).catch(() => undefined) // the connection has ended: it is back
  }
}
