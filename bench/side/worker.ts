// Cases whose work is done in Workers.

import { once } from 'node:events'
import { parentPort, Worker } from 'node:worker_threads'

/** Starts a Worker that runs `file` with `task` as its data. A failure in it ends the process. */
export function startWorker(file: string, task: unknown): Worker {
  return new Worker(file, { workerData: task }).once('error', (error) => {
    throw error
  })
}

/** What the Worker replies when it has done its task. */
export async function inWorker<T>(file: string, task: unknown): Promise<T> {
  const worker = startWorker(file, task)
  const [answer] = (await once(worker, 'message')) as [T]
  await worker.terminate()
  return answer
}

export function reply(answer: unknown): void {
  parentPort?.postMessage(answer)
}
