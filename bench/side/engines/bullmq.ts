// BullMQ on Redis: a job is pushed when Redis has it in memory, and done when Redis says so. Binary content goes as base64, for
// what it carries is JSON. A worker that is silent for `lockDuration` is taken for dead; all such times are its defaults.

import type { Parameters } from '../parameters.js'
import { peer } from '../peer.js'
import type { Engine } from './engine.js'

interface BullMQ {
  readonly Queue: new (
    name: string,
    options: object,
  ) => {
    waitUntilReady(): Promise<unknown>
    add(name: string, data: string, options: object): Promise<unknown>
    close(): Promise<void>
  }
  readonly Worker: new (
    name: string,
    handle: (job: { readonly data: string }) => Promise<void>,
    options: object,
  ) => {
    waitUntilReady(): Promise<unknown>
    on(event: 'error', listener: (error: Error) => void): void
    close(): Promise<void>
  }
}

const load = () => peer('bullmq') as BullMQ
const queueName = 'jobs'
const connection = ({ server }: Parameters) => ({ path: server, maxRetriesPerRequest: null })
/** What was done is not kept: that is what the others do. */
const options = { removeOnComplete: true }

export const bullmq: Engine = {
  async pusher(parameters) {
    const queue = new (load().Queue)(queueName, { connection: connection(parameters) })
    await queue.waitUntilReady()
    return {
      push: (job) => queue.add('job', job.toString('base64'), options),
      close: () => queue.close(),
    }
  },

  async work(parameters, handle) {
    const worker = new (load().Worker)(
      queueName,
      async ({ data }) => {
        await handle(Buffer.from(data, 'base64'))
      },
      { connection: connection(parameters), concurrency: parameters.ahead ?? 1 },
    )
    worker.on('error', (error) => {
      throw error
    })
    await worker.waitUntilReady()
    return { close: () => worker.close() }
  },
}
