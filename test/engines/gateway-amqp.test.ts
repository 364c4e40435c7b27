// Two gateways and a server of RabbitMQ between two queues of shared memory, as between two hosts. RabbitMQ does not know ids again: the queue
// at the other side does. What a gateway had in hand that was killed comes in any order, so only one job at a time keeps it.

import test from 'ava'

import { carriedOnce, queueOf } from './support/gateways.js'
import { sharedRabbit } from './support/rabbit.js'

const server = sharedRabbit(test)

test('gateways of two hosts and the server between them are killed again and again: each job comes once, and in order if one is in hand at a time', async (t) => {
  const address = server().address('orders')
  const many = carriedOnce(
    t,
    [queueOf(t), queueOf(t)],
    { address },
    {
      ...{ jobs: 210, lives: [70, 70], outages: [0.5], ordered: false },
      outage: async () => {
        await server().end()
        await server().start()
      },
    },
  )
  const between = { address: `${address}-in-order`, inFlight: 1 }
  const drill = { jobs: 120, lives: [40, 40], ordered: true } as const
  const one = carriedOnce(t, [queueOf(t), queueOf(t)], between, drill)
  await Promise.all([many, one])
})
