// What a subscriber has: the messages that match, in their order, each once.

import type { NativeTopics } from '../addon/topics.js'
import { forgetAbort, whenAborted } from '../base/abort-signals.js'
import { block, readBlocking, type BlockingOptions } from '../base/blocking.js'
import { disposeInEveryContext } from '../base/disposal.js'
import { fairly } from '../base/fairness.js'
import { inspected, inspection, jsonOf, type Inspecting } from '../base/inspection.js'
import { iterate, type Iteration, type IterationOptions } from '../base/iteration.js'
import { readWait, wholeNumber, type Tuning, type WaitOptions } from '../base/options.js'
import { readinessOf, selectable, type Readiness } from '../base/selectable.js'
import { WaitQueue } from '../base/wait-queue.js'
import { receiving } from '../base/tracing.js'
import type { Attempt } from '../base/waiter.js'
import { closedError, invalidArgument, MillraceError, timeoutError } from '../errors.js'
import { Intake, type Source } from './intake.js'
import type { TopicMessage } from './message.js'
import type { Policy, Wanted } from './options.js'
import type { TopicSeat, TopicWaiter } from './seat.js'
import { tracedTopics } from './tracing-topics.js'

/** @internal Whose subscription it is. */
export interface Bus {
  readonly name: string
  readonly title: string
  readonly native: NativeTopics
  readonly seat: TopicSeat
  readonly source: Source
  readonly tuning: Tuning
  readonly closed: boolean
  /** Looks for dead handles. */
  look(): void
  /** May its memory be touched? If it was shortened, the bus is closed. A system call. */
  whole(): boolean
  /** Something was read: is there one of our own who waits for room? */
  read(): void
  leave(reason: MillraceError): void
  left(subscription: Member): void
}

/** @internal What its bus needs of a subscription. */
export interface Member {
  ref(): unknown
  unref(): unknown
  /** The bus was closed, or it was. */
  end(reason: Error | (() => Error)): void
}

/** The most messages that `receiveBatch` gives. */
const mostAtOnce = 2 ** 20

/**
 * The messages of a bus that match one filter or several, in the order of the bus, each once. From `await bus.subscribe(…)` on, all
 * that is published is received or, with `overwrite-oldest`, counted as missed.
 *
 * Messages that have come are read up to 64 at a time, a quarter of `depth` at most; they count as read, and are handed out one by
 * one.
 *
 * @example
 * ```ts
 * for await (using message of subscription) console.log(message.subject, message.text())
 * ```
 */
