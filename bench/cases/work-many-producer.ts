// A producer of work-many: pushes until it is ended.

import { WorkQueue } from 'millrace/work'

import { payload } from '../side/content.js'
import type { Parameters } from '../side/parameters.js'

export async function follow({ name, jobs, bytes }: Parameters): Promise<void> {
  using queue = WorkQueue.open(name, { jobs })
  const message = payload(bytes)
  process.send?.('ready')
  for (;;) {
    if (!queue.tryPush(message)) await queue.push(message)
  }
}
