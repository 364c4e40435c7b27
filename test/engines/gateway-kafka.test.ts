// Two gateways and a cluster of Kafka between two queues of shared memory, as between two hosts. Kafka does not know ids again: the queue at
// the other side does.

import test from 'ava'
import { Gateway } from 'millrace/gateway'

import { until } from '../support/until.js'
import { carriedOnce, queueOf, ways } from './support/gateways.js'
import { kafkaCluster } from './support/kafka.js'

/** Milliseconds: so long a gateway that was killed is a member of the group still. */
const heartbeat = 4000

test('gateways of two hosts are killed again and again, and the brokers go away: each job comes once, in order', async (t) => {
  const cluster = await kafkaCluster(t, ['orders:3'])
  const between = { address: cluster.address('orders'), heartbeat }
  await carriedOnce(t, [queueOf(t), queueOf(t)], between, {
    ...{ jobs: 600, lives: [100, 200], outages: [0.5], ordered: true },
    outage: async () => {
      await cluster.tell('down -1')
      await new Promise((resolve) => setTimeout(resolve, 500))
      await cluster.tell('up -1')
    },
  })
})

test('what goes into Kafka may be there twice, and the route says so', async (t) => {
  const cluster = await kafkaCluster(t, ['orders:1'])
  const [near, far] = [queueOf(t), queueOf(t)]
  await using gateway = await Gateway.start(
    ways(near, far, { address: cluster.address('orders') })[0],
  )
  await near.push('one')
  await until(() => gateway.routes[0]!.delivered === 1)
  t.is(gateway.routes[0]!.guarantee, 'at-least-once')
})