export class Subscription implements AsyncIterable<TopicMessage> {
  /** What is subscribed to. */
  readonly filters: readonly string[]
  /** What happens when it lags behind. */
  readonly policy: Policy
  /** Messages of the bus by which it may lag behind. */
  readonly depth: number
  readonly #bus: Bus
  readonly #entry: number
  readonly #intake: Intake
  readonly #waits: WaitQueue
  readonly #title: string
  readonly #signal: AbortSignal | undefined
  readonly #abort = {
    aborted: (): void => {
      this.close()
    },
  }
  #closed = false

  /** @internal */
  constructor(bus: Bus, entry: number, wanted: Wanted) {
    this.#bus = bus
    this.#entry = entry
    this.filters = wanted.filters
    this.policy = wanted.policy
    this.depth = wanted.depth
    this.#title = `the subscription to ${wanted.filters.join(', ')} of ${bus.title}`
    this.#intake = new Intake(bus.source, entry, wanted.depth)
    const waiter: TopicWaiter = bus.seat.waiter(entry)
    this.#waits = new WaitQueue(
      waiter,
      () => !bus.seat.isLookout(waiter),
      (reason) => {
        bus.leave(reason)
      },
      bus.tuning,
    )
    this.#signal = wanted.signal
    if (wanted.signal !== undefined) whenAborted(wanted.signal, this.#abort)
  }

  /** Was it closed, or its bus? */
  get closed(): boolean {
    return this.#closed || this.#bus.closed
  }

  /** How many of its messages were overwritten before it read them, as far as it knows: up to the last message that it has. */
  get missed(): number {
    return this.#intake.missed
  }

  /**
   * The next message, waiting for it without blocking the event loop.
   *
   * @throws MillraceError (as rejection) `ABORTED`, `TIMEOUT`, `CLOSED`, `CORRUPT`, `INVALID_ARGUMENT`
   */
  receive(options?: WaitOptions): Promise<TopicMessage> {
    return receiving.yes
      ? tracedTopics().tracedReceive(this.#seen, 'receive', () => this.receiveUnseen(options))
      : this.receiveUnseen(options)
  }

  /** @internal The same, and nobody who looks on sees it. */
  receiveUnseen(options?: WaitOptions): Promise<TopicMessage> {
    try {
      const wait = readWait(options)
      const message = this.tryReceive()
      return message === undefined
        ? this.#waits.wait(this.#late, this.#attempt, wait)
        : fairly(message)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** The next message if there is one now, and no earlier call waits for one. Never blocks. */
  tryReceive(): TopicMessage | undefined {
    this.#assertOpen()
    return this.#waits.occupied ? undefined : this.#next()
  }

  /** As `receive`, blocking this thread; for Workers. Errors are thrown; `BUSY` while others wait for messages of it. */
  receiveSync(options?: BlockingOptions): TopicMessage {
    const given = readBlocking(options)
    this.#assertOpen()
    if (this.#waits.occupied) {
      throw new MillraceError(
        'ERR_MILLRACE_BUSY',
        `${this.#title} is busy: earlier calls wait, and receiveSync would overtake them; await those first`,
      )
    }
    return block(this.#waits, this.#late, given, this.#attempt, (spin, timeout) =>
      this.#bus.native.waitForMessage(this.#entry, spin, timeout),
    )
  }

  /** Up to `max` messages that are there now; waits for the first. Errors as `receive`. */
  receiveBatch(max: number, options?: WaitOptions): Promise<TopicMessage[]> {
    return receiving.yes
      ? tracedTopics().tracedReceive(this.#seen, 'receiveBatch', () =>
          this.#receiveBatch(max, options),
        )
      : this.#receiveBatch(max, options)
  }

  #receiveBatch(max: number, options?: WaitOptions): Promise<TopicMessage[]> {
    try {
      if ((max as unknown) === undefined) {
        throw invalidArgument('max must be given: there is no default')
      }
      const most = wholeNumber({ max }, 'max', NaN, [1, mostAtOnce])
      const wait = readWait(options)
      this.#assertOpen()
      const found = this.#waits.occupied ? undefined : this.#some(most)
      if (found !== undefined) return fairly(found)
      return this.#waits.wait(
        this.#late,
        (thorough) => {
          if (thorough) this.#bus.look()
          return this.#some(most)
        },
        wait,
      )
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /**
   * The messages, until the subscription or its bus is closed. Leaving the loop closes nothing. Several such loops share the messages.
   *
   * @throws MillraceError from the iteration: `ABORTED`, `CORRUPT`
   */
  messages(options?: IterationOptions): Iteration<TopicMessage> {
    return iterate(this.#messages, options)
  }

  /** As `messages`: `for await (using message of subscription)`. */
  [Symbol.asyncIterator](): Iteration<TopicMessage> {
    return this.messages()
  }

  /** What `select` asks. */
  [selectable](): Readiness {
    return readinessOf(this.#waits, (thorough) => {
      this.#assertOpen()
      if (thorough) this.#bus.look()
      const ready = this.#intake.waiting > 0 || this.#bus.native.ready(this.#entry)
      return ready ? 'ready' : undefined
    })
  }

  /** Lets pending waits keep the process alive (the default). */
  ref(): this {
    this.#waits.ref()
    return this
  }

  /** Lets the process end although waits are pending. */
  unref(): this {
    this.#waits.unref()
    return this
  }

  /** Ends it: pending waits reject with `CLOSED`, loops end, and nothing is published to it any more. */
  close(): void {
    if (this.#closed) return
    const isWhole = this.#bus.whole()
    this.#bus.left(this)
    if (isWhole) {
      this.#intake.close()
      this.#bus.native.unsubscribe(this.#entry)
    }
    this.end(() => closedError(this.#title))
  }

  /** What `using` calls at the end of its block: `close()`. */
  [Symbol.dispose](): void {
    this.close()
  }

  static {
    disposeInEveryContext(this.prototype)
  }

  /** For `JSON.stringify`: what `console.log` shows. Never throws. */
  toJSON(): object {
    return jsonOf(this)
  }

  /** @internal What `console.log` shows. */
  [inspected](...how: Inspecting): string {
    return inspection('Subscription', how, () => ({
      topics: this.#bus.name,
      filters: this.filters,
      policy: this.policy,
      depth: this.depth,
      missed: this.missed,
      closed: this.#closed,
    }))
  }

  /** @internal Its bus was closed, or it was. */
  end(reason: Error | (() => Error)): void {
    if (this.#closed) return
    this.#closed = true
    if (this.#signal !== undefined) forgetAbort(this.#signal, this.#abort)
    this.#waits.evict(reason)
  }

  /** What iterations of messages ask. */
  readonly #messages = {
    take: (wait: WaitOptions): Promise<TopicMessage> => this.receive(wait),
    // Who looks on is shown all that a loop asks for.
    takeNow: (): TopicMessage | undefined => (receiving.yes ? undefined : this.tryReceive()),
    handle: this as { readonly closed: boolean },
  }

  get #seen(): { readonly destination: string; readonly source: string } {
    return { destination: this.#bus.name, source: this.filters.join(' ') }
  }

  #next(): TopicMessage | undefined {
    const message = this.#intake.next()
    if (message !== undefined) this.#bus.read()
    return message
  }

  #some(most: number): TopicMessage[] | undefined {
    const messages: TopicMessage[] = []
    while (messages.length < most) {
      const message = this.#next()
      if (message === undefined) break
      messages.push(message)
    }
    return messages.length === 0 ? undefined : messages
  }

  readonly #attempt: Attempt<TopicMessage> = (thorough) => {
    if (thorough) this.#bus.look()
    return this.#next()
  }

  readonly #late = (timeout: number): MillraceError =>
    timeoutError(
      `a message of ${this.#title}`,
      timeout,
      'nobody has published one that matches: see that the publisher runs and what its subjects are, or allow more time',
    )

  #assertOpen(): void {
    if (!this.closed) return
    throw this.#bus.closed ? closedError(this.#bus.title) : closedError(this.#title)
  }
}
