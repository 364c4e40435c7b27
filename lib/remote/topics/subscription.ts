// A subscription to a bus that is elsewhere. It is subscribed anew when the connection was, from where it was: what the bus still has
// comes then, and what it has not is counted as missed.

import { forgetAbort, Stop, whenAborted } from '../../base/abort-signals.js'
import { disposeInEveryContext } from '../../base/disposal.js'
import { fairly } from '../../base/fairness.js'
import { inspected, inspection, jsonOf, type Inspecting } from '../../base/inspection.js'
import { iterate, type Iteration, type IterationOptions } from '../../base/iteration.js'
import { readWait, wholeNumber, type WaitOptions } from '../../base/options.js'
import { selectable, type Readiness } from '../../base/selectable.js'
import { startTimer, stopTimer } from '../../base/time.js'
import { receiving } from '../../base/tracing.js'
import {
  abortedError,
  closedError,
  invalidArgument,
  MillraceError,
  timeoutError,
} from '../../errors.js'
import type { Line } from '../../net/waits.js'
import type { TopicMessage } from '../../topics/message.js'
import type { Policy, Wanted } from '../../topics/options.js'
import type { Subscription } from '../../topics/subscription.js'
import { tracedTopics } from '../../topics/tracing-topics.js'
import { nothing } from '../headed.js'
import type { Liveness } from '../liveness.js'
import type { Session } from '../../net/session.js'
import { unsupported } from '../unsupported.js'
import type { TopicsLine } from './contract.js'
import { RemoteMessage } from './message.js'

type Face = Omit<Pick<Subscription, keyof Subscription>, 'ref' | 'unref' | 'end'>

/** Messages that have come and nobody asked for; with more the other side waits. */
const mostAhead = 128
/** As much as the bus keeps. */
const allThereIs = 2 ** 19

/** Whoever has a bus elsewhere has loaded what connections go by. */
function newLine(late: (timeout: number) => Error, changed: () => void): Line<RemoteMessage> {
  const waits = require('../../net/waits.js') as typeof import('../../net/waits.js')
  return new waits.Line(late, changed)
}

/** @internal Whose it is. */
export interface RemoteBus {
  readonly name: string
  readonly title: string
  readonly session: Session<TopicsLine>
  readonly liveness: Liveness
  readonly closed: boolean
  left(subscription: RemoteSubscription): void
}

