// Creates a queue, opens its other side, and closes both, in one process.

import { SpscQueue } from 'millrace'

import { payload } from '../side/content.js'
import type { Measured } from '../side/measured.js'
import { spinningTrips, trips } from '../side/measuring.js'
import type { Parameters } from '../side/parameters.js'

export async function lead(parameters: Parameters): Promise<Measured> {
  const { name, check } = parameters
  const message = payload(64)
  const openAndClose = () => {
    const producer = SpscQueue.producer(name)
    const consumer = SpscQueue.consumer(name)
    if (check && !(producer.tryPush(message) && consumer.tryPop()?.equals(message))) {
      throw new Error('the queue does not carry a message')
    }
    producer.close()
    consumer.close()
  }
  if (check) {
    return spinningTrips(parameters, 0, (from, to) => {
      for (let i = from; i < to; i++) openAndClose()
    })
  }
  const settled = Promise.resolve()
  return await trips(parameters, 0, () => {
    openAndClose()
    return settled
  })
}
