// A cluster of three servers of NATS, of which one after the other is killed.

import test, { type ExecutionContext } from 'ava'
import { WorkQueue } from 'millrace/work'

import { uniqueName } from '../support/names.js'
import { until, within } from '../support/until.js'
import { natsClient } from './support/client.js'
import { carriedOnce, queueOf } from './support/gateways.js'
import { natsServer, type NatsServer } from './support/nats.js'
import { freePort } from './support/server.js'

const patience = { timeout: 60_000 }

class Cluster {
  readonly servers: readonly NatsServer[]

  constructor(servers: readonly NatsServer[]) {
    this.servers = servers
  }

  address(name: string, query: string): string {
    const hosts = this.servers.map(({ port }) => `127.0.0.1:${String(port)}`)
    return `nats://${hosts.join(',')}/${name}${query}`
  }

  /** Killed, away for so long, and back. */
  async lose(which: number, ms: number): Promise<void> {
    const server = this.servers[which]!
    await server.end()
    await new Promise((resolve) => setTimeout(resolve, ms))
    await server.start()
  }
}

interface Replicated {
  readonly cluster?: {
    readonly leader?: string
    readonly replicas?: readonly { readonly current: boolean; readonly offline?: boolean }[]
  }
}

/** Until the queue and its consumer have a leader, and the two others keep up: before that another death would be one too many. */
async function whole(t: ExecutionContext, cluster: Cluster): Promise<void> {
  await until(async () => {
    try {
      const nats = await natsClient(t, cluster.servers[0]!)
      for (const what of ['STREAM.INFO.jobs', 'CONSUMER.INFO.jobs.millrace']) {
        const answer = await nats.request(`$JS.API.${what}`, '', { timeout: 2000 })
        const { cluster: its } = JSON.parse(answer.string()) as Replicated
        const { leader = '', replicas = [] } = its ?? {}
        if (leader === '' || replicas.length !== 2) return false
        if (!replicas.every(({ current, offline = false }) => current && !offline)) return false
      }
      return true
    } catch {
      return false
    }
  }, 60_000)
}

async function natsCluster(t: ExecutionContext): Promise<Cluster> {
  const ports = [await freePort(), await freePort(), await freePort()]
  const routes = ports.map((port) => `nats-route://127.0.0.1:${String(port)}`).join(', ')
  const servers: NatsServer[] = []
  for (const [at, port] of ports.entries()) {
    const config =
      `server_name: s${String(at)}\n` +
      `cluster: { name: millrace, listen: "127.0.0.1:${String(port)}", routes: [${routes}] }\n`
    servers.push(await natsServer(t, { config, started: false }))
  }
  await Promise.all(servers.map((server) => server.start()))
  return new Cluster(servers)
}

test('gateways of two hosts and one server after the other are killed: each job comes once, in order', async (t) => {
  const cluster = await natsCluster(t)
  const between = { address: cluster.address('orders', '?replicas=3'), alone: true }
  let turn = 0
  await carriedOnce(t, [queueOf(t), queueOf(t)], between, {
    ...{ jobs: 300, lives: [50, 50], outages: [0.2, 0.5, 0.8], ordered: true },
    outage: () => cluster.lose(turn++, 300),
  })
})

test('who waits for jobs is given one whichever server dies', async (t) => {
  const cluster = await natsCluster(t)
  const queue = WorkQueue.open(cluster.address('jobs', '?replicas=3'))
  t.teardown(() => {
    queue.close()
  })
  await queue.push('0', patience)
  await (await queue.takeOne(patience)).complete()
  for (const which of [0, 1, 2]) {
    await whole(t, cluster)
    const waiting = queue.takeOne(patience)
    await cluster.servers[which]!.end()
    const text = String(which)
    // The id makes one of a push whose confirmation was lost and the next one.
    const id = uniqueName(t)
    await until(async () => {
      try {
        await queue.push(text, { id, timeout: 5000 })
        return true
      } catch {
        return false
      }
    }, 60_000)
    const job = await within(60_000, waiting)
    t.is(job.copy().toString(), text)
    await job.complete()
    await cluster.servers[which]!.start()
  }
})

test('how many servers keep a queue is an option like others', async (t) => {
  const server = await natsServer(t)
  const address = server.address('jobs')
  const one = WorkQueue.open(address)
  t.teardown(() => {
    one.close()
  })
  await one.push('a')
  const three = WorkQueue.open(`${address}?replicas=3`)
  const error = await t.throwsAsync(three.push('b', patience), { code: 'ERR_MILLRACE_GEOMETRY' })
  t.regex(error.message, /replicas 1, not 3/)
  const more = WorkQueue.open(`${server.address('more')}?replicas=3`)
  t.teardown(() => {
    more.close()
  })
  await t.throwsAsync(more.push('b', { timeout: 500 }), { message: /replicas/ })
  t.throws(() => WorkQueue.open(`${address}?replicas=7`), {
    code: 'ERR_MILLRACE_INVALID_ARGUMENT',
    message: /replicas of .* must be from 1 to 5/,
  })
})
