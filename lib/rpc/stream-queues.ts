// The queues that streams go through: loaded by who has streams.

import type { QueueConsumer } from '../queue/consumer.js'
import type { QueueProducer } from '../queue/producer.js'

/** The sending side of a queue, and the receiving side of another one. */
export function openQueues(
  sends: string,
  receives: string,
): { readonly producer: QueueProducer; readonly consumer: QueueConsumer } {
  const { SpscQueue } = require('../queue/spsc-queue.js') as typeof import('../queue/spsc-queue.js')
  const producer = SpscQueue.producer(sends)
  try {
    return { producer, consumer: SpscQueue.consumer(receives) }
  } catch (error) {
    producer.close()
    throw error
  }
}
