// A bus of this process, for one client at the other side of a connection.

import type { Handlers } from '../../rpc/contract.js'
import type { FrameChannel } from '../../rpc/streams/channel.js'
import type { StreamServer } from '../../rpc/streams/server.js'
import { hasCode } from '../../errors.js'
import type { Topics } from '../../topics/topics.js'
import { nothing, type Headed } from '../headed.js'
import { topicsContract, window, type DeliveredFacts, type SubscribeFacts } from './contract.js'

/**
 * Serves the bus over one channel, until that ends, or the bus is closed.
 *
 * @throws MillraceError `INVALID_ARGUMENT`
 */
export function serveTopics(channel: FrameChannel, bus: Topics, epoch: string): StreamServer {
  const { serveOver } = require('../../rpc/over.js') as typeof import('../../rpc/over.js')
  const handlers: Handlers<typeof topicsContract> = {
    about: () => {
      const { name, messages, maxBytes, subjects, subscriptions, seats } = bus
      const facts = { name, messages, maxBytes, subjects, subscriptions, seats, epoch }
      return { facts, bytes: nothing }
    },
    // Whoever publishes, or receives, is at the other side, and is seen there.
    publish: async ({ facts: { subject, headers }, bytes }, { signal }) => {
      const matched = await bus.publishUnseen(subject, bytes, { headers, signal })
      return { facts: { matched }, bytes: nothing }
    },
    subscribe: ({ facts }, { signal }) => delivered(bus, facts, signal, epoch),
  }
  return serveOver(channel, topicsContract, handlers, window)
}

async function* delivered(
  bus: Topics,
  { filters, policy, replay, depth }: SubscribeFacts,
  signal: AbortSignal,
  epoch: string,
): AsyncGenerator<Headed<DeliveredFacts>> {
  // A client may ask for all there is without knowing how much that is.
  const most = typeof replay === 'number' ? Math.min(replay, bus.messages) : replay
  const subscription = await bus.subscribe(filters, { policy, replay: most, depth, signal })
  try {
    yield { facts: { joined: true, depth: subscription.depth, epoch }, bytes: nothing }
    for (;;) {
      const message = await subscription.receiveUnseen()
      try {
        const { subject, index, missed, publishedAt, headers } = message
        const some = Object.keys(headers).length === 0 ? {} : { headers }
        // What is yielded is encoded before this goes on, and the message released after that.
        yield { facts: { subject, index, missed, publishedAt, ...some }, bytes: message.bytes }
      } finally {
        message.release()
      }
    }
  } catch (error) {
    // The bus, or the subscription, was closed: there is nothing more to come.
    if (!hasCode(error, 'ERR_MILLRACE_CLOSED')) throw error
  } finally {
    subscription.close()
  }
}
