// Two gateways and a server of Redis between two queues of shared memory, as between two hosts.

import test, { type ExecutionContext } from 'ava'
import { Gateway, type GatewayConfig } from 'millrace/gateway'
import { WorkQueue } from 'millrace/work'

import { uniqueName } from '../support/names.js'
import { until, within } from '../support/until.js'
import { endSharedServer, redisServer } from './support/redis.js'

test.after.always(endSharedServer)

function queueOf(t: ExecutionContext): WorkQueue {
  const name = uniqueName(t, { mayLeave: true })
  const queue = WorkQueue.open(name, { dedupWindow: 600_000 })
  t.teardown(() => {
    queue.close()
    WorkQueue.unlink(name)
  })
  return queue
}

async function runs(t: ExecutionContext, config: GatewayConfig): Promise<Gateway> {
  const gateway = await Gateway.start(config)
  t.teardown(() => gateway.drain())
  return gateway
}

test('jobs go through Redis with their priority and group, in order, and each comes once', async (t) => {
  const server = await redisServer(t)
  const [near, far] = [queueOf(t), queueOf(t)]
  const address = server.address('orders')
  const there = { dedupWindow: 600_000 }
  await runs(t, {
    host: 'a',
    routes: [{ kind: 'work', from: near.name, to: address, toQueue: there }],
  })
  await runs(t, {
    host: 'b',
    routes: [{ kind: 'work', from: address, to: far.name, fromQueue: there }],
  })
  const count = 50
  for (let n = 0; n < count; n++) {
    await near.push(String(n), { group: 'g', priority: 3, id: `job ${String(n)}` })
  }
  const seen: (readonly [string, string | undefined, number])[] = []
  while (seen.length < count) {
    const job = await within(20_000, far.takeOne())
    seen.push([job.copy().toString(), job.group, job.priority])
    job.complete()
  }
  t.deepEqual(
    seen,
    Array.from({ length: count }, (_, n) => [String(n), 'g', 3] as const),
  )
  await until(() => near.stats().completed === count)
  t.is(far.tryTake(), undefined)
})