export class RemoteSubscription implements Face {
  readonly filters: readonly string[]
  readonly policy: Policy
  readonly #bus: RemoteBus
  readonly #wanted: Wanted
  readonly #title: string
  readonly #arrived: RemoteMessage[] = []
  readonly #receivers = newLine(
    (ms) => this.#late(ms),
    () => {
      this.#hold()
    },
  )
  readonly #watchers = new Set<() => void>()
  readonly #onAbort = {
    aborted: (): void => {
      this.#bus.left(this)
      this.end(
        this.#notJoined === undefined
          ? closedError(this.#title)
          : abortedError(this.#wanted.signal!),
      )
    },
  }
  /** Of its end: nobody waits for a connection then. */
  readonly #stop = new Stop()
  /** Ends the wait of who subscribes. */
  #notJoined: ((reason: unknown) => void) | undefined
  #depth: number
  #missed = 0
  /** Of the last message that has come. */
  #last = -1
  #epoch: string | undefined
  #items: AsyncIterator<unknown> | undefined
  #roomCame: (() => void) | undefined
  #alive = true
  #holding = false
  #closed = false
  #failure: Error | undefined

  constructor(bus: RemoteBus, wanted: Wanted) {
    this.#bus = bus
    this.#wanted = wanted
    this.filters = wanted.filters
    this.policy = wanted.policy
    this.#depth = wanted.depth
    this.#title = `the subscription to ${wanted.filters.join(', ')} of ${bus.title}`
    if (wanted.signal !== undefined) whenAborted(wanted.signal, this.#onAbort)
  }

  /** @internal Resolves when it has joined. */
  async joined(): Promise<void> {
    const { liveness } = this.#bus
    const { timeout } = this.#wanted
    liveness.begun()
    const timer = startTimer(timeout, () => {
      this.#bus.left(this)
      this.end(this.#notInTime(timeout))
    })
    try {
      await new Promise<void>((resolve, reject) => {
        this.#notJoined = reject
        void this.#run(() => {
          this.#notJoined = undefined
          resolve()
        }, reject)
      })
    } finally {
      stopTimer(timer)
      liveness.ended()
    }
  }

  get depth(): number {
    return this.#depth
  }
  get closed(): boolean {
    return this.#closed || this.#bus.closed
  }
  get missed(): number {
    return this.#missed
  }

  receive(options?: WaitOptions): Promise<TopicMessage> {
    return receiving.yes
      ? tracedTopics().tracedReceive(this.#seen, 'receive', () => this.receiveUnseen(options))
      : this.receiveUnseen(options)
  }

  get #seen(): { readonly destination: string; readonly source: string } {
    return { destination: this.#bus.name, source: this.filters.join(' ') }
  }

  /** @internal The same, and nobody who looks on sees it. */
  receiveUnseen(options?: WaitOptions): Promise<TopicMessage> {
    try {
      const wait = readWait(options)
      const message = this.tryReceive()
      if (message !== undefined) return fairly(message)
      return this.#receivers.wait(wait) as Promise<unknown> as Promise<TopicMessage>
    } catch (error) {
      return Promise.reject(error)
    }
  }

  tryReceive(): TopicMessage | undefined {
    this.#assertOpen()
    return this.#receivers.size > 0 ? undefined : (this.#take() as unknown as TopicMessage)
  }

  receiveSync(): never {
    throw unsupported(`receiveSync() of ${this.#title}`, 'await receive()')
  }

  async receiveBatch(max: number, options?: WaitOptions): Promise<TopicMessage[]> {
    if (!receiving.yes) return await this.#receiveBatch(max, options)
    const { tracedReceive } = tracedTopics()
    return await tracedReceive(this.#seen, 'receiveBatch', () => this.#receiveBatch(max, options))
  }

  async #receiveBatch(max: number, options?: WaitOptions): Promise<TopicMessage[]> {
    if ((max as unknown) === undefined) {
      throw invalidArgument('max must be given: there is no default')
    }
    const most = wholeNumber({ max }, 'max', NaN, [1, 2 ** 20])
    const messages = [await this.receiveUnseen(options)]
    while (messages.length < most) {
      const message = this.#receivers.size > 0 || this.closed ? undefined : this.#take()
      if (message === undefined) break
      messages.push(message as unknown as TopicMessage)
    }
    return messages
  }

  messages(options?: IterationOptions): Iteration<TopicMessage> {
    return iterate(
      {
        take: (wait) => this.receive(wait),
        takeNow: () => (receiving.yes ? undefined : this.tryReceive()),
        handle: this,
      },
      options,
    )
  }

  [Symbol.asyncIterator](): Iteration<TopicMessage> {
    return this.messages()
  }

  [selectable](): Readiness {
    const look = (): 'ready' | undefined => {
      this.#assertOpen()
      return this.#arrived.length > 0 ? 'ready' : undefined
    }
    return {
      look,
      watch: (told, failed) => {
        const watcher = (): void => {
          try {
            if (look() === undefined) return
          } catch (error) {
            this.#watchers.delete(watcher)
            failed(error)
            return
          }
          this.#watchers.delete(watcher)
          told('ready')
        }
        this.#watchers.add(watcher)
        this.#hold()
        watcher()
        return () => {
          this.#watchers.delete(watcher)
          this.#hold()
        }
      },
    }
  }

  ref(): this {
    this.#alive = true
    this.#hold()
    return this
  }

  unref(): this {
    this.#alive = false
    this.#hold()
    return this
  }

  close(): void {
    if (this.#closed) return
    this.#bus.left(this)
    this.end(closedError(this.#title))
  }

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
      filters: this.filters,
      policy: this.policy,
      depth: this.depth,
      missed: this.missed,
      closed: this.closed,
    }))
  }

  /** @internal It, or its bus, was closed. */
  end(reason: Error): void {
    if (this.#closed) return
    this.#closed = true
    this.#failure = reason
    this.#notJoined?.(reason)
    const { signal } = this.#wanted
    if (signal !== undefined) forgetAbort(signal, this.#onAbort)
    this.#arrived.length = 0
    this.#receivers.rejectAll(reason)
    for (const watcher of [...this.#watchers]) watcher()
    this.#roomCame?.()
    void this.#items?.return?.()
    this.#stop.abort(reason)
    this.#hold()
  }

  /** One connection after the other, for as long as it is open. */
  async #run(joined: () => void, failed: (error: unknown) => void): Promise<void> {
    let isFirst = true
    for (;;) {
      let line: TopicsLine
      try {
        line = await this.#bus.session.ready({ signal: this.#stop.asGiven, timeout: Infinity })
      } catch (error) {
        failed(error)
        this.end(error as Error)
        return
      }
      try {
        await this.#over(line, isFirst, () => {
          isFirst = false
          joined()
        })
      } catch (error) {
        // What the bus refuses is refused for good; what breaks is made anew.
        if (!line.closed && !this.#closed) {
          failed(error)
          this.#bus.left(this)
          this.end(error as Error)
        }
      }
      if (this.#isClosed()) {
        failed(this.#failure)
        return
      }
      if (!line.closed) {
        this.#bus.left(this)
        this.end(this.#ended())
        return
      }
      await line.ended
    }
  }

  async #over(line: TopicsLine, isFirst: boolean, joined: () => void): Promise<void> {
    const { filters, policy, replay } = this.#wanted
    const depth = this.#wanted.depth === Infinity ? {} : { depth: this.#wanted.depth }
    const facts = { filters, policy, replay: isFirst ? replay : allThereIs, ...depth }
    const items = line.subscribe({ facts, bytes: nothing })
    this.#items = items
    // Until a message from before the cut has come again, something may be missing.
    let isCertain = isFirst
    let isCompared = false
    try {
      for await (const { facts: one, bytes } of items) {
        if (this.#isClosed()) return
        if (one.joined === true) {
          this.#depth = one.depth
          isCompared = !isFirst && one.epoch === this.#epoch
          this.#epoch = one.epoch
          joined()
          continue
        }
        let { missed } = one
        if (!isFirst && !isCertain) {
          if (isCompared && one.index <= this.#last) {
            isCertain = true // all that it has had is followed by what it has not
            continue
          }
          if (!isCompared || this.#last < 0 || one.index !== this.#last + 1) missed++
          isCertain = true
        } else if (isCompared && one.index <= this.#last) continue
        this.#last = one.index
        this.#missed += missed
        this.#deliver(new RemoteMessage(this.#bus.title, one, missed, bytes))
        if (this.#arrived.length >= mostAhead) await this.#roomForMore()
      }
    } finally {
      this.#items = undefined
    }
  }

  #deliver(message: RemoteMessage): void {
    const first = this.#arrived.length === 0 ? this.#receivers.first : undefined
    if (first !== undefined) {
      first.resolve(message)
      this.#hold()
      return
    }
    this.#arrived.push(message)
    for (const watcher of [...this.#watchers]) watcher()
  }

  #take(): RemoteMessage | undefined {
    const message = this.#arrived.shift()
    if (this.#arrived.length <= mostAhead / 2) this.#roomCame?.()
    return message
  }

  async #roomForMore(): Promise<void> {
    await new Promise<void>((came) => {
      this.#roomCame = came
    })
    this.#roomCame = undefined
  }

  /** Who waits for a message keeps the process alive; a subscription alone does not. */
  #hold(): void {
    const holds = this.#alive && !this.#closed && this.#receivers.size + this.#watchers.size > 0
    if (holds === this.#holding) return
    this.#holding = holds
    if (holds) this.#bus.liveness.begun()
    else this.#bus.liveness.ended()
  }

  #isClosed(): boolean {
    return this.#closed // by what was awaited
  }

  #assertOpen(): void {
    if (this.#failure !== undefined) throw this.#failure
    if (this.#bus.closed) throw closedError(this.#bus.title)
  }

  #ended(): Error {
    return new MillraceError(
      'ERR_MILLRACE_CLOSED',
      `${this.#title} was ended by the process that shares the bus: it has closed it`,
    )
  }

  #notInTime(ms: number): Error {
    const { lastError } = this.#bus.session
    const last = lastError === undefined ? '' : ` (the last attempt: ${lastError.message})`
    return timeoutError(
      `joining ${this.#title}`,
      ms,
      `see that the process that shares the bus runs${last}, or allow more time`,
    )
  }

  #late(ms: number): Error {
    return timeoutError(
      `a message of ${this.#title}`,
      ms,
      'nobody has published one that matches: see that the publisher runs and what its subjects are, or allow more time',
    )
  }
}
