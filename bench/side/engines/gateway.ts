// Jobs that go from shared memory through a gateway, an engine, and another gateway to shared memory, as they do between two hosts.

import { WorkQueue } from 'millrace/work'

import { gatewayEnded, gatewayStarted } from '../gateways.js'
import type { Parameters } from '../parameters.js'
import { removeZeromqSocket, zeromqAddress } from '../zeromq-address.js'
import type { Engine } from './engine.js'

/** The same queue of the server, by our address. Of ZeroMQ the side that pushes binds, as in the plain loop. */
function between(parameters: Parameters, side: 'pushes' | 'takes'): string {
  const { server = '', through } = parameters
  switch (through) {
    case 'rabbitmq':
      return `${server}/jobs`
    case 'redis':
      return `${server}/jobs`
    case 'kafka':
      return `kafka://${server}/jobs`
    case 'zeromq':
      return `zmq+${zeromqAddress(parameters)}?${side === 'pushes' ? 'bind&' : ''}packed`
    default:
      return `nats://${server}/jobs`
  }
}

const started = (host: string, from: string, to: string) =>
  gatewayStarted(host, { kind: 'work', from, to, inFlight: 256 })

/** Room for all that may be on its way: no engine of these rows has less. */
const roomFor = ({ jobs = 1024, bytes }: Parameters) => ({ jobs, bytes: 2 * jobs * bytes })

export const gateway: Engine = {
  async pusher(parameters) {
    const { name } = parameters
    const here = `${name}-here`
    const queue = WorkQueue.open(here, roomFor(parameters))
    const child = await started('here', here, between(parameters, 'pushes'))
    return {
      push: (job) => queue.push(job),
      async close() {
        queue.close()
        await gatewayEnded(child)
        WorkQueue.unlink(here)
        if (parameters.through === 'zeromq') removeZeromqSocket(parameters)
      },
    }
  },

  async work(parameters, handle) {
    const { name } = parameters
    const there = `${name}-there`
    const queue = WorkQueue.open(there, { ...roomFor(parameters), dedupWindow: 60_000 })
    const working = queue.work((job) => handle(job.bytes), { concurrency: parameters.ahead ?? 1 })
    const child = await started('there', between(parameters, 'takes'), there)
    return {
      async close() {
        await gatewayEnded(child)
        queue.close()
        await working
        WorkQueue.unlink(there)
      },
    }
  },
}
