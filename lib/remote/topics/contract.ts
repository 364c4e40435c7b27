// What a client of a shared bus asks of the process that has it. A subscription is a stream: its credit is what the client has room for,
// so a client that stands still holds up its own subscription, as one in the memory of the bus would.

import type { Line } from '../../net/session.js'
import { contract } from '../../rpc/contract.js'
import { call, stream } from '../../rpc/methods.js'
import type { CallOptions } from '../../rpc/options.js'
import type { Policy } from '../../topics/options.js'
import { headed, type Headed } from '../headed.js'

/** What a client has to know of the bus. */
export interface BusFacts {
  readonly name: string
  readonly messages: number
  readonly maxBytes: number
  readonly subjects: number
  readonly subscriptions: number
  readonly seats: number
  /** Differs when the bus is another one, or another process shares it: places in its order cannot be compared then. */
  readonly epoch: string
}

/** What is published. */
export interface PublishFacts {
  readonly subject: string
  readonly headers?: Readonly<Record<string, string>> | undefined
}

/** What is subscribed to. */
export interface SubscribeFacts {
  readonly filters: readonly string[]
  readonly policy: Policy
  readonly replay: 'last' | number
  /** Left out: as much as the bus keeps. */
  readonly depth?: number | undefined
}

/** What comes of a subscription: first that it has joined, and then messages. */
export type DeliveredFacts =
  | { readonly joined: true; readonly depth: number; readonly epoch: string }
  | {
      readonly joined?: undefined
      readonly subject: string
      readonly index: number
      readonly missed: number
      /** Milliseconds since 1970. */
      readonly publishedAt: number
      readonly headers?: Readonly<Record<string, string>> | undefined
    }

type None = Readonly<Record<string, never>>

/** The functions of the process that has the bus. */
export const topicsContract = contract(
  'millrace.topics.1',
  {
    /** What the bus is. */
    about: call<Headed<None>, Headed<BusFacts>>(),
    /** Publishes a message, as soon as there is room; tells for how many it was. */
    publish: call<Headed<PublishFacts>, Headed<{ readonly matched: number }>>(),
    /** Messages from now on, and those from before that were asked for. */
    subscribe: stream<Headed<SubscribeFacts>, Headed<DeliveredFacts>>(),
  },
  { codec: headed },
)

/** How many messages may be on their way to a subscription. */
export const window = { windowItems: 256, windowBytes: 1_048_576 }

/** One connection, as its client sees it: to a process that shares the bus, or to an engine that is one. */
export interface TopicsLine extends Line {
  readonly closed: boolean
  /** An engine for which that makes a difference: it will publish. */
  willPublish?(): void
  about(input: Headed<None>, options?: CallOptions): Promise<Headed<BusFacts>>
  publish(
    input: Headed<PublishFacts>,
    options?: CallOptions,
  ): Promise<Headed<{ readonly matched: number }>>
  subscribe(input: Headed<SubscribeFacts>): AsyncIterableIterator<Headed<DeliveredFacts>>
}
