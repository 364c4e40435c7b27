// Cases whose work is done in Workers.

import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readlinkSync } from 'node:fs'
import { basename } from 'node:path'
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

/** Moves the calling thread to a core of its own (Linux). */
export function pinThread(core: number): void {
  const thread = basename(readlinkSync('/proc/thread-self'))
  const { status } = spawnSync('taskset', ['-cp', String(core), thread], { stdio: 'ignore' })
  if (status !== 0) throw new Error('the thread could not be pinned')
}
