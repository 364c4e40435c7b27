// Two gateways and a server of an engine between two queues of shared memory, as between two hosts.

import type { ExecutionContext } from 'ava'
import { type GatewayConfig, type WorkRoute } from 'millrace/gateway'
import { WorkQueue } from 'millrace/work'

import { uniqueName } from '../../support/names.js'
import { run } from '../../support/process.js'
import { Random } from '../../support/random.js'
import { until, within } from '../../support/until.js'

const patience = 90_000
const fixture = new URL('../../gateway/fixtures/gateway.js', import.meta.url)

/** A queue of shared memory that knows ids again. */
export function queueOf(t: ExecutionContext): WorkQueue {
  const name = uniqueName(t, { mayLeave: true })
  const queue = WorkQueue.open(name, { jobs: 8192, dedupWindow: 600_000, dedupIds: 65_536 })
  t.teardown(() => {
    queue.close()
    WorkQueue.unlink(name)
  })
  return queue
}

/** How the gateways of both hosts reach the queue of the engine. */
export interface Between {
  readonly address: string
  /** What that queue is to have. */
  readonly there?: WorkRoute['toQueue']
  readonly heartbeat?: number
  readonly alone?: boolean
  /** Of the gateway that takes there. */
  readonly inFlight?: number
}

/** The way from `near`, at the host `a`, over the engine to `far`, at the host `b`: the configuration of each of the gateways. */
export function ways(
  near: WorkQueue,
  far: WorkQueue,
  { address, there = { maxAttempts: 255 }, heartbeat, alone = false, inFlight = 64 }: Between,
): [GatewayConfig, GatewayConfig] {
  const reconnect = { base: 10, cap: 100 }
  const connection = { reconnect, ...(heartbeat === undefined ? {} : { heartbeat }) }
  const out: WorkRoute = {
    ...{ kind: 'work', from: near.name, to: address },
    ...{ toQueue: there, toConnection: connection, inFlight: 64 },
  }
  const back: WorkRoute = {
    ...{ kind: 'work', from: address, to: far.name, alone },
    ...{ fromQueue: there, fromConnection: connection, inFlight },
  }
  return [
    { host: 'a', routes: [out] },
    { host: 'b', routes: [back] },
  ]
}

export interface Drill {
  readonly jobs: number
  /** How many jobs each gateway carries before it is killed, half of that or more: that of `near`, that of `far`. A third of all or less. */
  readonly lives: readonly [number, number]
  /** Takes the server away for a while, each time that such a part of the jobs has arrived. */
  readonly outages?: readonly number[]
  readonly outage?: () => Promise<void>
  /** Does each group keep its order? */
  readonly ordered: boolean
}

const groups = 5

/** Pushes jobs into `near`, kills both gateways at random meanwhile, and judges what comes out of `far`: each job once. */
export async function carriedOnce(
  t: ExecutionContext,
  [near, far]: readonly [WorkQueue, WorkQueue],
  between: Between,
  { jobs, lives, outages = [], outage, ordered }: Drill,
): Promise<void> {
  t.timeout(patience)
  let over = false
  const isOver = (): boolean => over
  const kills = [0, 0]
  const killing = ways(near, far, between).map(async (config, which) => {
    const random = new Random(11 + which)
    const least = Math.ceil(lives[which]! / 2)
    while (!isOver()) {
      const gateway = run(t, fixture, [JSON.stringify(config)])
      await gateway.next()
      const moved = which === 0 ? () => near.stats().completed : () => far.stats().pushed
      const wanted = moved() + least + random.below(least)
      await until(() => isOver() || moved() >= wanted, patience)
      await gateway.end()
      kills[which]!++
    }
  })
  const breaking = (async () => {
    for (const part of outages) {
      await until(() => far.stats().pushed > jobs * part, patience)
      await outage?.()
    }
  })()
  const pushing = (async () => {
    // A third of them, and the next one when both have been killed: none carries all before that.
    const third = Math.ceil(jobs / 3)
    for (let at = 0; at < jobs; at++) {
      if (at % third === 0) await until(() => Math.min(...kills) >= at / third, patience)
      await near.push(String(at), { group: `g${String(at % groups)}` })
    }
  })()
  const found: number[] = []
  while (found.length < jobs) {
    const job = await within(patience, far.takeOne())
    const at = Number(Buffer.from(job.bytes).toString())
    t.is(job.group, `g${String(at % groups)}`)
    found.push(at)
    await job.complete()
  }
  over = true
  await Promise.all([...killing, breaking, pushing])
  t.is(new Set(found).size, jobs)
  t.is(far.stats().ready, 0)
  t.true(kills[0]! > 2 && kills[1]! > 2, kills.join())
  if (!ordered) return
  for (let group = 0; group < groups; group++) {
    const own = found.filter((at) => at % groups === group)
    t.deepEqual(
      own,
      own.toSorted((a, b) => a - b),
    )
  }
}
