// A work queue for one test.

import type { ExecutionContext } from 'ava'
import { MappedFile } from 'millrace'
import { WorkQueue, type WorkQueueOptions } from 'millrace/work'

/** Opens it until the test is over, and takes away what is left in it. */
export function open(t: ExecutionContext, name: string, options: WorkQueueOptions = {}): WorkQueue {
  const queue = WorkQueue.open(name, options)
  t.teardown(() => {
    if (!queue.closed) {
      texts(queue)
      queue.dead.purge()
    }
    queue.close()
  })
  return queue
}

/** Opens it in a file, until the test is over. */
export function openFile(t: ExecutionContext, path: string, options?: WorkQueueOptions): WorkQueue {
  const queue = WorkQueue.open(new MappedFile(path), options)
  t.teardown(() => {
    queue.close()
  })
  return queue
}

/** What there is now, as text. */
export function texts(queue: WorkQueue): string[] {
  const found: string[] = []
  for (let message = queue.tryReceive(); message !== undefined; message = queue.tryReceive()) {
    found.push(message.toString())
  }
  return found
}

export const text = (bytes: Uint8Array): string => Buffer.from(bytes).toString()

export { warningsOf } from '../support/warnings.js'
