// A bus of an engine, asked as a process that shares a bus is asked.

import type { EngineMessage, EngineSubscription, EngineTopics } from '../../engines/port.js'
import { nothing, type Headed } from '../headed.js'
import { inTime } from '../work/engine.js'
import type { DeliveredFacts, SubscribeFacts, TopicsLine } from './contract.js'

/** Messages for one subscription that may be unread; and bytes. What comes then takes the place of the oldest, which is counted. */
export const mostUnread = 65_536
const mostBytes = 67_108_864

type Delivered = Headed<DeliveredFacts>

/** `name`: what the bus is called. */
export function engineTopicsLine(topics: EngineTopics, name: string): TopicsLine {
  const epoch = process.getBuiltinModule('node:crypto').randomUUID()
  return {
    get ended() {
      return topics.ended
    },
    get closed() {
      return topics.closed
    },
    close: () => {
      topics.close()
    },
    about: () => {
      const limits = { subjects: Infinity, subscriptions: Infinity, seats: Infinity }
      const { maxBytes } = topics
      return Promise.resolve({
        facts: { name, messages: mostUnread, maxBytes, ...limits, epoch },
        bytes: nothing,
      })
    },
    willPublish: () => {
      topics.willPublish?.()
    },
    publish: async ({ facts: { subject, headers }, bytes }, options) => {
      await inTime(
        `a publish to '${subject}' at '${name}'`,
        'the server has not confirmed it: it may be published, or not',
        options,
        () => topics.publish(subject, bytes, headers),
      )
      return { facts: { matched: NaN }, bytes: nothing }
    },
    subscribe: ({ facts }) => new Delivery(topics, facts, epoch),
  }
}

/** What comes of one subscription: first that it has joined. */
class Delivery implements AsyncIterableIterator<Delivered> {
  readonly #topics: EngineTopics
  readonly #facts: SubscribeFacts
  readonly #epoch: string
  readonly #depth: number
  readonly #unread: EngineMessage[] = []
  #bytes = 0
  #missed = 0
  #index = 0
  #subscription: EngineSubscription | undefined
  #came: (() => void) | undefined
  #over = false

  constructor(topics: EngineTopics, facts: SubscribeFacts, epoch: string) {
    this.#topics = topics
    this.#facts = facts
    this.#epoch = epoch
    this.#depth = Math.min(facts.depth ?? mostUnread, mostUnread)
    void topics.ended.then(() => {
      this.#end()
    })
  }

  async next(): Promise<IteratorResult<Delivered, undefined>> {
    if (this.#subscription === undefined) return { done: false, value: await this.#join() }
    while (!this.#over && this.#unread.length === 0) {
      await new Promise<void>((came) => {
        this.#came = came
      })
      this.#came = undefined
    }
    const message = this.#unread.shift()
    if (message === undefined) return { done: true, value: undefined }
    const { subject, publishedAt, headers, bytes } = message
    this.#bytes -= bytes.length
    const missed = this.#missed
    this.#missed = 0
    const some = headers === undefined ? {} : { headers }
    return {
      done: false,
      value: { facts: { subject, index: this.#index++, missed, publishedAt, ...some }, bytes },
    }
  }

  return(): Promise<IteratorResult<Delivered, undefined>> {
    this.#unread.length = 0
    this.#end()
    return Promise.resolve({ done: true, value: undefined })
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async #join(): Promise<Delivered> {
    this.#subscription = await this.#topics.subscribe(this.#facts.filters, undefined, (message) => {
      this.#arrived(message)
    })
    // It was left meanwhile.
    if (this.#over) this.#subscription.close()
    return { facts: { joined: true, depth: this.#depth, epoch: this.#epoch }, bytes: nothing }
  }

  #arrived(message: EngineMessage): void {
    if (this.#over) return
    this.#unread.push(message)
    this.#bytes += message.bytes.length
    while (this.#unread.length > this.#depth || this.#bytes > mostBytes) {
      this.#bytes -= this.#unread.shift()!.bytes.length
      this.#index++
      this.#missed++
    }
    this.#came?.()
  }

  #end(): void {
    if (this.#over) return
    this.#over = true
    this.#subscription?.close()
    this.#came?.()
  }
}
