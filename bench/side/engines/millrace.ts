// millrace's own work queue: a job is pushed when it is in shared memory, and handed out to one that lives.

import { WorkQueue } from 'millrace/work'

import type { Parameters } from '../parameters.js'
import type { Engine } from './engine.js'

const open = ({ name, jobs }: Parameters) => WorkQueue.open(name, { jobs })

export const millrace: Engine = {
  pusher(parameters) {
    const queue = open(parameters)
    return Promise.resolve({
      push: (job) => queue.push(job),
      close() {
        queue.close()
        // Where workers were killed, nobody who had it open has removed it.
        WorkQueue.unlink(parameters.name)
        return Promise.resolve()
      },
    })
  },

  work(parameters, handle) {
    const queue = open(parameters)
    const concurrency = parameters.ahead ?? 1
    const ended = queue.work((job) => handle(job.bytes), { concurrency })
    return Promise.resolve({
      async close() {
        queue.close()
        await ended
      },
    })
  },
}
