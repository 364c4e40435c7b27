// Two gateways and a cluster of Kafka between two queues of shared memory, as between two hosts. Kafka does not know ids again: the queue at
// the other side does.

import test from 'ava'
import { Gateway } from 'millrace/gateway'
import { WorkQueue } from 'millrace/work'

import { until, within } from '../support/until.js'
import { carriedOnce, queueOf, ways } from './support/gateways.js'
import { kafkaCluster } from './support/kafka.js'

/** Milliseconds: so long a gateway that was killed is a member of the group still. */
const heartbeat = 4000

const codeOf = (error: Error | undefined) => (error as { readonly code?: string } | undefined)?.code

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

test('who takes alone waits for nobody: killed again and again, each job comes once, in order, and none waits for a session to end', async (t) => {
  const cluster = await kafkaCluster(t, ['orders:3'])
  // Longer than the drill has: one session that is waited for is one too many.
  const between = { address: cluster.address('orders'), heartbeat: 600_000, alone: true }
  await carriedOnce(t, [queueOf(t), queueOf(t)], between, {
    ...{ jobs: 300, lives: [50, 50], ordered: true },
  })
})

test('who takes alone commits as the group does: a member goes on behind that', async (t) => {
  const cluster = await kafkaCluster(t, ['orders:2'])
  const address = cluster.address('orders')
  const [near, far] = [queueOf(t), queueOf(t)]
  const [, back] = ways(near, far, { address, heartbeat, alone: true })
  const member = WorkQueue.open(address, { connection: { heartbeat } })
  // Twice: what the one has done does not come to the next.
  for (const text of ['first', 'second']) {
    await member.push(text, { group: 'g' })
    await using gateway = await Gateway.start(back)
    const job = await within(60_000, far.takeOne())
    t.is(job.copy().toString(), text)
    job.complete()
    await until(() => gateway.routes[0]!.delivered === 1)
  }
  await member.push('third', { group: 'g' })
  t.is((await member.takeOne({ timeout: 60_000 })).copy().toString(), 'third')
  await member[Symbol.asyncDispose]()
  t.is(far.stats().pushed, 2)
})

test('who takes alone beside a member of the group is told so, and what comes again because of that is once in the queue', async (t) => {
  const cluster = await kafkaCluster(t, ['orders:1'])
  const address = cluster.address('orders')
  const [near, far] = [queueOf(t), queueOf(t)]
  const member = WorkQueue.open(address, { connection: { heartbeat } })
  await member.push('first')
  await (await member.takeOne({ timeout: 60_000 })).complete()
  const [, back] = ways(near, far, { address, heartbeat: 1000, alone: true })
  await using gateway = await Gateway.start(back)
  await member.push('second')
  await until(() => codeOf(gateway.routes[0]!.error) === 'ERR_MILLRACE_ROLE_TAKEN', 30_000)
  t.is((await within(20_000, far.takeOne())).copy().toString(), 'second')
  t.is(far.stats().pushed, 1)
  await member[Symbol.asyncDispose]()
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
