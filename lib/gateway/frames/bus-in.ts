// Frames from the bus of an engine, of all who send by that subject. What comes too fast takes the place of the oldest parts, whose frames
// are counted.

import { now, startTimer, stopTimer, type Timer } from '../../base/time.js'
import type { LoanedFrame } from '../../frames/frame.js'
import type { ConnectionStatus } from '../../net/connection-status.js'
import type { TopicMessage } from '../../topics/message.js'
import type { Subscription } from '../../topics/subscription.js'
import type { Topics } from '../../topics/topics.js'
import type { Carrier, Counts } from '../route.js'
import { partBytesAt, type BusOptions } from './bus-out.js'
import { Joining } from './joining.js'
import { readPart } from './part.js'
import type { FrameTarget } from './target.js'

/** Milliseconds after which the rest of a frame does not come any more. */
const silentMs = 10_000
/** Ways that are remembered. */
const mostWays = 256
/** Parts that may wait here, at least. */
const leastDepth = 64
const mostDepth = 65_536

export class BusIn implements Carrier {
  readonly guarantee = 'at-most-once'
  isReady = false
  readonly #bus: Topics
  readonly #target: FrameTarget
  readonly #options: BusOptions
  readonly #counts: Counts
  readonly #over = new AbortController()
  /** The one that came last is behind. */
  readonly #ways = new Map<string, Joining>()
  #subscription: Subscription | undefined
  #stop: AbortSignal | undefined
  #look: Timer | undefined

  constructor(bus: Topics, target: FrameTarget, options: BusOptions, counts: Counts) {
    this.#bus = bus
    this.#target = target
    this.#options = options
    this.#counts = counts
    this.#lookForSilence()
  }

  get connections(): readonly ConnectionStatus[] {
    return [this.#bus.connection].filter((one) => one !== undefined)
  }

  get error(): Error | undefined {
    return this.#target.error
  }

  async run(stop: AbortSignal): Promise<void> {
    this.#stop = stop
    try {
      await this.#bus.connected({ signal: stop })
      const parts = Math.ceil(this.#target.slotBytes / partBytesAt(this.#bus, this.#options))
      this.#subscription = await this.#bus.subscribe(this.#options.subject, {
        policy: 'overwrite-oldest',
        // So that the newest frame is whole in it, whatever gave way.
        depth: Math.min(Math.max(leastDepth, 2 * parts), mostDepth, this.#bus.messages),
        signal: this.#over.signal,
      })
      this.isReady = true
      await this.#receive(this.#subscription, stop)
    } catch (error) {
      if (!stop.aborted) throw error
    }
  }

  async settled(): Promise<void> {
    const { signal } = this.#over
    const subscription = this.#subscription
    if (subscription === undefined) return
    const rest = this.#receiveRest(subscription).catch(() => undefined)
    await this.#target.flow.empty(signal)
    subscription.close()
    await rest
  }

  async close(): Promise<void> {
    this.#over.abort()
    stopTimer(this.#look)
    this.#subscription?.close()
    for (const way of this.#ways.values()) way.abandon()
    this.#target.close()
    this.#bus.close()
    await Promise.resolve()
  }

  async #receive(subscription: Subscription, stop: AbortSignal): Promise<void> {
    while (!stop.aborted) await this.#arrived(await subscription.receive({ signal: stop }))
  }

  /** What belongs to frames that are half there. */
  async #receiveRest(subscription: Subscription): Promise<void> {
    while (!this.#over.signal.aborted && this.#isAnyOpen()) {
      await this.#arrived(await subscription.receive({ signal: this.#over.signal }))
    }
  }

  async #arrived(message: TopicMessage): Promise<void> {
    try {
      const read = readPart(message.bytes)
      if (read?.part.length !== message.length - (read?.at ?? 0)) {
        this.#target.count('damaged')
        return
      }
      const { part, at } = read
      const way = this.#wayOf(part.way)
      if (this.#stop?.aborted === true && !way.isOpen) return
      const room = await way.room(part)
      if (room === undefined) return
      room.set(message.bytes.subarray(at))
      way.placed(part)
    } finally {
      message.release()
    }
  }

  #wayOf(name: string): Joining {
    const way = this.#ways.get(name) ?? new Joining(this.#target, () => this.#slot())
    this.#ways.delete(name)
    this.#ways.set(name, way)
    if (this.#ways.size > mostWays) {
      const [oldest, its] = this.#ways.entries().next().value!
      its.abandon()
      this.#ways.delete(oldest)
    }
    return way
  }

  /** Whoever has a frame half here needs the parts that come behind: then there is no waiting. */
  #slot(): Promise<LoanedFrame> | LoanedFrame | undefined {
    const now = this.#target.tryLoan()
    if (now !== undefined || this.#isAnyOpen()) return now
    return this.#target.loan(this.#stop ?? this.#over.signal)
  }

  #isAnyOpen(): boolean {
    return this.#counts.inFlight > 0
  }

  #lookForSilence(): void {
    this.#look = startTimer(silentMs / 2, () => {
      const silent = now() - silentMs
      for (const way of this.#ways.values()) if (way.touched < silent) way.abandon()
      this.#lookForSilence()
    })
  }
}
