// Jobs that go from shared memory through a gateway, a server, and another gateway to shared memory, as they do between two hosts.

import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

import { WorkQueue } from 'millrace/work'

import type { Parameters } from '../parameters.js'
import type { Engine } from './engine.js'

/** The same queue of the server, by our address. */
function between({ server = '', through }: Parameters): string {
  switch (through) {
    case 'rabbitmq':
      return `${server}/jobs`
    case 'redis':
      return `${server}/jobs`
    case 'kafka':
      return `kafka://${server}/jobs`
    default:
      return `nats://${server}/jobs`
  }
}

async function started(host: string, from: string, to: string): Promise<ChildProcess> {
  const config = { host, routes: [{ kind: 'work', from, to, inFlight: 256 }] }
  const child = fork(fileURLToPath(new URL('../gateway.js', import.meta.url)), [
    JSON.stringify(config),
  ])
  await once(child, 'message')
  return child
}

async function ended(child: ChildProcess): Promise<void> {
  const exited = once(child, 'exit')
  child.disconnect()
  await exited
}

export const gateway: Engine = {
  async pusher(parameters) {
    const { name, jobs } = parameters
    const here = `${name}-here`
    const queue = WorkQueue.open(here, { jobs })
    const child = await started('here', here, between(parameters))
    return {
      push: (job) => queue.push(job),
      async close() {
        queue.close()
        await ended(child)
        WorkQueue.unlink(here)
      },
    }
  },

  async work(parameters, handle) {
    const { name, jobs } = parameters
    const there = `${name}-there`
    const queue = WorkQueue.open(there, { jobs, dedupWindow: 60_000 })
    const working = queue.work((job) => handle(job.bytes), { concurrency: parameters.ahead ?? 1 })
    const child = await started('there', between(parameters), there)
    return {
      async close() {
        await ended(child)
        queue.close()
        await working
        WorkQueue.unlink(there)
      },
    }
  },
}
