// The queues that streams go through: loaded by who has streams.

import type { QueueConsumer } from '../queue/consumer.js'
import type { QueueProducer } from '../queue/producer.js'

/** The sending side of a queue, and the receiving side of another one. Without a `capacity` they have what the other side says. */
export function openQueues(
  sends: string,
  receives: string,
  capacity?: number,
): { readonly producer: QueueProducer; readonly consumer: QueueConsumer } {
  const { SpscQueue } = require('../queue/spsc-queue.js') as typeof import('../queue/spsc-queue.js')
  const producer = SpscQueue.producer(sends, { capacity })
  try {
    return { producer, consumer: SpscQueue.consumer(receives, { capacity }) }
  } catch (error) {
    producer.close()
    throw error
  }
}

/** What a server that has died had made of them, or had half made, goes. */
export function removeQueues(sends: string, receives: string): void {
  try {
    const { producer, consumer } = openQueues(sends, receives)
    producer.close()
    consumer.close({ discard: true })
  } catch {
    // Somebody sees to it already.
  }
}
