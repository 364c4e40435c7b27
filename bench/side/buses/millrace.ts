// millrace's own bus, whose subscribers hold the publisher back, each by itself. Messages are published and taken one by one, or
// in batches.

import { Topics, type Subscription } from 'millrace/topics'

import type { Parameters } from '../parameters.js'
import type { Bus, Handle } from './bus.js'

const subject = 'prices.euro'
/** As a feed would: so many are handed over at a time. */
const batch = 256
const open = ({ name, log }: Parameters) =>
  Topics.open(name, log === undefined ? {} : { messages: log })

function busOf(
  inBatches: boolean,
  take: (subscription: Subscription, handle: Handle) => Promise<void>,
): Bus {
  return {
    publisher(parameters) {
      const bus = open(parameters)
      return Promise.resolve({
        publish: (message) =>
          bus.tryPublish(subject, message) === undefined
            ? bus.publish(subject, message)
            : undefined,
        ...(inBatches
          ? {
              batch: {
                size: batch,
                publish: (messages: readonly Buffer[]) => bus.publishBatch(subject, messages),
              },
            }
          : {}),
        close() {
          bus.close()
          return Promise.resolve()
        },
      })
    },

    async subscribe(parameters, handle) {
      const bus = open(parameters)
      const subscription = await bus.subscribe('prices.*')
      const ended = take(subscription, handle)
      return {
        async close() {
          subscription.close()
          await ended
          bus.close()
        },
      }
    },
  }
}

export const millrace: Bus = busOf(false, async (subscription, handle) => {
  for await (const message of subscription) {
    handle(message.bytes)
    message.release()
  }
})

export const millraceBatches: Bus = busOf(true, async (subscription, handle) => {
  try {
    for (;;) {
      for (const message of await subscription.receiveBatch(batch)) {
        handle(message.bytes)
        message.release()
      }
    }
  } catch (error) {
    if (!subscription.closed) throw error
  }
})
