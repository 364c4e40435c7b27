// A worker of work-many: does each job for as long as is said, without giving its thread away.

import { WorkQueue } from 'millrace/work'

import type { Parameters } from '../side/parameters.js'
import { tally } from '../side/tallies.js'

export async function follow({ name, jobs, index = 0, workUs = 0 }: Parameters): Promise<void> {
  using queue = WorkQueue.open(name, { jobs })
  const count = tally(name, index)
  process.send?.('ready')
  for await (const job of queue.take()) {
    if (workUs > 0) {
      const end = performance.now() + workUs / 1000
      while (performance.now() < end);
    }
    job.complete()
    count()
  }
}
