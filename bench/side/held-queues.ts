// A process that has many queues open, both sides of each, of which one message has gone through each; for those that look at them.

import { SpscQueue } from 'millrace'

import type { Parameters } from './parameters.js'

/** Until the leading side has seen enough, and says so. */
export async function hold({ name, many = 1 }: Parameters): Promise<void> {
  const sides = Array.from({ length: many }, (_, at) => {
    const queue = `${name}.${String(at)}`
    const consumer = SpscQueue.consumer(queue, { capacity: 4096 })
    const producer = SpscQueue.producer(queue)
    producer.tryPush('x')
    consumer.tryPop()
    return [consumer, producer] as const
  })
  process.send?.('ready')
  await new Promise((told) => process.once('message', told))
  for (const side of sides.flat()) side.close({ discard: true })
}
